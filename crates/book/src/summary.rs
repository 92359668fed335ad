//! `docs/SUMMARY.md`, the book's table of contents.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

/// The book's table of contents.
#[derive(Debug)]
pub struct Summary {
    /// Its text, with links from the project's folder.
    pub text: String,
    /// The pages it names, as paths from the project's folder, in order.
    pub pages: Vec<PathBuf>,
}

impl Summary {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("docs/SUMMARY.md");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self::parse(&text))
    }

    fn parse(source: &str) -> Self {
        let mut text = String::new();
        let mut pages = Vec::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("](") {
            let (link, behind) = after.split_once(')').unwrap_or((after, ""));
            let page = plain(&Path::new("docs").join(link));
            text.push_str(&format!("{before}]({})", page.display()));
            pages.push(page);
            rest = behind;
        }
        text.push_str(rest);
        Self { text, pages }
    }

    /// Returns the pages in `docs/` that it does not link to, which no reader would find.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn forgotten(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![root.join("docs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let page = path.strip_prefix(root)?.to_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "md")
                    && page != Path::new("docs/SUMMARY.md")
                    && !self.pages.contains(&page)
                {
                    found.push(page);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Returns `path` without its `..` and `.`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_the_project() {
        let summary = Summary::parse("# Summary\n\n[A](../A.md)\n\n- [B](b.md)\n  - [C](d/c.md)\n");
        assert_eq!(
            summary.text,
            "# Summary\n\n[A](A.md)\n\n- [B](docs/b.md)\n  - [C](docs/d/c.md)\n"
        );
        assert_eq!(
            summary.pages,
            ["A.md", "docs/b.md", "docs/d/c.md"].map(PathBuf::from)
        );
    }

    #[test]
    fn pages_that_are_not_linked_are_found() {
        let root = tempfile::tempdir().unwrap();
        let docs = root.path().join("docs");
        fs::create_dir_all(docs.join("d")).unwrap();
        for page in ["SUMMARY.md", "b.md", "d/c.md", "d/lost.md", "picture.png"] {
            fs::write(docs.join(page), "").unwrap();
        }
        let summary = Summary::parse("- [B](b.md)\n- [C](d/c.md)\n");
        assert_eq!(
            summary.forgotten(root.path()).unwrap(),
            [PathBuf::from("docs/d/lost.md")]
        );
    }
}
