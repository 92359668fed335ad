//! A module with modules of its own is `x/mod.rs`, everywhere: so all of it is in one folder.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::tree::TextFile;

/// Returns the files `x.rs` beside a folder `x` with sources.
pub(super) fn check<'a>(files: impl Iterator<Item = &'a TextFile>) -> Vec<Finding> {
    let paths: BTreeSet<&str> = files.map(|file| file.path.as_str()).collect();
    let in_libraries = paths.iter().filter(|path| path.contains("/src/"));
    let split = in_libraries.filter_map(|path| {
        let folder = format!("{}/", path.strip_suffix(".rs")?);
        let has_more = paths.range(folder.as_str()..).next()?.starts_with(&folder);
        has_more.then(|| Finding::strict(path, None, format!("move it to {folder}mod.rs")))
    });
    split.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str]) -> Vec<String> {
        let files: Vec<TextFile> = paths.iter().map(|path| TextFile::new(path, "")).collect();
        check(files.iter()).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_beside_its_folder_is_found() {
        let paths = [
            "a/src/b.rs",
            "a/src/b/c.rs",
            "a/src/d/mod.rs",
            "a/src/d/e.rs",
        ];
        assert_eq!(found(&paths), ["a/src/b.rs: move it to a/src/b/mod.rs"]);
    }

    #[test]
    fn names_that_begin_alike_and_tests_are_left_alone() {
        assert!(found(&["a/src/b.rs", "a/src/bc/d.rs", "a/src/b_c.rs"]).is_empty());
        assert!(found(&["a/tests/b.rs", "a/tests/b/c.rs"]).is_empty());
    }
}
