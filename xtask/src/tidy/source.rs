//! Rules for one Rust file: it says why it exists, is short, has short functions and nothing left for later.

use super::tree::TextFile;

const LONGEST_FILE: usize = 700;
const LONGEST_FUNCTION: usize = 100;

/// Functions that may be longer than [`LONGEST_FUNCTION`], with the length they have and may not exceed. Take one off when
/// it has become shorter; add none.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

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
pub(super) fn check(file: &TextFile) -> Vec<String> {
    let TextFile { path, text } = file;
    let mut found = Vec::new();
    if !text.starts_with("//! ") {
        found.push(format!(
            "{path}:1: open with `//!` and say why this file exists"
        ));
    }
    let length = text.lines().count();
    if length > LONGEST_FILE {
        found.push(format!(
            "{path}: {length} lines; split it ({LONGEST_FILE} at most)"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        for (halves, instead) in FORBIDDEN {
            let word = halves.concat();
            if line.contains(&word) {
                found.push(format!("{path}:{}: {word}: {instead}", number + 1));
            }
        }
    }
    found.extend(check_functions(file, LONG_FUNCTIONS));
    found
}

fn check_functions(file: &TextFile, allowed: &[(&str, &str, usize)]) -> Vec<String> {
    let mut found = Vec::new();
    let path = &file.path;
    for (name, length) in functions(&file.text) {
        let listed = allowed.iter().find(|(p, n, _)| p == path && *n == name);
        let limit = listed.map_or(LONGEST_FUNCTION, |(_, _, length)| *length);
        if length > limit {
            found.push(format!(
                "{path}: fn {name} has {length} lines ({limit} at most)"
            ));
        } else if listed.is_some() && length <= LONGEST_FUNCTION {
            found.push(format!(
                "{path}: fn {name} is short now; take it off the list"
            ));
        }
    }
    found
}

/// Returns each function's name and length. It relies on rustfmt, which puts a closing brace below its `fn`.
fn functions(text: &str) -> Vec<(&str, usize)> {
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
            found.push((name, length));
        }
    }
    found
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

    fn file(text: &str) -> TextFile {
        TextFile {
            path: "a.rs".to_owned(),
            text: text.to_owned(),
        }
    }

    fn function(name: &str, lines: usize) -> String {
        format!(
            "//! Why.\nimpl A {{\n    pub(crate) async fn {name}(&self) {{\n{}    }}\n}}\n",
            "        b();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_good_file_passes() {
        assert!(check(&file(&function("short", LONGEST_FUNCTION))).is_empty());
    }

    #[test]
    fn a_file_says_why_it_exists() {
        assert_eq!(
            check(&file("use std;\n")),
            ["a.rs:1: open with `//!` and say why this file exists"]
        );
    }

    #[test]
    fn a_file_is_short() {
        let long = format!("//! Why.\n{}", "\n".repeat(LONGEST_FILE));
        assert_eq!(
            check(&file(&long)),
            ["a.rs: 701 lines; split it (700 at most)"]
        );
    }

    #[test]
    fn nothing_is_left_for_later() {
        for (halves, instead) in FORBIDDEN {
            let word = halves.concat();
            let found = check(&file(&format!("//! Why.\n    {word}\n")));
            assert_eq!(found, [format!("a.rs:2: {word}: {instead}")]);
        }
    }

    #[test]
    fn functions_are_short_or_listed() {
        let long = file(&function("long", 101));
        assert_eq!(
            check_functions(&long, &[]),
            ["a.rs: fn long has 101 lines (100 at most)"]
        );
        assert!(check_functions(&long, &[("a.rs", "long", 101)]).is_empty());
        let longer = file(&function("long", 102));
        let listed = [("a.rs", "long", 101)];
        assert_eq!(
            check_functions(&longer, &listed),
            ["a.rs: fn long has 102 lines (101 at most)"]
        );
        let without_body = format!(
            "    fn none(\n        &self,\n    );\n{}",
            "// Why.\n".repeat(100)
        );
        assert!(check_functions(&file(&without_body), &[]).is_empty());
        let shorter = file(&function("long", 50));
        assert_eq!(
            check_functions(&shorter, &listed),
            ["a.rs: fn long is short now; take it off the list"]
        );
    }
}
