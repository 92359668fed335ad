//! The error text for a failed command, in the reference's words.

use bstr::{BStr, BString, ByteVec as _};

use crate::excerpt::excerpt;
use crate::sandbox::Exit;

/// Returns the error text for a command that did not succeed.
pub(super) fn text(argv: &[BString], exit: Exit) -> BString {
    let mut text = BString::default();
    for word in argv {
        text.push_str("\"");
        text.push_str(excerpt(BStr::new(word)));
        text.push_str("\" ");
    }
    text.push_str(match exit {
        Exit::Status(status) => format!("failed with exit status {status}"),
        Exit::Signal(signal) => format!("failed with signal {}", signal_name(signal)),
    });
    text
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use bstr::BString;

    use super::text;
    use crate::sandbox::Exit;

    #[test]
    fn a_failed_command_is_shown_word_by_word() {
        let argv = ["/usr/bin/env", "bash", "-c", "echo \"x\"; exit 3"].map(BString::from);
        assert_eq!(
            text(&argv, Exit::Status(3)),
            r#""/usr/bin/env" "bash" "-c" "echo "x"; exit 3" failed with exit status 3"#
        );
        assert_eq!(
            text(&argv[..1], Exit::Signal(9)),
            r#""/usr/bin/env" failed with signal SIGKILL"#
        );
        // A long generated script is shortened.
        let long = ["sh".into(), BString::from("x".repeat(100 << 10))];
        assert!(text(&long, Exit::Status(1)).len() < 3000);
    }
}
