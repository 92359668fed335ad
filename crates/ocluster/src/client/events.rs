//! The life of a job as events, for programs.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use cluster_api::{Explanation, TicketStatus};
use cluster_client::Attempt;
use cluster_json::explanation::JobExplanation;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::observed::Observed;
use super::show_error::ShowError;
use super::waiting::{Explains, Wait};
use crate::decoder::Decoder;
use crate::json::client::JobEvent;
use cli::error::CommandError;
use cli::terminal::{self, LogOutput};

/// How often the scheduler is asked while a job waits.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// The events printed about a job's wait.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The last of those events.
    last: RefCell<Option<JobEvent>>,
}

impl Events {
    /// Prints the job's log to its end.
    pub(super) async fn log(
        &self,
        attempt: &Attempt,
        observed: &Observed,
    ) -> Result<(), ShowError> {
        let mut decoder = Decoder::default();
        let mut output = LogOutput::to_json();
        let mut log = attempt.log();
        let mut asked = false;
        while let Some(bytes) = log.next().await.map_err(ShowError::Log)? {
            observed.log(&bytes);
            // A job with a log is running, or was.
            if !std::mem::replace(&mut asked, true) {
                let running = match attempt.status().await {
                    Ok(status @ TicketStatus::Running { .. }) => {
                        progress(status, None, observed.ticket().await)
                    }
                    Ok(_) | Err(_) => None,
                };
                let running = running.unwrap_or(JobEvent::Running {
                    worker: None,
                    ticket: observed.ticket().await,
                });
                self.changed(running).await.map_err(ShowError::Output)?;
            }
            let printed = print_log(decoder.text(&output.push(&bytes))).await;
            printed.map_err(ShowError::Output)?;
        }
        let printed = print_log(decoder.finish()).await;
        printed.map_err(ShowError::Output)
    }

    /// Prints the progress of the job while it waits and the scheduler can report it, until the future is dropped.
    pub(super) async fn follow(&self, attempt: &Attempt, observed: &Observed) -> Infallible {
        let explains = Explains::default();
        while let Some(Wait {
            status,
            explanation,
        }) = explains.ask(attempt).await
            && let Some(event) = progress(status, explanation, observed.ticket().await)
            && self.changed(event).await.is_ok()
        {
            tokio::time::sleep(INTERVAL).await;
        }
        std::future::pending().await
    }

    /// Prints an event about the wait, if it is news.
    async fn changed(&self, event: JobEvent) -> Result<(), CommandError> {
        // Once the job runs it never waits again, whatever a late answer reports.
        let is_news = match &*self.last.borrow() {
            Some(JobEvent::Running { .. }) => false,
            last => last.as_ref() != Some(&event),
        };
        if is_news {
            // Before it is printed: the log and the wait report about the same job concurrently.
            self.last.replace(Some(event.clone()));
            print(&event).await?;
        }
        Ok(())
    }
}

/// Returns the event for a status of the ticket with this number; `None` if the job has finished.
fn progress(
    status: TicketStatus,
    explanation: Option<Explanation>,
    ticket: Option<u64>,
) -> Option<JobEvent> {
    let explanation = explanation.as_ref().map(JobExplanation::of);
    match status {
        TicketStatus::Queued { ahead, obstacle } => Some(JobEvent::Queued {
            worker: None,
            ahead,
            obstacle,
            explanation,
        }),
        TicketStatus::Assigned { worker, ahead } => Some(JobEvent::Queued {
            worker: Some(worker),
            ahead,
            obstacle: None,
            explanation,
        }),
        TicketStatus::Running { worker } => Some(JobEvent::Running {
            worker: Some(worker),
            ticket,
        }),
        TicketStatus::Finished => None,
    }
}

/// Prints an event, without blocking the thread while the reader is slow.
pub(super) async fn print(event: &JobEvent) -> Result<(), CommandError> {
    print_json(event).await
}

/// Prints any value in a line, in the same way.
pub(super) async fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let json = serde_json::to_string(value).map_err(CommandError::internal)?;
    let line = terminal::plain_json(&json).into_owned() + "\n";
    let mut stdout = tokio::io::stdout();
    let written = async {
        stdout.write_all(line.as_bytes()).await?;
        stdout.flush().await
    };
    written
        .await
        .map_err(|error: std::io::Error| CommandError::from_output(&error))
}

pub(super) async fn print_log(text: String) -> Result<(), CommandError> {
    if text.is_empty() {
        return Ok(());
    }
    print(&JobEvent::Log { text }).await
}
