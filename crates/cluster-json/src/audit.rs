//! What operators did.

use cluster_api::AuditEntry;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// What operators did, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Audit {
    /// The calls that were to change something.
    pub calls: Vec<AuditedCall>,
    /// Whether there are more than `--limit`.
    pub more: bool,
}

/// A call that was to change something.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AuditedCall {
    /// When, by the scheduler's clock.
    pub time: String,
    /// Who made it, as the operator's program reported; null when it did not.
    pub by: Option<String>,
    /// Where it came from.
    pub address: String,
    /// The service that it came through: `admin`, or `pages`.
    pub service: String,
    /// What was to be done: `pause`, `unpause`, `drain`, `update`, `forget`, `set-rate`, `cancel`, `add-client` or
    /// `remove-client`.
    pub action: String,
    /// In which pool; null if it was about no pool.
    pub pool: Option<String>,
    /// To which worker, client or job.
    pub object: String,
    /// More about it, for people; null for nothing more.
    pub detail: Option<String>,
    /// Why it failed; null if it did not.
    pub error: Option<String>,
}

impl AuditedCall {
    /// Returns an entry of the audit log.
    pub fn of(entry: AuditEntry) -> Self {
        let AuditEntry {
            time,
            service,
            address,
            by,
            action,
            pool,
            object,
            detail,
            error,
        } = entry;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        Self {
            time: format!("{time:.3}"),
            by: given(by),
            address,
            service,
            action,
            pool: given(pool),
            object,
            detail: given(detail),
            error: given(error),
        }
    }
}
