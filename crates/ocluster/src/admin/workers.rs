//! Choosing workers: those a command was given, or all, or else a list to choose from.

use cluster_api::WorkerInfo;

use crate::error::CommandError;

/// Returns the note upstream puts after a worker's name in a list of candidates.
pub(super) fn candidate(worker: &WorkerInfo) -> String {
    let WorkerInfo {
        name,
        active,
        connected,
    } = worker;
    match (connected, active) {
        (true, true) => name.clone(),
        (true, false) => format!("{name} (paused)"),
        (false, true) => format!("{name} (disconnected)"),
        (false, false) => format!("{name} (disconnected, paused)"),
    }
}

/// Asks the user to name a worker. `all` tells whether the command has the option `--all`.
pub(super) fn choose(workers: &[WorkerInfo], all: bool) -> CommandError {
    let or_all = if all { " (or use --all)" } else { "" };
    let names: String = workers
        .iter()
        .map(|worker| format!("\n{}", candidate(worker)))
        .collect();
    CommandError::failed(format_args!(
        "Specify which worker you want to affect{or_all}.\nCandidates are:{names}"
    ))
}

/// Returns `words` with `separator` between them, broken into lines like upstream's: `prefix` is what the line begins
/// with, and further lines begin in the column after it.
pub(super) fn filled(prefix: &str, separator: &str, words: &[String]) -> String {
    /// A word goes on a new line when it would end beyond this column.
    const MARGIN: usize = 77;
    let indent = prefix.chars().count();
    let mut text = prefix.to_owned();
    let mut column = indent;
    for (i, word) in words.iter().enumerate() {
        let width = word.chars().count();
        if i > 0 {
            text.push_str(separator);
            column += separator.chars().count() + 1;
            if column + width > MARGIN {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                text.push(' ');
            }
        }
        text.push_str(word);
        column += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn candidates_say_what_state_they_are_in() {
        let worker = |name: &str, active, connected| WorkerInfo {
            name: name.into(),
            active,
            connected,
        };
        let workers = [
            worker("w1", true, true),
            worker("w2", false, true),
            worker("w3", true, false),
            worker("w4", false, false),
        ];
        expect![[r#"
            Specify which worker you want to affect (or use --all).
            Candidates are:
            w1
            w2 (paused)
            w3 (disconnected)
            w4 (disconnected, paused)"#]]
        .assert_eq(&choose(&workers, true).message);
    }

    #[test]
    fn long_lists_are_broken_after_column_77() {
        let words: Vec<String> = (0..14).map(|i| format!("worker-{i:02}")).collect();
        expect![[r#"
            Updating: [worker-00, worker-01, worker-02, worker-03, worker-04, worker-05,
                       worker-06, worker-07, worker-08, worker-09, worker-10, worker-11,
                       worker-12, worker-13"#]]
        .assert_eq(&filled("Updating: [", ",", &words));
    }
}
