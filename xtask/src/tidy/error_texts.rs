//! Errors say "cannot", and nothing else for the same thing.

use super::finding::{Finding, Rule};
use super::tree::TextFile;

/// What begins the text of an error, on the line where it stands or on one before.
const OPENINGS: &[&str] = &[
    "#[error(",
    "bail!(",
    "anyhow!(",
    ".context(",
    "with_context(",
];

/// How else one could say it.
const INSTEAD_OF_CANNOT: &[&str] = &[
    "can't",
    "can not",
    "could not",
    "couldn't",
    "failed to",
    "unable to",
];

/// Texts that people and scripts know from upstream.
const UPSTREAM: &[&str] = &["Failed to connect to ", "Can't use .. in source paths!"];

/// This file quotes what it looks for.
const HERE: &str = "xtask/src/tidy/error_texts.rs";

/// Returns the errors that say it otherwise.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let mut found = Vec::new();
    if file.path == HERE {
        return found;
    }
    // An error's text may stand on the line below its opening, as rustfmt breaks long ones.
    let mut opened: usize = 0;
    for (number, line) in file.text.lines().enumerate() {
        if OPENINGS.iter().any(|opening| line.contains(opening)) {
            opened = 3;
        }
        if opened > 0 && !line.trim_start().starts_with("//") {
            found.extend(in_line(file, number + 1, line));
        }
        opened = if line.ends_with(['{', ';', ']']) {
            0
        } else {
            opened.saturating_sub(1)
        };
    }
    found
}

fn in_line(file: &TextFile, number: usize, line: &str) -> Option<Finding> {
    let (_, text) = line.split_once('"')?;
    if UPSTREAM.iter().any(|known| text.starts_with(known)) {
        return None;
    }
    let lowered = text.to_lowercase();
    let word = INSTEAD_OF_CANNOT
        .iter()
        .find(|word| lowered.contains(*word))?;
    let message = format!("write \"cannot\" instead of \"{word}\" in an error");
    Some(Finding {
        rule: Rule::Cannot,
        subject: (*word).to_owned(),
        ..Finding::strict(&file.path, number, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let file = TextFile::new("crates/a/src/a.rs", text);
        check(&file).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_error_says_cannot() {
        assert!(found("#[error(\"cannot open {path}\")]\n").is_empty());
        assert_eq!(
            found("#[error(\"failed to open {path}\")]\n"),
            ["crates/a/src/a.rs:1: write \"cannot\" instead of \"failed to\" in an error"]
        );
        assert_eq!(
            found(".with_context(|| {\n\nbail!(\n    \"{path} couldn't be opened\"\n);\n"),
            ["crates/a/src/a.rs:4: write \"cannot\" instead of \"couldn't\" in an error"]
        );
    }

    #[test]
    fn upstream_and_other_texts_may_say_it_otherwise() {
        assert!(found("#[error(\"Failed to connect to {0}\")]\n").is_empty());
        assert!(found("bail!(\"no\");\nlet help = \"what could not be sent\";\n").is_empty());
        assert!(found("#[error(\"cannot open\")]\n// It could not.\n").is_empty());
    }
}
