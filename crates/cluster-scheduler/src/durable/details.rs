//! What operators see of the jobs of all clients.

use std::time::Duration;

use cluster_api::{AdminJobQuery, JobDetails, JobState, Label, ListedJob, ListedJobs, RpcError};
use cluster_web::cluster::{FoundJob, FoundJobs, JobsQuery};
use job_store::{Query, Reader, Record};
use jobs::{CancelledBy, JobId};
use pool::{ClientId, Time};

use super::{DurableJobs, convert};

/// How far jobs have come, and how long they have waited.
pub(crate) struct JobWaits {
    pub(crate) jobs: Vec<(JobState, Option<Duration>)>,
    /// Where the next page begins; `None` if this was the last one.
    pub(crate) next: Option<u64>,
}

impl DurableJobs {
    /// Returns a page of the jobs of all clients.
    pub(crate) async fn list_all(&self, query: AdminJobQuery) -> Result<ListedJobs, RpcError> {
        let FoundJobs { jobs, next } = self.list_found(JobsQuery::from(query)).await?;
        let listed = jobs.into_iter().map(|job| ListedJob {
            summary: job.summary,
            client: job.client,
        });
        Ok(ListedJobs {
            jobs: listed.collect(),
            next,
        })
    }

    /// Returns a page of the jobs of all clients, as the pages ask for them.
    pub(crate) async fn list_found(&self, query: JobsQuery) -> Result<FoundJobs, RpcError> {
        let now = self.clock.unix_now();
        let JobsQuery {
            admin: AdminJobQuery { jobs, client, pool },
            hint,
            worker,
        } = query;
        let Ok(client) = client.map(|client| ClientId::new(&client)).transpose() else {
            // There is no such client.
            return Ok(FoundJobs::default());
        };
        let query = Query {
            pool,
            hint,
            worker,
            ..convert::query(client, jobs, now)
        };
        let page = self.read(move |reader| reader.page(&query)).await?;
        Ok(FoundJobs {
            jobs: page
                .records
                .iter()
                .map(|record| found(record, now))
                .collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    /// Returns all that is known of a job.
    pub(crate) async fn details(&self, id: &str) -> Result<JobDetails, RpcError> {
        let job = self.find_any(id).await?;
        self.known(job).await
    }

    /// Returns how far each job of a page of the history has come, and how long it has waited if it has begun.
    pub(crate) async fn waits(&self, query: AdminJobQuery) -> Result<JobWaits, RpcError> {
        let now = self.clock.unix_now();
        let AdminJobQuery { jobs, pool, .. } = query;
        let query = Query {
            pool,
            ..convert::query(None, jobs, now)
        };
        let page = self.read(move |reader| reader.page(&query)).await?;
        let jobs = page.records.iter().map(|record| {
            let first = record.attempts.first();
            let waited = first.map(|attempt| {
                let waited = attempt.started.secs_after(record.submitted);
                Duration::try_from_secs_f64(waited).unwrap_or_default()
            });
            (convert::wire_state(record.state), waited)
        });
        Ok(JobWaits {
            jobs: jobs.collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    /// Returns the labels of some jobs. One that is not kept has none.
    pub(crate) async fn labels(
        &self,
        jobs: Vec<JobId>,
    ) -> Result<Vec<(JobId, Vec<Label>)>, RpcError> {
        let read = move |reader: &mut Box<dyn Reader>| {
            let labels = jobs.into_iter().map(|job| {
                let record = reader.record(job)?;
                let labels =
                    record.map(|record| record.labels.iter().map(convert::wire_label).collect());
                Ok((job, labels.unwrap_or_default()))
            });
            labels.collect()
        };
        self.read(read).await
    }

    /// Cancels a job for an operator, as [`cancel`](Self::cancel) does for its client.
    pub(crate) async fn cancel_for_operator(&self, id: &str) -> Result<JobId, RpcError> {
        let job = self.find_any(id).await?;
        self.cancel_by(job, CancelledBy::Operator).await?;
        Ok(job)
    }
}

fn found(record: &Record, now: Time) -> FoundJob {
    let latest = record.attempts.last();
    let ran = latest.and_then(|attempt| {
        let (_, at) = attempt.end.as_ref()?;
        Duration::try_from_secs_f64(at.secs_after(attempt.started)).ok()
    });
    let outcome = record.end.as_ref().map(|(outcome, _)| outcome);
    FoundJob {
        summary: convert::summary(record, now),
        client: record.client.clone(),
        outcome: outcome.map(convert::outcome),
        ran,
        is_warm: None,
    }
}
