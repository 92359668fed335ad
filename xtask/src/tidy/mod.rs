//! `cargo xtask tidy`: the house rules that a machine can check. `cargo test -p xtask` checks them too.
//!
//! Each rule is a function from text to what is wrong with it, and has a test in which it finds something. What
//! breaks a rule today is on a [list](exceptions) that can only become shorter.

mod circles;
mod dependencies;
mod error_texts;
mod errors_section;
mod exceptions;
mod finding;
mod fuzz_lock;
mod layers;
mod lines;
mod map;
mod module_files;
mod places;
mod programs;
mod single_caller;
mod source;
mod tree;
mod walks;
mod words;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use self::exceptions::Exceptions;
use self::finding::Finding;
use self::tree::TextFile;

/// Prints what is wrong with the tree.
///
/// # Errors
/// When the tree cannot be read.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let found = check(root)?;
    for finding in &found {
        println!("{finding}");
    }
    Ok(if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("{} to mend", found.len());
        ExitCode::FAILURE
    })
}

/// Takes off the list of exceptions what breaks no rule any more, and prints what is wrong with the tree.
///
/// # Errors
/// When the tree cannot be read, or the list cannot be written.
pub(crate) fn update(root: &Path) -> Result<ExitCode> {
    let list = listed(root)?.without_mended(&findings(root)?);
    let path = root.join(exceptions::PATH);
    fs::write(&path, list.text()).with_context(|| path.display().to_string())?;
    println!("wrote {}", exceptions::PATH);
    run(root)
}

/// Returns what is wrong with the tree, without what is excepted.
fn check(root: &Path) -> Result<Vec<Finding>> {
    Ok(listed(root)?.apply(findings(root)?))
}

fn listed(root: &Path) -> Result<Exceptions> {
    let path = root.join(exceptions::PATH);
    let list = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Exceptions::parse(&list)
}

/// Returns all that breaks a rule.
fn findings(root: &Path) -> Result<Vec<Finding>> {
    let files = tree::read(root)?;
    let sources: Vec<&TextFile> = files.iter().filter(|file| file.is_source()).collect();
    ensure!(
        sources.len() > 20,
        "only {} source files seen",
        sources.len()
    );
    let foreign = places::of(root);
    let mut found = Vec::new();
    for file in &sources {
        found.extend(source::check(file));
        found.extend(lines::check(file));
        found.extend(errors_section::check(file));
        found.extend(error_texts::check(file));
    }
    for file in &files {
        found.extend(places::check(file, &foreign));
        found.extend(words::check(file));
    }
    found.extend(circles::check(sources.iter().copied())?);
    found.extend(programs::check(sources.iter().copied())?);
    found.extend(single_caller::check(sources.iter().copied()));
    found.extend(module_files::check(sources.iter().copied()));
    found.extend(layers::check(&files));
    found.extend(map::check(root)?);
    found.extend(walks::check(&files));
    found.extend(dependencies::check(root)?);
    found.extend(fuzz_lock::check(&files));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn the_tree_is_tidy() {
        let found: Vec<String> = check(&project::root())
            .unwrap()
            .iter()
            .map(Finding::to_string)
            .collect();
        assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    }
}
