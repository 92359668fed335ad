//! Words that we no longer use, in code and documents.
//!
//! The list is for names that were replaced and for turns of phrase that make readers stop. What a release or a
//! decision said at its time stays as it was: CHANGES.md and docs/design are not read. The reference is made from the
//! code.

use super::finding::{Finding, Rule};
use super::tree::TextFile;

/// A retired word, and what to write instead. Prose, in lower case, is found in any case; names as they are written.
const RETIRED: &[(&str, &str)] = &[
    // Names.
    ("FAREWELL", "CLOSE_DELAY"),
    ("LAST_WORDS", "FINAL_FLUSH_LIMIT"),
    ("MainView", "WaitingView"),
    ("NOT_YET", "UNSUPPORTED_OPTIONS"),
    ("OnFile", "StoredService"),
    ("Pulse", "Liveness"),
    ("Standing", "QueuePosition"),
    ("Standings", "QueuePositions"),
    ("TIME_TO_END", "SHUTDOWN_MARGIN"),
    ("TakeBack", "PopGuard"),
    ("Upkept", "Maintained"),
    ("Workshop", "BuilderLoop"),
    ("cancel_wish", "cancel_token"),
    ("hold_queued", "stop_assigning"),
    ("is_holding", "assignments_stopped"),
    ("keep_up", "maintain"),
    ("mind_fitness", "watch_fitness"),
    ("settle_rivals", "resolve_conflicts"),
    ("strange_variables", "unknown_variables"),
    ("want_sign", "probe_now"),
    // Prose.
    ("how manyth", "\"position\", or \"the number of\""),
    ("such as it is", "nothing"),
    ("what came of", "\"the result of\""),
    (
        "whoever",
        "the role: \"the client that\", \"the process that\", \"users who\"",
    ),
];

/// Files that quote these words or keep them for history.
const NOT_READ: &[&str] = &[
    "CHANGES.md",
    "docs/design/",
    "docs/reference/",
    "xtask/src/tidy/words.rs",
];

/// Returns where a file has such a word.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let is_read = file.is_source() || file.path.ends_with(".md");
    if is_read && !NOT_READ.iter().any(|path| file.path.starts_with(path)) {
        find(file, RETIRED)
    } else {
        Vec::new()
    }
}

fn find(file: &TextFile, retired: &[(&str, &str)]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let lowered = line.to_lowercase();
        for (word, instead) in retired {
            let is_name = word.contains('_') || word.contains(char::is_uppercase);
            let searched = if is_name { line } else { &lowered };
            if has_word(searched, word) {
                found.push(Finding {
                    rule: Rule::RetiredWord,
                    subject: (*word).to_owned(),
                    ..Finding::strict(
                        &file.path,
                        number + 1,
                        format!("\"{word}\" is retired; write {instead}"),
                    )
                });
            }
        }
    }
    found
}

/// Returns whether `line` has `word` with nothing around it that would make it part of another.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &[(&str, &str)] = &[("Wish", "Request"), ("hither", "here")];

    #[test]
    fn a_retired_word_is_found_with_what_to_write() {
        let file = TextFile::new("a.md", "Come\nHither, with a Wish\n");
        let found: Vec<String> = find(&file, WORDS).iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "a.md:2: \"Wish\" is retired; write Request",
                "a.md:2: \"hither\" is retired; write here",
            ]
        );
    }

    #[test]
    fn a_part_of_a_word_is_another_word() {
        let file = TextFile::new("a.rs", "Wishes wish hitherto the_Wish\n");
        assert!(find(&file, WORDS).is_empty());
    }

    #[test]
    fn history_may_quote() {
        let (word, _) = RETIRED[0];
        assert_eq!(check(&TextFile::new("docs/a.md", word)).len(), 1);
        assert!(check(&TextFile::new("docs/design/a.md", word)).is_empty());
        assert!(check(&TextFile::new("a.txt", word)).is_empty());
    }
}
