//! What operators did.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::Frame;

/// What operators did.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// The calls that were to change something, the latest first.
    pub calls: Vec<AuditRow>,
    /// What to pass as `before` to get the next page; null if there are no more.
    pub next: Option<u64>,
}

/// A call that was to change something.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AuditRow {
    /// When, by the scheduler's clock.
    pub time: String,
    /// How long ago.
    pub ago_seconds: f64,
    /// Who made it, as the operator's program reported; null when it did not.
    pub by: Option<String>,
    /// Where it came from.
    pub address: String,
    /// The service that it came through: `admin`, or `pages` for these pages.
    pub service: String,
    /// What was to be done, such as `pause`.
    pub action: String,
    /// In which pool; null if it was about no pool.
    pub pool: Option<String>,
    /// To which worker, client or job.
    pub object: String,
    /// More about it, such as the note of a pause; null for nothing more.
    pub detail: Option<String>,
    /// Why it failed; null if it did not.
    pub error: Option<String>,
}
