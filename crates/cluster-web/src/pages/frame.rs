//! What all pages have.

use std::fmt::Display;

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use visible::CompactElapsed;

use super::address::encoded;
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
    /// Whether the page is made once for several visitors: where its visitor would be named, it has
    /// `PLACE_OF_VISITOR`.
    pub is_shared: bool,
}

/// What stands in a page for several visitors where each is named. No text of others has it: those are escaped.
pub(crate) const PLACE_OF_VISITOR: &str = "<!--visitor-->";

/// Who looks at a page, and how to leave.
#[derive(Template)]
#[template(path = "parts/visitor.html")]
struct VisitorForm<'a> {
    visitor: &'a str,
    token: Option<&'a str>,
}

impl Frame {
    /// Returns the part of the page that names the visitor; nothing if that is not known.
    ///
    /// # Errors
    ///
    /// Those of templates. There should be none.
    pub fn visitor_form(&self) -> askama::Result<String> {
        match self.visitor.as_str() {
            _ if self.is_shared => Ok(PLACE_OF_VISITOR.to_owned()),
            "" => Ok(String::new()),
            visitor => VisitorForm {
                visitor,
                token: self.token.as_deref(),
            }
            .render(),
        }
    }

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

    /// Returns the time at which the page is made as HTML: `03:12:45 UTC`.
    pub(super) fn clock(&self) -> String {
        let shown = self.now.to_zoned(TimeZone::UTC).strftime("%H:%M:%S UTC");
        self.moment(&0.0, shown, "")
    }

    fn moment(&self, ago: &impl Seconds, shown: impl Display, after: &str) -> String {
        let nanos = (ago.seconds().clamp(0.0, 1e9) * 1e9) as i64;
        let then = self
            .now
            .checked_sub(jiff::SignedDuration::from_nanos(nanos))
            .unwrap_or(self.now);
        // There are hundreds in a page, so each is formatted once.
        let machine = format!("{then:.0}");
        let (date, time) = machine.split_once('T').unwrap_or_default();
        let time = time.trim_end_matches('Z');
        let exact = format_args!("{date} {time} UTC");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_relative_and_exact() {
        let frame = Frame {
            now: "2026-11-29T00:01:00.5Z".parse().unwrap(),
            ..Frame::default()
        };
        assert_eq!(
            frame.ago(90.0),
            "<time datetime=\"2026-11-28T23:59:30Z\" title=\"2026-11-28 23:59:30 UTC\">1m30s ago</time>"
        );
        for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert!(frame.since(odd).starts_with("<time "), "{odd}");
        }
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        for (part, whole, expected) in [
            (1.0, 4.0, 25.0),
            (9.0, 4.0, 100.0),
            (-1.0, 4.0, 0.0),
            (1.0, 0.0, 0.0),
        ] {
            assert!((percent(part, whole) - expected).abs() < 1e-9);
        }
        assert!(percent(f64::NAN, 1.0) < 1e-9);
    }
}
