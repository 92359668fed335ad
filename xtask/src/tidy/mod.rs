//! The house rules that a machine can check, as a test: `cargo test -p xtask`.
//!
//! Each check is a function from text to what is wrong with it, and has a test that shows that it is awake.

mod dependencies;
mod map;
mod places;
mod source;
mod tree;

use crate::project;

#[test]
fn the_tree_is_tidy() {
    let root = project::root();
    let files = tree::read(&root).unwrap();
    let sources = files.iter().filter(|file| file.is_source());
    let mut findings: Vec<String> = Vec::new();
    let mut seen = 0;
    for file in sources {
        seen += 1;
        findings.extend(source::check(file));
    }
    assert!(seen > 20, "only {seen} source files seen");
    let foreign = places::of(&root);
    findings.extend(files.iter().flat_map(|file| places::check(file, &foreign)));
    findings.extend(map::check(&root).unwrap());
    findings.extend(dependencies::check(&root).unwrap());
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
