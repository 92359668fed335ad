//! Rules for one Rust file: it states why it exists, is short, has short functions and nothing left for later.

use super::finding::{Finding, Rule};
use super::tree::TextFile;

const LONGEST_FILE: usize = 700;
/// What a function may have; those that are longer are exceptions by name.
const LONG_FUNCTION: usize = 70;
/// What no function may have.
const LONGEST_FUNCTION: usize = 100;

/// What must not be in a file, and what to do instead. In two halves each, or this file would break the rule.
const FORBIDDEN: &[([&str; 2], &str)] = &[
    (["TO", "DO"], "do it, or open an issue"),
    (["FIX", "ME"], "do it, or open an issue"),
    (["todo", "!("], "do it, or leave it out"),
    (["unimplemented", "!("], "do it, or leave it out"),
    (
        ["#[ig", "nore"],
        "use rig::Rig::or_not_run, or delete the test",
    ),
];

/// Returns what is wrong with a source file.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let TextFile { path, text } = file;
    let mut found = Vec::new();
    if !text.starts_with("//! ") {
        let message = "open with `//!` and say why this file exists".to_owned();
        found.push(Finding::strict(path, 1, message));
    }
    let length = text.lines().count();
    if length > LONGEST_FILE {
        let message = format!("{length} lines; split it ({LONGEST_FILE} at most)");
        found.push(Finding::strict(path, None, message));
    }
    for (number, line) in text.lines().enumerate() {
        for (halves, instead) in FORBIDDEN {
            let word = halves.concat();
            if line.contains(&word) {
                let message = format!("{word}: {instead}");
                found.push(Finding::strict(path, number + 1, message));
            }
        }
    }
    found.extend(functions(text).filter_map(|function| check_function(path, &function)));
    found
}

fn check_function(path: &str, function: &Function<'_>) -> Option<Finding> {
    let Function { name, line, length } = *function;
    let too_long = |limit| {
        let message = format!("fn {name} has {length} lines; split it ({limit} at most)");
        Finding::strict(path, line, message)
    };
    if length > LONGEST_FUNCTION {
        Some(too_long(LONGEST_FUNCTION))
    } else if length > LONG_FUNCTION {
        Some(Finding {
            rule: Rule::LongFunction,
            subject: name.to_owned(),
            ..too_long(LONG_FUNCTION)
        })
    } else {
        None
    }
}

/// A function as it stands in a file.
struct Function<'a> {
    name: &'a str,
    /// The line of its `fn`, counted from 1.
    line: usize,
    /// How many lines it has.
    length: usize,
}

/// Returns each function. It relies on rustfmt, which puts a closing brace below its `fn`.
fn functions(text: &str) -> impl Iterator<Item = Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let rest = lines[start..].iter();
        let length = rest.take_while(|line| **line != closing).count() + 1;
        // One without a body, or with it on the same line, has no closing brace of its own.
        let mut signature = lines[start..].iter();
        let has_closing = signature
            .find(|line| line.ends_with(['{', ';', '}']))
            .is_some_and(|line| line.ends_with('{'));
        if has_closing {
            let line = start + 1;
            found.push(Function { name, line, length });
        }
    }
    found.into_iter()
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let is_keyword = |word: &str| {
        matches!(word, "const" | "async" | "unsafe" | "extern") || word.starts_with("pub")
    };
    before.split_whitespace().all(is_keyword).then(|| {
        after
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let found = check(&TextFile::new("a.rs", text));
        found.iter().map(Finding::to_string).collect()
    }

    fn function(name: &str, lines: usize) -> String {
        format!(
            "//! Why.\nimpl A {{\n    pub(crate) async fn {name}(&self) {{\n{}    }}\n}}\n",
            "        b();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_good_file_passes() {
        assert!(found(&function("short", LONG_FUNCTION)).is_empty());
    }

    #[test]
    fn a_file_says_why_it_exists() {
        assert_eq!(
            found("use std;\n"),
            ["a.rs:1: open with `//!` and say why this file exists"]
        );
    }

    #[test]
    fn a_file_is_short() {
        let long = format!("//! Why.\n{}", "\n".repeat(LONGEST_FILE));
        assert_eq!(found(&long), ["a.rs: 701 lines; split it (700 at most)"]);
    }

    #[test]
    fn nothing_is_left_for_later() {
        for (halves, instead) in FORBIDDEN {
            let word = halves.concat();
            let text = format!("//! Why.\n    {word}\n");
            assert_eq!(found(&text), [format!("a.rs:2: {word}: {instead}")]);
        }
    }

    #[test]
    fn functions_are_short() {
        assert_eq!(
            found(&function("long", 71)),
            ["a.rs:3: fn long has 71 lines; split it (70 at most)"]
        );
        let without_body = format!(
            "//! Why.\n    fn none(\n        &self,\n    );\n{}",
            "// Why.\n".repeat(100)
        );
        assert!(found(&without_body).is_empty());
    }

    #[test]
    fn a_long_function_may_be_an_exception_and_a_longer_one_may_not() {
        let rule = |lines| check(&TextFile::new("a.rs", &function("long", lines)))[0].rule;
        assert_eq!(
            [71, 100, 101].map(rule),
            [Rule::LongFunction, Rule::LongFunction, Rule::Strict]
        );
    }
}
