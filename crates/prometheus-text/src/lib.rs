//! Writes pages of metrics as Prometheus reads them, in version 0.0.4 of its text format.
//!
//! A [`Page`] has families, one for each metric, and a family has samples, which labels distinguish. The numbers come
//! from the caller's state when the page is requested, so that none can be out of date; only a [`Histogram`] counts by
//! itself.
//!
//! ```
//! use prometheus_text::{Kind, Page};
//!
//! let mut page = Page::default();
//! page.gauge("queue_length", "Number of queued jobs", 3);
//! let mut ended = page.family("jobs_total", Kind::Counter, "Number of jobs, by result");
//! ended.sample(&[("result", "ok")], 17);
//! ended.sample(&[("result", "fail")], 4);
//! let text = page.into_text();
//! assert!(text.starts_with("# HELP queue_length Number of queued jobs\n# TYPE queue_length gauge\nqueue_length 3\n"));
//! assert!(text.ends_with("jobs_total{result=\"ok\"} 17\njobs_total{result=\"fail\"} 4\n"));
//! ```
//!
//! The `prometheus-client` crate is not used because it writes OpenMetrics: it ends each help text with a full stop,
//! adds `_total` to the names of counters and ends the page with `# EOF`. Dashboards and scrapers know upstream's page,
//! which has none of these.

mod histogram;
mod page;
mod process;

pub use self::histogram::Histogram;
pub use self::page::{CONTENT_TYPE, Family, Kind, Labels, Page};
pub use self::process::cpu_time;
