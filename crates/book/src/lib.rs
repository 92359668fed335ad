//! The book in `docs/`: built as HTML, its links checked, its reference pages generated from the code.
//!
//! [`html::build`] lays out the pages that `docs/SUMMARY.md` names and has mdBook make a site of them;
//! [`links::broken`] checks that site as a browser would follow it. [`reference::pages`] generates the pages that state
//! facts of the code.

pub mod html;
pub mod links;
pub mod reference;
pub mod summary;

use std::path::{Path, PathBuf};

/// Returns the folder of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
