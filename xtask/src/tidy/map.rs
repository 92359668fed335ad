//! Every crate is in the code map of ARCHITECTURE.md.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::finding::Finding;

/// Returns the crates that the map lacks.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).context("no ARCHITECTURE.md")?;
    let mut members = vec!["xtask".to_owned()];
    for folder in ["crates", "examples"] {
        for entry in fs::read_dir(root.join(folder))? {
            members.push(format!("{folder}/{}", entry?.file_name().to_string_lossy()));
        }
    }
    Ok(missing(&map, &members))
}

fn missing(map: &str, members: &[String]) -> Vec<Finding> {
    let is_there = |member: &&String| {
        map.lines()
            .any(|l| l.starts_with(&format!("| `{member}` |")))
    };
    let lacking = members.iter().filter(|member| !is_there(member));
    lacking
        .map(|member| {
            let message = format!("`{member}` is not in the code map; add its row");
            Finding::strict("ARCHITECTURE.md", None, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_must_have_a_row_and_not_just_a_mention() {
        let map = "Not to forget `crates/b`.\n| `crates/a` | what it is for |\n";
        let members = ["crates/a".to_owned(), "crates/b".to_owned()];
        let found = missing(map, &members);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            ["ARCHITECTURE.md: `crates/b` is not in the code map; add its row"]
        );
    }
}
