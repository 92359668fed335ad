//! The life of a durable job as events, for programs.

use std::cell::RefCell;
use std::convert::Infallible;

use cluster_api::DurableStage;
use cluster_client::{DurableError, DurableJob, LogEvent};
use cluster_json::explanation::JobExplanation;
use tokio::sync::Mutex;

use super::access::Access;
use super::events::{INTERVAL, print, print_log};
use super::observed::Observed;
use super::stamped::{StampedLog, begin_of, stamp};
use crate::decoder::Decoder;
use crate::json::client::JobEvent;
use cli::error::CommandError;
use cli::terminal::LogOutput;

/// The events printed about a job's wait.
#[derive(Debug, Default)]
pub(super) struct FollowEvents {
    /// Held from the question to its answer, so that answers are printed in the order of what happened.
    asking: Mutex<()>,
    /// The last of those events.
    last: RefCell<Option<JobEvent>>,
}

impl FollowEvents {
    /// Prints the job's log to its end, with times before its lines if there is something that puts them there. The
    /// inner result is that of printing.
    pub(super) async fn log(
        &self,
        job: &DurableJob,
        observed: &Observed,
        (stamps, access): (&mut Option<StampedLog>, &Access),
    ) -> Result<Result<(), CommandError>, DurableError> {
        let mut decoder = Decoder::default();
        let mut output = LogOutput::to_json();
        let mut log = job.log();
        let mut asked = false;
        while let Some(event) = log.next().await? {
            let printed = match event {
                LogEvent::Bytes(bytes) => {
                    observed.log(&bytes);
                    if !std::mem::replace(&mut asked, true)
                        && let Err(error) = self.begun(job, observed).await?
                    {
                        return Ok(Err(error));
                    }
                    match stamp(stamps, begin_of(&log, &bytes), &bytes, access).await {
                        Ok(bytes) => print_log(decoder.text(&output.push(&bytes))).await,
                        Err(error) => Err(error),
                    }
                }
                LogEvent::Retrying { reason, .. } => {
                    asked = false;
                    // The log of the next attempt begins with a character of its own.
                    match print_log(std::mem::take(&mut decoder).finish()).await {
                        Ok(()) => print(&JobEvent::Resubmitted { message: reason }).await,
                        unprinted => unprinted,
                    }
                }
                LogEvent::CutOff(message) => print(&JobEvent::CutOff { message }).await,
            };
            if printed.is_err() {
                return Ok(printed);
            }
        }
        Ok(print_log(decoder.finish()).await)
    }

    /// Prints the progress of the job while it waits and runs, until the future is dropped.
    pub(super) async fn follow(&self, job: &DurableJob, observed: &Observed) -> Infallible {
        while let Ok(Ok(())) = self.ask(job, observed).await {
            tokio::time::sleep(INTERVAL).await;
        }
        std::future::pending().await
    }

    /// Prints that the job runs, as it has a log: it may have ended before its status could be asked for.
    async fn begun(
        &self,
        job: &DurableJob,
        observed: &Observed,
    ) -> Result<Result<(), CommandError>, DurableError> {
        let asked = self.ask(job, observed).await?;
        let is_known = matches!(&*self.last.borrow(), Some(JobEvent::Running { .. }));
        if asked.is_err() || is_known {
            return Ok(asked);
        }
        let running = JobEvent::Running {
            worker: None,
            ticket: None,
        };
        self.last.replace(Some(running.clone()));
        Ok(print(&running).await)
    }

    /// Prints the status of the job, if it is news. The inner result is that of printing.
    async fn ask(
        &self,
        job: &DurableJob,
        observed: &Observed,
    ) -> Result<Result<(), CommandError>, DurableError> {
        let _turn = self.asking.lock().await;
        let status = job.status().await?;
        let event = match status.stage {
            DurableStage::Queued { ahead, obstacle } => {
                let explanation = job.explanation().await?;
                JobEvent::Queued {
                    worker: None,
                    ahead,
                    obstacle,
                    explanation: explanation.as_ref().map(JobExplanation::of),
                }
            }
            DurableStage::Running { worker, .. } | DurableStage::Away { worker, .. } => {
                observed.runs_on(worker.clone());
                JobEvent::Running {
                    worker: Some(worker),
                    ticket: None,
                }
            }
            DurableStage::Ended { .. } => return Ok(Ok(())),
        };
        if self.last.borrow().as_ref() == Some(&event) {
            return Ok(Ok(()));
        }
        self.last.replace(Some(event.clone()));
        Ok(print(&event).await)
    }
}
