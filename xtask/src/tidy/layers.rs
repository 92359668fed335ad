//! Who may use whom: the table of ARCHITECTURE.md, compared with the manifests.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::tree::TextFile;

const MAP: &str = "ARCHITECTURE.md";
/// The line before the table.
const TITLE: &str = "Who may use whom";
/// What the table calls all crates of this folder at once.
const EXAMPLES: &str = "examples";

/// Returns where the table and the manifests differ.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(map) = files.iter().find(|file| file.path == MAP) else {
        return vec![Finding::strict(MAP, None, "write it".to_owned())];
    };
    let manifests: Vec<Manifest> = files.iter().filter_map(Manifest::read).collect();
    compare(&Table::read(&map.text), &manifests)
}

/// What the map says.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    /// For each crate, or [`EXAMPLES`], whom it may use.
    may_use: BTreeMap<String, BTreeSet<String>>,
    /// The crates that only developers run.
    dev_only: BTreeSet<String>,
}

impl Table {
    fn read(map: &str) -> Self {
        let after = map.lines().skip_while(|line| !line.starts_with(TITLE));
        let fenced = after.skip_while(|line| !line.starts_with("```")).skip(1);
        let mut may_use = BTreeMap::new();
        for line in fenced.take_while(|line| *line != "```") {
            let Some((users, used)) = line.split_once('→') else {
                continue;
            };
            // "a → b, c: why" and "a → nothing of ours".
            let used = used.split(':').next().unwrap_or_default().trim();
            let used = if used == "nothing of ours" { "" } else { used };
            for user in names(users) {
                let of_user: &mut BTreeSet<String> = may_use.entry(user).or_default();
                of_user.extend(names(used));
            }
        }
        let rows = map.lines().filter(|line| line.starts_with("| `"));
        let dev_only = rows.filter(|row| row.trim_end().ends_with("| dev only |"));
        Self {
            may_use,
            dev_only: dev_only
                .filter_map(|row| row.split('`').nth(1)?.rsplit('/').next())
                .map(str::to_owned)
                .collect(),
        }
    }
}

fn names(list: &str) -> impl Iterator<Item = String> {
    let words = list.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// What a manifest says.
#[derive(Debug)]
struct Manifest {
    path: String,
    name: String,
    /// What the table calls it.
    row: String,
    /// The dependencies for more than tests, each with its line.
    uses: BTreeMap<String, usize>,
}

impl Manifest {
    /// Reads a member of the workspace.
    fn read(file: &TextFile) -> Option<Self> {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        if !["crates", EXAMPLES, ""].contains(&parent) {
            return None;
        }
        let row = if parent == EXAMPLES { EXAMPLES } else { name };
        let mut uses = BTreeMap::new();
        let mut is_inside = false;
        for (number, line) in file.text.lines().enumerate() {
            if let Some(section) = line.strip_prefix('[') {
                let section = section.trim_end_matches(']');
                let kind = section.rsplit('.').next().unwrap_or_default();
                is_inside = matches!(kind, "dependencies" | "build-dependencies");
            } else if is_inside && let Some(name) = line.split(['.', ' ', '=']).next() {
                uses.insert(name.to_owned(), number + 1);
            }
        }
        Some(Self {
            path: file.path.clone(),
            name: name.to_owned(),
            row: row.to_owned(),
            uses,
        })
    }
}

fn compare(table: &Table, manifests: &[Manifest]) -> Vec<Finding> {
    let ours: BTreeSet<&String> = manifests.iter().map(|manifest| &manifest.name).collect();
    let mut found = Vec::new();
    let mut unused = table.may_use.clone();
    for manifest in manifests {
        let Manifest {
            path,
            name,
            row,
            uses,
        } = manifest;
        let is_dev_only = table.dev_only.contains(name);
        let may_use = table.may_use.get(row);
        if may_use.is_none() && !is_dev_only {
            let message = format!("{MAP} does not say whom {row} may use; add it to \"{TITLE}\"");
            found.push(Finding::strict(path, None, message));
        }
        for (used, line) in uses.iter().filter(|(used, _)| ours.contains(used)) {
            if let Some(of_row) = unused.get_mut(row) {
                of_row.remove(used);
            }
            if table.dev_only.contains(used) && !is_dev_only {
                let message = format!("{used} is for tests only; make it a dev-dependency");
                found.push(Finding::strict(path, *line, message));
            } else if may_use.is_some_and(|may_use| !may_use.contains(used)) {
                let message = format!("{row} may not use {used}; see \"{TITLE}\" in {MAP}");
                found.push(Finding::strict(path, *line, message));
            }
        }
    }
    for (row, used) in &unused {
        for used in used {
            let message = format!("\"{TITLE}\": {row} does not use {used}; take it off");
            found.push(Finding::strict(MAP, None, message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP_TEXT: &str = "| `crates/rig` | machines | dev only |\n\nWho may use whom, in full:\n\n```\n\
                            app → core, wire\nwire, core → nothing of ours\n\
                            examples → wire: what anybody can use\n```\n";

    fn found(manifests: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![TextFile::new(MAP, MAP_TEXT)];
        let tidy = [
            (
                "crates/app/Cargo.toml",
                "[dependencies]\ncore.workspace = true\nwire.workspace = true\n",
            ),
            (
                "crates/core/Cargo.toml",
                "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nrig.workspace = true\n",
            ),
            ("crates/wire/Cargo.toml", ""),
            ("crates/rig/Cargo.toml", ""),
            (
                "examples/a/Cargo.toml",
                "[dependencies]\nwire = { path = \"../../crates/wire\" }\n",
            ),
        ];
        for (path, text) in tidy {
            let replaced = manifests.iter().find(|(replaced, _)| *replaced == path);
            files.push(TextFile::new(path, replaced.map_or(text, |(_, text)| text)));
        }
        let more = manifests
            .iter()
            .filter(|(path, _)| tidy.iter().all(|(known, _)| known != path));
        files.extend(more.map(|(path, text)| TextFile::new(path, text)));
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn manifests_that_follow_the_table_pass() {
        assert!(found(&[]).is_empty(), "{:?}", found(&[]));
    }

    #[test]
    fn a_crate_uses_only_what_the_table_allows() {
        assert_eq!(
            found(&[(
                "crates/wire/Cargo.toml",
                "[dependencies]\ncore.workspace = true\n"
            )]),
            [
                "crates/wire/Cargo.toml:2: wire may not use core; see \"Who may use whom\" in ARCHITECTURE.md"
            ]
        );
        assert_eq!(
            found(&[(
                "crates/core/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nrig.workspace = true\n"
            )]),
            ["crates/core/Cargo.toml:2: rig is for tests only; make it a dev-dependency"]
        );
    }

    #[test]
    fn the_table_says_no_more_than_the_manifests() {
        assert_eq!(
            found(&[(
                "crates/app/Cargo.toml",
                "[dependencies]\ncore.workspace = true\n"
            )]),
            ["ARCHITECTURE.md: \"Who may use whom\": app does not use wire; take it off"]
        );
    }

    #[test]
    fn every_crate_is_in_the_table() {
        assert_eq!(
            found(&[("crates/new/Cargo.toml", "")]),
            [
                "crates/new/Cargo.toml: ARCHITECTURE.md does not say whom new may use; add it to \"Who may use whom\""
            ]
        );
    }
}
