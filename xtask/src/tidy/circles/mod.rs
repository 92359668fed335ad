//! No circle between modules: of two files, one knows the other, or neither does.
//!
//! A file may know those it is made of, and they it; so what leads from a file to one above or below it does not count.

mod graph;
mod paths;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::TokenStream;

use self::graph::Graph;
use self::paths::Reader;
use super::finding::{Finding, Rule};
use super::tree::TextFile;

/// Where a module is in its crate: `["store", "tree"]` is `crate::store::tree`, and the crate itself is `[]`.
type ModulePath = Vec<String>;

/// Returns the circles of all crates.
///
/// # Errors
/// When a file is not Rust.
pub(super) fn check<'a>(files: impl Iterator<Item = &'a TextFile>) -> Result<Vec<Finding>> {
    let mut crates: BTreeMap<&str, Vec<&TextFile>> = BTreeMap::new();
    for file in files {
        if let Some((folder, _)) = file.path.split_once("/src/") {
            crates.entry(folder).or_default().push(file);
        }
    }
    let mut found = Vec::new();
    for files in crates.values() {
        found.extend(circles(files)?);
    }
    Ok(found)
}

/// Returns the circles of one crate, whose files these are.
fn circles(files: &[&TextFile]) -> Result<Vec<Finding>> {
    let mut modules: BTreeMap<ModulePath, &TextFile> = BTreeMap::new();
    for file in files {
        if let Some(module) = module_of(&file.path) {
            modules.insert(module, file);
        }
    }
    let mut reader = Reader::default();
    for (module, file) in &modules {
        let tokens: TokenStream = file
            .text
            .parse()
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("cannot read {}", file.path))?;
        reader.read(module, tokens);
    }
    let graph = Graph::new(&modules.keys().cloned().collect(), &reader);
    Ok(graph
        .circles()
        .iter()
        .map(|circle| finding(circle, &graph, &modules))
        .collect())
}

/// Returns the module that a file is, if it is one of its crate's library or only program.
fn module_of(path: &str) -> Option<ModulePath> {
    let (_, inside) = path.split_once("/src/")?;
    let mut module: ModulePath = inside
        .strip_suffix(".rs")?
        .split('/')
        .map(str::to_owned)
        .collect();
    if module.first().is_some_and(|first| first == "bin") {
        return None;
    }
    let is_root = matches!(inside, "lib.rs" | "main.rs");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let is_test =
        |name: &String| matches!(name.as_str(), "tests" | "testing") || name.ends_with("_tests");
    (!module.iter().any(is_test)).then_some(module)
}

fn finding(
    circle: &[ModulePath],
    graph: &Graph,
    modules: &BTreeMap<ModulePath, &TextFile>,
) -> Finding {
    let path = |module: &ModulePath| modules.get(module).map_or("", |file| &file.path);
    let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
    let mut message = format!(
        "{} know each other; move what they share to a file of its own:",
        names.join(", ")
    );
    for (from, to, line) in graph.edges_within(circle) {
        message.push_str(&format!(
            "\n  {}:{line}: uses {}",
            path(from),
            to.join("::")
        ));
    }
    let first = circle.first().map_or("", path);
    Finding {
        rule: Rule::Circle,
        subject: names.join(", "),
        ..Finding::strict(first, None, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<TextFile> = files
            .iter()
            .map(|(path, text)| TextFile::new(&format!("crates/a/src/{path}"), text))
            .collect();
        check(files.iter())
            .unwrap()
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn two_files_that_know_each_other_are_a_circle() {
        assert_eq!(
            found(&[
                ("lib.rs", "mod a;\nmod b;\n"),
                ("a.rs", "use crate::b::B;\n"),
                ("b.rs", "\nuse std::fmt;\nuse super::{a::{self, A}, lib};\n"),
            ]),
            [
                "crates/a/src/a.rs: a, b know each other; move what they share to a file of its own:\n  \
              crates/a/src/a.rs:1: uses b\n  crates/a/src/b.rs:3: uses a"
            ]
        );
    }

    #[test]
    fn a_circle_may_be_long_and_go_through_paths_in_code() {
        let found = found(&[
            ("a/mod.rs", "fn f() { println!(\"{}\", crate::b::g()) }\n"),
            ("b.rs", "type C = super::c::d::C;\n"),
            ("c/mod.rs", ""),
            ("c/d.rs", "mod inner { use super::super::super::a; }\n"),
        ]);
        assert!(
            found[0].starts_with("crates/a/src/a/mod.rs: a, b, c::d know each other"),
            "{found:?}"
        );
    }

    #[test]
    fn parent_and_child_may_know_each_other() {
        let found = found(&[
            ("lib.rs", "use crate::a::b::B;\n"),
            ("a.rs", "mod b;\nuse self::b::B;\n"),
            ("a/b.rs", "use super::A;\nuse crate::Lib;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn tests_may_know_everybody() {
        let found = found(&[
            (
                "a.rs",
                "#[cfg(test)]\nmod t { use crate::b::B; }\n#[cfg(test)]\nuse crate::b;\n#[cfg(test)]\nmod c;\n",
            ),
            ("a/c.rs", "use crate::b;\n"),
            ("b.rs", "use crate::a::c;\n"),
            ("a/tests.rs", "use crate::b;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
