//! Which jobs to list.

use std::time::Duration;

use clap::ValueEnum;
use cluster_api::{AdminJobQuery, JobQuery, JobState, Label};

use crate::labels::label;
use cli::quantities::age;

/// Options that select jobs.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct FilterArgs {
    /// Only jobs of this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only jobs of this pool
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only jobs with this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<Label>,
    /// Only jobs in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    states: Vec<State>,
    /// Only jobs that were submitted within this time, such as 30m, 12h or 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    since: Option<Duration>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Lost,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
            State::TimedOut => Self::TimedOut,
            State::Lost => Self::Lost,
        }
    }
}

impl FilterArgs {
    /// Returns the query for a page that begins at a place.
    pub(super) fn query(&self, before: Option<u64>, at_most: u32) -> AdminJobQuery {
        AdminJobQuery {
            jobs: JobQuery {
                labels: self.labels.clone(),
                states: self.states.iter().copied().map(Into::into).collect(),
                submitted_within: self.since,
                before,
                at_most: Some(at_most),
            },
            client: self.client.clone(),
            pool: self.pool.clone(),
        }
    }
}
