//! Every dependency of the workspace says why it is there.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Returns the dependencies that do not.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    Ok(unexplained(&fs::read_to_string(root.join("Cargo.toml"))?))
}

/// A comment explains the dependency on its line, and those below it up to the next empty line.
fn unexplained(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut inside, mut explained, mut seen) = (false, false, 0);
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if line.trim().is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if inside && let Some((name, rest)) = line.split_once(" = ") {
            seen += 1;
            if !explained && !rest.contains(" #") {
                found.push(format!(
                    "Cargo.toml: say in a comment why we depend on {name}"
                ));
            }
        }
    }
    if seen == 0 {
        found.push("Cargo.toml: no [workspace.dependencies] seen".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_on_the_line_or_above_the_group() {
        let manifest = "[workspace.dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\nc = \"1\" # Why.\nd = \"1\"\n";
        assert_eq!(
            unexplained(manifest),
            ["Cargo.toml: say in a comment why we depend on d"]
        );
        assert_eq!(unexplained("[package]\n").len(), 1);
    }
}
