//! Why a job waits, and why a worker runs no more jobs.

use cluster_api::{Explanation, Forecast};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a job waits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobExplanation {
    /// The reason, as a word: `busy`, `share`, `cache-wait`, `starting`, `probing`, `no-workers`, `not-connected`,
    /// `admin-pause`, `temporary-pause`, `worker-pause`, `shutting-down`, `not-answering`, `paused`,
    /// `scheduler-stopping`, `away` or `no-pool`; `running` or `ended` if it does not wait. Later versions may have
    /// more.
    pub kind: String,
    /// The reason for people, in a line that includes what they can do about it.
    pub text: String,
    /// How many of the jobs ahead of it are urgent.
    pub urgent_ahead: u32,
    /// How many of the jobs ahead of it are of the same client; 0 also for a job that is far behind.
    pub own_ahead: u32,
    /// When it is expected to start and to end; null if that is not known.
    pub forecast: Option<JobForecast>,
}

/// When a job is expected to start and to end, from now on. Four of five jobs start, and end, within these times.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JobForecast {
    /// The earliest start.
    pub earliest_start_seconds: f64,
    /// The latest start.
    pub latest_start_seconds: f64,
    /// The earliest end.
    pub earliest_end_seconds: f64,
    /// The latest end.
    pub latest_end_seconds: f64,
}

/// Why a worker runs no more jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkerExplanation {
    /// The reason, as a word: `no-jobs`, `full`, `not-asking`, `cache-wait`, `starting`, `probing`, `not-connected`,
    /// `admin-pause`, `temporary-pause`, `worker-pause`, `shutting-down`, `not-answering`, `paused` or
    /// `scheduler-stopping`. Later versions may have more.
    pub kind: String,
    /// The reason for people, in a line that includes what they can do about it.
    pub text: String,
}

/// Two explanations are equal if they differ only in times, which change all the time.
impl PartialEq for JobExplanation {
    fn eq(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.kind.clone(), it.urgent_ahead, it.own_ahead);
        key(self) == key(other)
    }
}

impl JobExplanation {
    /// Returns why a job waits.
    pub fn of(explanation: &Explanation) -> Self {
        let Explanation {
            kind,
            text,
            ahead: _,
            urgent_ahead,
            own_ahead,
            forecast,
        } = explanation;
        Self {
            kind: kind.clone(),
            text: text.clone(),
            urgent_ahead: *urgent_ahead,
            own_ahead: *own_ahead,
            forecast: forecast.as_ref().map(JobForecast::of),
        }
    }
}

impl JobForecast {
    /// Returns when a job is expected to start and to end.
    pub fn of(forecast: &Forecast) -> Self {
        let Forecast { start, end } = forecast;
        Self {
            earliest_start_seconds: start.0.as_secs_f64(),
            latest_start_seconds: start.1.as_secs_f64(),
            earliest_end_seconds: end.0.as_secs_f64(),
            latest_end_seconds: end.1.as_secs_f64(),
        }
    }
}

impl WorkerExplanation {
    /// Returns why a worker runs no more jobs.
    pub fn of(explanation: Explanation) -> Self {
        Self {
            kind: explanation.kind,
            text: explanation.text,
        }
    }
}
