//! Whether a page can be read by everybody: axe-core, which `cargo xtask test` fetches.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig::report_not_run;
use serde_json::Value;

use crate::page::Page;

/// Where the script is, below the folder of everything that is built.
const SCRIPT: &str = "tools/axe-core/axe.min.js";

/// Runs the rules of WCAG 2.2, levels A and AA, and what axe itself advises. What is in the background is checked, too.
const RUN: &str = "axe.run(document, {
    resultTypes: ['violations'],
    preload: false,
    runOnly: {
        type: 'tag',
        values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    },
}).then(results => results.violations.map(violation =>
    `${violation.id}: ${violation.help}: ` + violation.nodes.map(node => {
        const why = [...node.any, ...node.all, ...node.none].map(check => check.message);
        return `${node.target.join(' ')} (${why.join('; ')})`;
    }).join(', ')))";

/// The script of axe-core.
#[derive(Debug)]
pub struct Axe {
    script: String,
}

impl Axe {
    /// Reads the script for the test `name`; `None` if it was not fetched, which is reported.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Panics
    /// When it was not fetched in CI, where every test must run.
    pub fn or_not_run(name: &str) -> Result<Option<Self>> {
        let path = built_files().join(SCRIPT);
        if !path.exists() {
            report_not_run(name, "axe-core, which `cargo xtask test` fetches with npm");
            return Ok(None);
        }
        let script =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(Self { script }))
    }

    /// Returns the rules that a page breaks, each with the elements that break it.
    ///
    /// # Errors
    /// When the rules cannot be run in this page.
    pub fn violations(&self, page: &Page) -> Result<Vec<String>> {
        page.evaluate(&format!("{}; 0", self.script))
            .context("cannot start axe")?;
        let found = page.evaluate(RUN)?;
        let found = found.as_array().context("no result of axe")?;
        let texts = found.iter().filter_map(Value::as_str);
        Ok(texts.map(str::to_owned).collect())
    }
}

/// Returns the folder of everything that is built.
pub fn built_files() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| here.join("../../target"))
}
