//! Pages that are generated from the code.

mod exit_codes;
mod interfaces;
mod json;
mod json_example;
mod markdown;
mod messages;
mod metrics;
mod options;
mod schema;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The command that refreshes the pages.
pub const COMMAND: &str = "cargo run -p book -- reference";

/// A generated page.
#[derive(Debug)]
pub struct Page {
    /// Its path from the project's folder.
    pub path: &'static str,
    /// Its contents.
    pub text: String,
}

/// Returns all generated pages, with the contents that they should have.
///
/// # Errors
/// When the project's sources or schemas cannot be read.
pub fn pages(root: &Path) -> Result<Vec<Page>> {
    let page = |path, body: String| Page {
        path,
        text: format!("<!-- Written by `{COMMAND}`. Do not edit. -->\n\n{body}"),
    };
    Ok(vec![
        page("docs/reference/options.md", options::page()),
        page("docs/reference/json.md", json::page()),
        page("docs/reference/exit-codes.md", exit_codes::page()),
        page("docs/reference/metrics.md", metrics::page()),
        page("docs/reference/interfaces.md", interfaces::page(root)?),
        page("docs/reference/messages.md", messages::page(root)?),
    ])
}

/// Writes all generated pages.
///
/// # Errors
/// As [`pages`], and when a file cannot be written.
pub fn write(root: &Path) -> Result<()> {
    for Page { path, text } in pages(root)? {
        fs::write(root.join(path), text).with_context(|| path.to_owned())?;
    }
    Ok(())
}

/// Returns the paths of the pages with other contents.
///
/// # Errors
/// As [`pages`].
pub fn stale(root: &Path) -> Result<Vec<&'static str>> {
    let pages = pages(root)?.into_iter();
    Ok(pages
        .filter(|page| fs::read_to_string(root.join(page.path)).ok().as_ref() != Some(&page.text))
        .map(|page| page.path)
        .collect())
}
