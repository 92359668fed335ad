//! The format of a build's log in its job's log: upstream's, which tools parse.

use bstr::{BStr, BString};
use jiff::Timestamp;

/// Returns a heading: the op that comes next, in bold blue on a line of its own.
pub(super) fn heading(text: &BStr) -> BString {
    let mut line = BString::from("\n\x1b[01;34m");
    line.extend_from_slice(text);
    line.extend_from_slice(b"\x1b[0m\n");
    line
}

/// Returns a remark of the builder's, in purple, with the time.
pub(super) fn note(text: &str, now: Timestamp) -> BString {
    // Upstream has a full stop between minutes and seconds.
    let now = now.strftime("%Y-%m-%d %H:%M.%S");
    format!("\x1b[01;2m\x1b[01;35m{now} {text}\x1b[0m\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_upstreams_byte_for_byte() {
        assert_eq!(
            heading("(from busybox)".into()),
            "\n\x1b[01;34m(from busybox)\x1b[0m\n"
        );
        let now = Timestamp::new(1_594_138_468, 0).unwrap();
        assert_eq!(
            note("---> saved as \"9d75\"", now),
            "\x1b[01;2m\x1b[01;35m2020-07-07 16:14.28 ---> saved as \"9d75\"\x1b[0m\n"
        );
    }
}
