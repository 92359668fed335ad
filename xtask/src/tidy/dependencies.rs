//! Every dependency of the workspace says why it is there.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::finding::Finding;

/// Returns the dependencies that do not.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    Ok(unexplained(&fs::read_to_string(root.join("Cargo.toml"))?))
}

/// A comment explains the dependency on its line, and those below it up to the next empty line.
fn unexplained(manifest: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let (mut inside, mut explained, mut seen) = (false, false, 0);
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if line.trim().is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if inside && let Some((name, rest)) = line.split_once(" = ") {
            seen += 1;
            if !explained && !rest.contains(" #") {
                let message = format!("say in a comment why we depend on {name}");
                found.push(Finding::strict("Cargo.toml", number + 1, message));
            }
        }
    }
    if seen == 0 {
        let message = "no [workspace.dependencies] seen".to_owned();
        found.push(Finding::strict("Cargo.toml", None, message));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_on_the_line_or_above_the_group() {
        let manifest = "[workspace.dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\nc = \"1\" # Why.\nd = \"1\"\n";
        let found = unexplained(manifest);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found, ["Cargo.toml:7: say in a comment why we depend on d"]);
        assert_eq!(unexplained("[package]\n").len(), 1);
    }
}
