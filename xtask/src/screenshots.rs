//! `cargo xtask screenshots`: the book's pictures of pages.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::project::{root, target};
use crate::suite;

/// The test that makes them, in `target/screenshots`.
const TEST: &[&str] = &["-p", "testbed", "--test", "pages", "pictures"];

/// Makes the pictures, and puts them into the book.
///
/// # Errors
/// When they cannot be made or copied.
pub(crate) fn run() -> Result<ExitCode> {
    let made = target().join("screenshots");
    if made.exists() {
        fs::remove_dir_all(&made)?;
    }
    let ended = suite::run_some(TEST)?;
    let pictures = fs::read_dir(&made).context("no pictures were made")?;
    let book = root().join("docs/images");
    fs::create_dir_all(&book)?;
    for picture in pictures {
        let picture = picture?;
        fs::copy(picture.path(), book.join(picture.file_name()))?;
    }
    Ok(ended)
}
