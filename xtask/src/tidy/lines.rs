//! Lines fit on a screen, comments and strings included.

use super::finding::{Finding, Rule};
use super::tree::TextFile;

const LONGEST_LINE: usize = 120;

/// Returns the lines that are too long.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LONGEST_LINE {
            let message = format!("{columns} columns; break the line ({LONGEST_LINE} at most)");
            found.push(Finding {
                rule: Rule::LongLine,
                ..Finding::strict(&file.path, number + 1, message)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_at_most_120_columns() {
        let (fits, does_not) = ("ß".repeat(120), "a".repeat(121));
        let file = TextFile::new("a.rs", &format!("{fits}\n{does_not}\n"));
        let found: Vec<String> = check(&file).iter().map(Finding::to_string).collect();
        assert_eq!(found, ["a.rs:2: 121 columns; break the line (120 at most)"]);
    }
}
