//! What operators did.

use askama::Template;
use cluster_json::audit::AuditedCall;
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
    /// What it was.
    #[serde(flatten)]
    pub call: AuditedCall,
    /// How long ago.
    pub ago_seconds: f64,
}
