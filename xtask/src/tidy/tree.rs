//! Every text file of the project.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// A text file.
#[derive(Debug)]
pub(super) struct TextFile {
    /// Its path from the root of the project.
    pub(super) path: String,
    pub(super) text: String,
}

impl TextFile {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Returns whether it is Rust that was written by hand; what a program has generated is not held to our rules.
    pub(super) fn is_source(&self) -> bool {
        self.path.ends_with(".rs") && !self.path.contains("/raw/")
    }
}

/// Reads the project, except for what git and cargo keep in it.
pub(super) fn read(root: &Path) -> Result<Vec<TextFile>> {
    let mut found = Vec::new();
    read_folder(root, root, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read_folder(root: &Path, folder: &Path, found: &mut Vec<TextFile>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == ".git" || name == "target" || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            read_folder(root, &path, found)?;
        } else if let Ok(text) = String::from_utf8(fs::read(&path)?) {
            let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
            found.push(TextFile { path, text });
        }
    }
    Ok(())
}
