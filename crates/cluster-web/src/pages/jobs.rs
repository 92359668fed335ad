//! The history of jobs.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::address::encoded;
use super::frame::Frame;
use super::graph::Graph;
use super::rows::{JobRow, Links as _};

/// The states that can be asked for.
const STATES: [&str; 7] = [
    "queued",
    "running",
    "succeeded",
    "failed",
    "timed-out",
    "lost",
    "cancelled",
];

/// The history of jobs.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "jobs.html")]
pub struct JobsPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// Which jobs are shown.
    pub filters: Filters,
    /// The jobs, the latest submission first.
    pub jobs: Vec<JobRow>,
    /// What to pass as `before` to get the next page; null if there are no more.
    pub next: Option<u64>,
    /// The address of a feed of these jobs, for programs without a cookie; null unless a label is asked for. It is a
    /// secret: who has it can read the feed.
    pub feed: Option<String>,
    /// The address of a picture with the state of the last of these jobs; like `feed`.
    pub badge: Option<String>,
    /// The times of the jobs with the asked cache hint; null if no hint is asked for.
    pub times: Option<HintTimes>,
    /// The names of the pools, to choose from.
    #[serde(skip)]
    pub pools: Vec<String>,
}

/// Which jobs are shown. Those that have all that is given.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Filters {
    /// Their pool; empty for any.
    pub pool: String,
    /// Their client; empty for any.
    pub client: String,
    /// A label, as NAME=VALUE; empty for any.
    pub label: String,
    /// Their cache hint; empty for any.
    pub hint: String,
    /// Their state; empty for any.
    pub state: String,
    /// How many hours ago they were submitted at most; null for any time.
    pub hours: Option<u32>,
}

/// The times of jobs with a certain cache hint.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HintTimes {
    /// How long they usually take with a warm cache; null if that is not known.
    pub warm_seconds: Option<f64>,
    /// How long they usually take with a cold cache; null if that is not known.
    pub cold_seconds: Option<f64>,
    /// The times, as a graph.
    pub graph: Graph,
}

impl JobsPage {
    /// Returns the address of the next page.
    fn next_page(&self) -> Option<String> {
        let next = self.next?;
        Some(format!("/jobs?{}before={next}", self.filters.query()))
    }

    fn states(&self) -> [&'static str; 7] {
        STATES
    }

    fn is_filtered(&self) -> bool {
        !self.filters.query().is_empty()
    }
}

impl Filters {
    /// Returns the filters as they stand in an address, with a `&` after each.
    pub fn query(&self) -> String {
        let Self {
            pool,
            client,
            label,
            hint,
            state,
            hours,
        } = self;
        let hours = hours.map(|hours| hours.to_string()).unwrap_or_default();
        let given = [
            ("pool", pool),
            ("client", client),
            ("label", label),
            ("hint", hint),
            ("state", state),
            ("hours", &hours),
        ];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        given
            .map(|(name, value)| format!("{name}={}&", encoded(value)))
            .collect()
    }

    fn is_hours(&self, hours: u32) -> bool {
        self.hours == Some(hours)
    }
}
