//! What all pages have.

use std::fmt::Display;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use visible::CompactElapsed;

use super::jobs::encoded;
use super::seconds::Seconds;

/// The part of the navigation that a page belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// Pools and workers.
    Pools,
    /// Jobs.
    Jobs,
    /// The audit log.
    Audit,
    /// None of them.
    #[default]
    Other,
}

/// What all pages have, and what depends on the visitor.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// When the page is made.
    pub now: Timestamp,
    /// The part of the navigation that the page belongs to.
    pub section: Section,
    /// Who looks at the page, such as `operator` or `client alice`; empty if that is not known.
    pub visitor: String,
    /// Whether the visitor may see pools.
    pub may_see_pools: bool,
    /// Whether the visitor may see lists of jobs.
    pub may_list_jobs: bool,
    /// Whether the visitor may pause workers, and read the audit log.
    pub may_operate: bool,
    /// What forms send back, so that no other site can send them; `None` if the visitor may do nothing.
    pub token: Option<String>,
    /// Where the stream of changes of this page is; `None` if it does not change.
    pub events: Option<String>,
    /// The JSON of this page; `None` if there is none.
    pub json: Option<String>,
    /// After how many seconds browsers load the page again, without a script; `None` for never.
    pub refresh: Option<u32>,
    /// The version of the scheduler.
    pub version: String,
}

impl Frame {
    /// Returns a length of time: `2m10s`.
    pub(super) fn time(&self, seconds: impl Seconds) -> String {
        time(seconds)
    }

    /// Returns a name as a part of an address.
    pub(super) fn path(&self, name: impl AsRef<str>) -> String {
        encoded(name)
    }

    /// Marks the link of the part of the navigation that the page belongs to.
    pub(super) fn current(&self, section: &str) -> &'static str {
        let is_here = matches!(
            (self.section, section),
            (Section::Pools, "pools") | (Section::Jobs, "jobs") | (Section::Audit, "audit")
        );
        if is_here {
            " aria-current=\"page\""
        } else {
            ""
        }
    }

    /// Returns a moment as HTML: `2m10s ago`, and when that was.
    pub(super) fn ago(&self, seconds: impl Seconds) -> String {
        self.moment(
            &seconds,
            CompactElapsed::from_seconds(seconds.seconds()),
            " ago",
        )
    }

    /// Returns how long something lasts already as HTML: `2m10s`, and since when.
    pub(super) fn since(&self, seconds: impl Seconds) -> String {
        self.moment(
            &seconds,
            CompactElapsed::from_seconds(seconds.seconds()),
            "",
        )
    }

    fn moment(&self, ago: &impl Seconds, shown: impl Display, after: &str) -> String {
        let nanos = (ago.seconds().clamp(0.0, 1e9) * 1e9) as i64;
        let then = self
            .now
            .checked_sub(jiff::SignedDuration::from_nanos(nanos))
            .unwrap_or(self.now);
        let exact = then
            .to_zoned(TimeZone::UTC)
            .strftime("%Y-%m-%d %H:%M:%S UTC");
        let machine = then.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ");
        format!("<time datetime=\"{machine}\" title=\"{exact}\">{shown}{after}</time>")
    }
}

/// Returns a length of time: `2m10s`.
pub(super) fn time(seconds: impl Seconds) -> String {
    CompactElapsed::from_seconds(seconds.seconds()).to_string()
}

/// Returns a share as a percentage, between 0 and 100.
pub(super) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 && part.is_finite() {
        (part / whole * 100.0).clamp(0.0, 100.0)
    } else {
        0.0
    }
}
