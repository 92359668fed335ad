//! Effects of the pool are taken in one place, so that they are performed in the order in which they arose.

use super::finding::Finding;
use super::tree::TextFile;

const CALL: &str = ".poll_effect()";
/// Where the one caller is: the file, or the folder that it becomes.
const HOME: &str = "crates/cluster-scheduler/src/reactor";

/// Returns the calls elsewhere, and all of them if there is more than one.
pub(super) fn check<'a>(files: impl Iterator<Item = &'a TextFile>) -> Vec<Finding> {
    let mut inside = Vec::new();
    let mut found = Vec::new();
    for file in files.filter(|file| is_program(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            // The reactor may wrap the pool's method in one of its own.
            let calls_pool = line.contains(CALL) && !line.contains("self.poll_effect()");
            if calls_pool && file.path.starts_with(HOME) {
                inside.push((file.path.clone(), number + 1));
            } else if calls_pool {
                let message =
                    format!("only {HOME} may call `poll_effect`; have it perform the effect");
                found.push(Finding::strict(&file.path, number + 1, message));
            }
        }
    }
    if let [_, more @ ..] = &inside[..] {
        for (path, line) in more {
            let message = "`poll_effect` has one caller; take the effects there".to_owned();
            found.push(Finding::strict(path, *line, message));
        }
    }
    if inside.is_empty() {
        let message = format!("no call of `{CALL}` seen; say in this file where it is now");
        found.push(Finding::strict(
            "xtask/src/tidy/single_caller.rs",
            None,
            message,
        ));
    }
    found
}

/// The pool's own sources, and tests of it, drive it by hand.
fn is_program(path: &str) -> bool {
    path.contains("/src/") && !path.starts_with("crates/pool/") && !path.starts_with("xtask/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: &str = "while let Some(effect) = pool.poll_effect() {\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<TextFile> = files.iter().map(|(p, t)| TextFile::new(p, t)).collect();
        check(files.iter()).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn the_reactor_is_the_only_caller() {
        let home = ("crates/cluster-scheduler/src/reactor/perform.rs", CALLS);
        let test = ("crates/pool/tests/a.rs", CALLS);
        assert!(found(&[home, test]).is_empty());
        let other = ("crates/cluster-scheduler/src/service/a.rs", CALLS);
        assert_eq!(
            found(&[home, other]),
            [
                "crates/cluster-scheduler/src/service/a.rs:1: only crates/cluster-scheduler/src/reactor may call \
              `poll_effect`; have it perform the effect"
            ]
        );
    }

    #[test]
    fn it_calls_once() {
        let twice = CALLS.repeat(2);
        assert_eq!(
            found(&[("crates/cluster-scheduler/src/reactor.rs", &twice)]),
            [
                "crates/cluster-scheduler/src/reactor.rs:2: `poll_effect` has one caller; take the effects there"
            ]
        );
        assert_eq!(found(&[]).len(), 1);
    }
}
