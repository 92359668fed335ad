//! Git URLs: no text of a job becomes an option of git, a file outside of the clones, or a secret in a log.

use std::path::Path;

use cluster_worker::fuzzing::{GitUse, git_use};

const CLONES: &str = "/clones";

/// All options in git's command lines.
const OPTIONS: [&str; 14] = [
    "-C",
    "-c",
    "--add",
    "--batch-check",
    "--hard",
    "--heads",
    "--init",
    "--no-auto-gc",
    "--no-tags",
    "--progress",
    "--prune",
    "--recurse-submodules=no",
    "--recursive",
    "--update-head-ok",
];

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (url, commit) = text.split_once('\n').unwrap_or((text, ""));
    let plain = "0123456789abcdef0123456789abcdef01234567";
    for commit in [plain, commit] {
        match git_use(url, commit, Path::new(CLONES)) {
            Ok(used) => check(&used),
            Err(error) => assert!(!error.chars().any(char::is_control) || error.contains(commit)),
        }
    }
}

fn check(used: &GitUse) {
    let GitUse {
        url,
        shown,
        clone,
        is_private,
        commands,
    } = used;
    let schemes = ["http://", "https://", "git://"];
    assert!(
        schemes.iter().any(|scheme| url.starts_with(scheme)),
        "{url}"
    );
    assert!(
        !url.contains(|c: char| c.is_control() || c.is_whitespace()),
        "{url:?}"
    );
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!authority.is_empty() && !authority.contains('@'), "{url}");
    assert_eq!(url, shown);
    assert_eq!(clone.parent(), Some(Path::new(CLONES)), "{clone:?}");
    let name = clone.file_name().unwrap_or_default().to_string_lossy();
    assert!(!name.starts_with('-') || clone.is_absolute());
    // Other jobs must not read what was fetched with credentials.
    assert!(!is_private || name.contains("-private"), "{name}");
    for command in commands {
        for arg in &command.args {
            let arg = arg.to_string_lossy();
            assert!(!arg.starts_with('-') || OPTIONS.contains(&&*arg), "{arg}");
        }
        for (name, value) in &command.environment {
            let value = value.to_string_lossy();
            assert!(!value.contains(['\r', '\0']), "{name:?}={value:?}");
            // The credential helper ends a value at the end of its line.
            let is_credential = name.to_string_lossy().starts_with("OCLUSTER_GIT_");
            assert!(
                !is_credential || !value.contains('\n'),
                "{name:?}={value:?}"
            );
        }
    }
}
