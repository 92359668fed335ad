//! One pool: its queue, what runs, its clients.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::Frame;
use super::pools::{Finding, PoolRow};
use super::rows::{Links as _, QueuedRow, RunningRow};

/// One pool.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "pool.html")]
pub struct PoolPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// Its state in numbers.
    pub pool: PoolRow,
    /// What needs attention.
    pub findings: Vec<Finding>,
    /// The queued jobs of this page: those for any worker, the next one first, then those for certain workers.
    pub queue: Vec<QueuedRow>,
    /// The number of this page of the queue, from 1.
    pub page: u32,
    /// How many pages the queue has.
    pub pages: u32,
    /// The running jobs, the oldest first.
    pub running: Vec<RunningRow>,
    /// The clients that have submitted jobs since the scheduler started; null if the visitor may not see them.
    pub clients: Option<Vec<ClientRow>>,
}

/// A client of a pool.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ClientRow {
    /// The name it was added under.
    pub id: String,
    /// Its share of the pool: how many jobs it is expected to run at once.
    pub rate: f64,
    /// How many of its jobs no worker has taken.
    pub queued: u32,
    /// How many of those are urgent.
    pub urgent: u32,
    /// How many of its jobs run.
    pub running: u32,
    /// Its part of the time for which the workers ran jobs within the last 24 hours, from 0 to 1; null if that is not
    /// known.
    pub share: Option<f64>,
}

impl PoolPage {
    /// Returns the text of what this page of the queue shows of it.
    fn pages_text(&self) -> String {
        format!("page {} of {}", self.page, self.pages.max(1))
    }

    /// Returns whether it is known what part of the time any client had.
    fn knows_shares(&self) -> bool {
        let mut clients = self.clients.iter().flatten();
        clients.any(|client| client.share.is_some())
    }
}

impl RunningRow {
    /// Returns whether the job runs for much longer than such jobs usually do.
    pub(super) fn is_late(&self) -> bool {
        self.usual_seconds
            .is_some_and(|usual| self.running_seconds > 2.0 * usual.max(30.0))
    }
}

impl ClientRow {
    fn share_text(&self) -> String {
        self.share
            .map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
    }
}
