//! The book in `docs/`: built as HTML, its links checked, its reference pages generated from the code.
//!
//! [`html::build`] lays out the pages that `docs/SUMMARY.md` names and has mdBook make a site of them;
//! [`links::broken`] reads that site as a browser would. [`reference::pages`] writes what is better not written by
//! hand.

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
