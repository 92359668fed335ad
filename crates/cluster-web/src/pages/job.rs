//! One job.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::Asked;
use super::frame::Frame;
use super::log_view::LogView;
use super::reason::Waiting;
use super::reproduce::{Reproduced, Submission};
use super::rows::{JobRow, Links as _};
use super::timeline::Timeline;

/// One job.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "job.html")]
pub struct JobPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// What lists have of it.
    pub job: JobRow,
    /// How far it has come, or how it ended, for people.
    pub status: String,
    /// The key of its submission; null if it has none, and if the visitor may not see it.
    pub key: Option<String>,
    /// Its cache hint; empty for none.
    pub cache_hint: String,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// How long it waited, or waits, for a worker.
    pub waited_seconds: Option<f64>,
    /// How long its latest attempt took, or takes so far; null if there is none.
    pub ran_seconds: Option<f64>,
    /// How long such jobs usually take; null if that is not known.
    pub usual_seconds: Option<f64>,
    /// Its output; null unless it succeeded.
    pub output: Option<String>,
    /// Why it waits, and until when; null unless it is queued.
    pub waiting: Option<Waiting>,
    /// Its attempts, the first one first.
    pub runs: Vec<RunRow>,
    /// What it did when.
    pub timeline: Timeline,
    /// The log of an attempt; null before the first, and if it is not kept any more.
    pub log: Option<LogView>,
    /// What was submitted; null if that is not kept any more.
    pub asked: Option<Asked>,
    /// How to do it again; null if what was submitted is not kept any more.
    pub reproduce: Option<Reproduced>,
    /// Whether the visitor may cancel it, and it has not ended.
    #[serde(skip)]
    pub may_cancel: bool,
    /// Whether the visitor may submit it again, and it has ended.
    #[serde(skip)]
    pub may_retry: bool,
}

/// A run of a job by a worker.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct RunRow {
    /// The number of the attempt.
    pub attempt: u32,
    /// The name of the worker.
    pub worker: String,
    /// How long ago it was given to the worker.
    pub started_ago_seconds: f64,
    /// How long it took; null while it has not ended.
    pub ran_seconds: Option<f64>,
    /// How it ended: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`; null while it has not, and if
    /// that is not known.
    pub result: Option<String>,
    /// More about its end, for people; empty for nothing more.
    pub detail: String,
    /// How much of its log is kept so far, in bytes.
    pub log_bytes: u64,
}

impl JobPage {
    /// Fills in how to do it again, from what was submitted.
    pub fn with_reproduction(mut self) -> Self {
        let submission = Submission {
            pool: &self.job.kept.pool,
            cache_hint: &self.cache_hint,
            urgent: self.urgent,
            labels: &self.job.kept.labels,
        };
        self.reproduce = self
            .asked
            .as_ref()
            .map(|asked| Reproduced::new(asked, submission));
        self
    }

    /// Returns a short name for the title of the browser's window: what is built, or its id.
    fn name(&self) -> String {
        self.job
            .source()
            .unwrap_or_else(|| self.job.kept.id.clone())
    }

    /// Returns the key of its submission, if its client has chosen one.
    fn chosen_key(&self) -> Option<&str> {
        self.key
            .as_deref()
            .filter(|key| !key.starts_with("random-"))
    }

    fn is_queued(&self) -> bool {
        self.job.kept.state == "queued"
    }

    fn is_running(&self) -> bool {
        self.job.kept.state == "running"
    }

    fn shows_attempt(&self, attempt: &u32) -> bool {
        self.log.as_ref().is_some_and(|log| log.attempt == *attempt)
    }
}

impl RunRow {
    fn size(&self) -> String {
        visible::Size(self.log_bytes).to_string()
    }
}
