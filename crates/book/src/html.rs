//! Makes a site of the pages.
//!
//! Pages keep their paths relative to the project's folder, so that the same links work on the site and on a forge, and
//! pages outside `docs/` can be part of the book.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mdbook_driver::MDBook;

use crate::summary::{Summary, plain};

/// Makes the site in `folder`, whose previous contents are removed, and returns the folder of its `index.html`.
///
/// # Errors
/// When a page is missing, or mdBook cannot read one.
pub fn build(root: &Path, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let source = folder.join("src");
    let summary = Summary::read(root)?;
    write(&source.join("SUMMARY.md"), summary.text.as_bytes())?;
    for page in &summary.pages {
        let text = fs::read_to_string(root.join(page))
            .with_context(|| format!("docs/SUMMARY.md names {}", page.display()))?;
        for file in linked_files(&text, page) {
            if let Ok(bytes) = fs::read(root.join(&file)) {
                write(&source.join(&file), &bytes)?;
            }
        }
        write(&source.join(page), text.as_bytes())?;
    }
    for settings in ["book.toml", "book.css"] {
        let path = format!("docs/{settings}");
        fs::copy(root.join(&path), folder.join(settings)).context(path)?;
    }
    let book = MDBook::load(folder)?;
    book.build()?;
    Ok(book.build_dir_for("html"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// Returns the files that a page links to and that are not pages, such as a schema or an example.
fn linked_files(text: &str, page: &Path) -> Vec<PathBuf> {
    let folder = page.parent().unwrap_or(Path::new(""));
    let links = text.split("](").skip(1);
    links
        .filter_map(|after| after.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains(':') && !link.ends_with(".md"))
        .map(|link| plain(&folder.join(link)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_a_page_links_to_come_along() {
        let text = "[a](b.md) [c](../api/s.capnp#L1) [d](https://x/y) [e](#here) ![f](f.png)";
        assert_eq!(
            linked_files(text, Path::new("docs/page.md")),
            ["api/s.capnp", "docs/f.png"].map(PathBuf::from)
        );
    }
}
