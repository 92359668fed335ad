//! What is known of the cluster.

use super::job::ShownJob;
use super::report::{Jobs, Pool, Report};

/// What the scheduler has reported, as far as it is shown.
#[derive(Default)]
pub(super) struct Facts {
    /// The pools; `None` until the scheduler has reported them.
    pub(super) pools: Option<Vec<Pool>>,
    /// The jobs that go with what is shown; `None` if the scheduler keeps no history.
    pub(super) jobs: Option<Jobs>,
    /// The job that is shown.
    pub(super) job: Option<ShownJob>,
    /// Why there is no connection.
    pub(super) lost: Option<String>,
}

impl Facts {
    /// Takes a report.
    pub(super) fn take(&mut self, report: Report) {
        if let Report::Lost(why) = report {
            self.lost = Some(why);
            return;
        }
        self.lost = None;
        match report {
            Report::Pools { pools, jobs } => {
                self.pools = Some(pools);
                self.jobs = jobs;
            }
            report => {
                if let Some(job) = &mut self.job {
                    job.take(report);
                }
            }
        }
    }

    /// Returns a pool, if the scheduler has it.
    pub(super) fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().flatten().find(|pool| pool.name == name)
    }
}
