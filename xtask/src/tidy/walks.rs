//! Every file and function that the walks of ARCHITECTURE.md name is there.

use super::finding::Finding;
use super::tree::TextFile;

/// The document with the walks.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// The heading of their section.
const HEADING: &str = "## Five walks through the code";

/// Returns what the walks name and no source file has.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let document = files.iter().find(|file| file.path == DOCUMENT);
    let steps: Vec<Step<'_>> = document.map_or_else(Vec::new, |file| steps(&file.text).collect());
    if steps.is_empty() {
        let message = format!("no walk is below \"{HEADING}\"; add it");
        return vec![Finding::strict(DOCUMENT, None, message)];
    }
    let wrong = steps.iter().filter_map(|step| {
        let message = problem(step, files)?;
        Some(Finding::strict(DOCUMENT, step.line, message))
    });
    wrong.collect()
}

/// One row of a walk.
struct Step<'a> {
    /// The line of the document, counted from 1.
    line: usize,
    /// The file, below `crates/`.
    file: &'a str,
    /// What it is to have: functions, types, or methods as `Type::function`.
    names: Vec<&'a str>,
}

/// Returns the rows of the section whose first cell begins with a name in backticks.
fn steps(document: &str) -> impl Iterator<Item = Step<'_>> {
    let numbered = (1..).zip(document.lines());
    let section = numbered
        .skip_while(|(_, line)| *line != HEADING)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "));
    section.filter_map(|(line, row)| {
        let cell = row.strip_prefix("| `")?.split(" | ").next()?;
        // What is between backticks, beginning with what follows the first.
        let mut quoted = cell.split('`').step_by(2);
        let file = quoted.next()?;
        let names = quoted.filter(|name| !name.is_empty()).collect();
        Some(Step { line, file, names })
    })
}

fn problem(step: &Step<'_>, files: &[TextFile]) -> Option<String> {
    let path = format!("crates/{}", step.file);
    let Some(source) = files.iter().find(|file| file.path == path) else {
        return Some(format!("there is no {path}; name the file that has it now"));
    };
    if step.names.is_empty() {
        return Some(format!("name a function of {path}"));
    }
    let missing = step.names.iter().find(|name| !has(&source.text, name))?;
    Some(format!(
        "`{missing}` is not in {path}; name what does it now"
    ))
}

/// Returns whether a source has this function, this type, or this method of this type.
fn has(source: &str, name: &str) -> bool {
    match name.split_once("::") {
        Some((of, method)) => has(source, of) && has(source, method),
        None if name.starts_with(|c: char| c.is_ascii_uppercase()) => has_word(source, name),
        None => has_word(source, &format!("fn {name}")),
    }
}

/// Returns whether a text has these words, and not only as the beginning of longer ones.
fn has_word(text: &str, words: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(words).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + words.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &str) -> Vec<String> {
        let document = format!("## Before\n| `a.rs`, `gone` | not a walk |\n{HEADING}\n{rows}");
        let source = "//! Why.\nimpl Log {\n    fn append(&self) {}\n}\nfn reader() {}\n";
        let files = [
            TextFile::new(DOCUMENT, &document),
            TextFile::new("crates/a/src/a.rs", source),
        ];
        let found = check(&files);
        found.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn what_is_there_may_be_named() {
        let rows =
            "| Where | What |\n| `a/src/a.rs`, `Log::append`, `reader`, `Log` | reads `all` |\n";
        assert!(found(rows).is_empty());
    }

    #[test]
    fn what_is_gone_may_not() {
        let rows = "| `a/src/b.rs`, `append` | a file |\n\
                    | `a/src/a.rs`, `append`, `read` | the beginning of a function's name |\n\
                    | `a/src/a.rs`, `Lock::append` | a type |\n\
                    | `a/src/a.rs` | no name |\n\
                    ## After\n| `c.rs`, `gone` | not a walk |\n";
        assert_eq!(
            found(rows),
            [
                "ARCHITECTURE.md:4: there is no crates/a/src/b.rs; name the file that has it now",
                "ARCHITECTURE.md:5: `read` is not in crates/a/src/a.rs; name what does it now",
                "ARCHITECTURE.md:6: `Lock::append` is not in crates/a/src/a.rs; name what does it now",
                "ARCHITECTURE.md:7: name a function of crates/a/src/a.rs"
            ]
        );
    }

    #[test]
    fn the_walks_are_not_lost() {
        assert_eq!(
            found("Nothing.\n"),
            ["ARCHITECTURE.md: no walk is below \"## Five walks through the code\"; add it"]
        );
    }
}
