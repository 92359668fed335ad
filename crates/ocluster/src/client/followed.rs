//! A durable job that is followed to its end: shows its log, and reports its outcome.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use cluster_api::{DurableOutcome, DurableStage, TicketStatus};
use cluster_client::{DurableError, DurableJob, LogEvent};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::access::Access;
use super::events;
use super::follow_events::FollowEvents;
use super::notices;
use super::observed::Observed;
use super::verdict::verdict;
use super::waiting;
use super::watched::print_result;
use crate::json::client::JobEvent;
use crate::outcome::{self, Failure};
use cli::error::{CommandError, Kind};
use cli::failure::Reason;
use cli::output::Format;
use cli::print::{print_bytes, print_error};
use cli::quote::printable;
use cli::signals::Interrupts;
use cli::status_line::StatusLine;
use cli::terminal::LogOutput;

/// How long a job may take to be cancelled, with the rest of its log.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the name of a worker.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A durable job that is followed to its end.
pub(super) struct Followed<'a> {
    access: &'a Access,
    job: DurableJob,
    format: Format,
    pool: String,
    observed: Observed,
    /// Filters the log for its destination.
    output: RefCell<LogOutput>,
}

/// Follows a job that this command has submitted until it has ended. The job is cancelled when this is interrupted.
pub(super) async fn follow(
    access: &Access,
    job: DurableJob,
    pool: String,
    format: Format,
    interrupts: &mut Interrupts,
) -> Result<(), CommandError> {
    let followed = Followed::new(access, job, pool, format);
    let mut following = std::pin::pin!(followed.until_end());
    let interrupt = tokio::select! {
        ended = &mut following => return followed.leave(ended).await,
        interrupt = interrupts.next() => interrupt,
    };
    followed.end_log();
    print_error("Cancelling the job (interrupt again to exit immediately)\n");
    let interrupted = tokio::select! {
        message = followed.cancel(&mut following) => CommandError::interrupted(interrupt, message),
        again = interrupts.next() => {
            CommandError::interrupted(again, "Exiting without waiting; the job is still being cancelled.")
        }
    };
    followed.end_log();
    Err(interrupted)
}

impl<'a> Followed<'a> {
    fn new(access: &'a Access, job: DurableJob, pool: String, format: Format) -> Self {
        Self {
            access,
            job,
            format,
            pool,
            observed: Observed::durable(),
            output: RefCell::new(LogOutput::to_stdout()),
        }
    }

    /// Shows the log to its end, and then prints how the job ended.
    async fn until_end(&self) -> Result<(), CommandError> {
        self.show_log().await?;
        let (attempts, outcome) = match self.job.ended().await {
            Ok(ended) => ended,
            Err(error) => return Err(self.failed(error).await),
        };
        self.report(attempts, &outcome).await
    }

    async fn report(&self, attempts: u32, outcome: &DurableOutcome) -> Result<(), CommandError> {
        let command = self.observed.command_exit_code();
        let result = outcome::result(attempts, outcome, command);
        let failed = result.as_ref().err().map(Failure::command_error);
        match self.format {
            Format::Text => {
                print_result(&result.map_err(|failure| failure.error))?;
                if attempts > 1 {
                    self.learn_last_worker().await;
                }
                let id = self.job.id().map(str::to_owned);
                let verdict = verdict(&self.observed, id, &self.pool, failed.as_ref());
                print_error(&format!("{verdict}\n"));
            }
            Format::Json => {
                let times = self.observed.times();
                let event = match result {
                    Ok(output) => JobEvent::Succeeded { output, times },
                    Err(failure) => JobEvent::Failed {
                        message: failure.error.reason,
                        times,
                        error: failed.as_ref().and_then(Reason::of),
                    },
                };
                events::print(&event).await?;
            }
        }
        match failed {
            None => Ok(()),
            // All but the hints has been printed.
            Some(failed) => Err(CommandError {
                message: String::new(),
                ..failed
            }),
        }
    }

    /// Asks for the worker of the latest attempt: what is known may be that of an earlier one.
    async fn learn_last_worker(&self) {
        let described = timeout(DESCRIBE_TIMEOUT, self.job.describe()).await;
        // The line about the end of the job does not need it.
        if let Ok(Ok(details)) = described
            && let Some(worker) = details.summary.worker
        {
            self.observed.runs_on(worker);
        }
    }

    async fn show_log(&self) -> Result<(), CommandError> {
        let line = StatusLine::on_terminal();
        let ask = async || {
            self.job
                .status()
                .await
                .ok()
                .map(|status| stage(status.stage))
        };
        match self.format {
            Format::Text => tokio::select! {
                shown = self.copy_to_stdout(&line) => shown,
                never = waiting::show(ask, &line) => match never {},
                never = self.observed.learn(ask) => match never {},
                never = notices::print(&self.job) => match never {},
            },
            Format::Json => {
                let events = FollowEvents::default();
                tokio::select! {
                    shown = events.log(&self.job, &self.observed) => match shown {
                        Ok(shown) => shown,
                        Err(error) => Err(self.failed(error).await),
                    },
                    never = events.follow(&self.job, &self.observed) => match never {},
                }
            }
        }
    }

    /// Copies the log to standard output, flushing each piece, and clears `line` before it.
    async fn copy_to_stdout(&self, line: &StatusLine) -> Result<(), CommandError> {
        let mut log = self.job.log();
        let copied = loop {
            match log.next().await {
                Ok(Some(LogEvent::Bytes(bytes))) => {
                    line.disable();
                    self.observed.log(&bytes);
                    let written = write_log(&self.output, &bytes).await;
                    written.map_err(|error| CommandError::from_output(&error))?;
                }
                Ok(Some(LogEvent::Retrying { attempt, reason })) => {
                    self.end_log();
                    print_error(&retrying(attempt, &reason));
                }
                Ok(Some(LogEvent::CutOff(reason))) => {
                    self.end_log();
                    print_error(&format!("Error tailing logs: {}\n", printable(&reason)));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.failed(error).await),
            }
        };
        self.end_log();
        copied
    }

    /// Resets the terminal after the log, so that what follows is in the usual colour and on a line of its own.
    fn end_log(&self) {
        // An error means that there is no terminal any more.
        drop(print_bytes(self.output.borrow_mut().finish().as_bytes()));
    }

    async fn failed(&self, error: DurableError) -> CommandError {
        let is_disconnected = matches!(error, DurableError::NoConnection(_));
        let failed = self.access.failed(error).await;
        match (is_disconnected, self.job.id()) {
            (true, Some(id)) => failed.hint(format_args!(
                "the job may go on; follow it again with: ocluster-client logs -f CAP {id}"
            )),
            _ => failed,
        }
    }

    /// Finishes after the job has ended, or after the reader of its log has closed the output.
    async fn leave(&self, ended: Result<(), CommandError>) -> Result<(), CommandError> {
        if let Err(CommandError {
            kind: Kind::OutputClosed,
            ..
        }) = &ended
        {
            // The scheduler would wait for this client to return. An error or a timeout means that it still does.
            drop(timeout(CANCEL_TIMEOUT, self.job.cancel()).await);
        }
        ended
    }

    /// Cancels the job, shows the rest of its log, and returns what to print about it.
    async fn cancel(&self, following: impl Future) -> &'static str {
        let cancelled = futures::future::join(self.job.cancel(), following);
        match timeout(CANCEL_TIMEOUT, cancelled).await {
            Ok((Ok(()), _)) => "Interrupted: the job was cancelled.",
            Ok((Err(DurableError::Refused(_)), _)) => "Interrupted: the job had already ended.",
            Ok((Err(_), _)) => "Interrupted: the job could not be cancelled.",
            Err(_) => "Interrupted: the job was asked to stop, but has not ended yet.",
        }
    }
}

/// Returns the line about an attempt that begins after another one was lost.
pub(super) fn retrying(attempt: u32, reason: &str) -> String {
    format!(
        "Attempt {} was lost: {}. Attempt {attempt} begins anew:\n",
        attempt.saturating_sub(1),
        printable(reason)
    )
}

/// Writes a piece of a log to standard output.
pub(super) async fn write_log(output: &RefCell<LogOutput>, bytes: &[u8]) -> io::Result<()> {
    let shown = output.borrow_mut().push(bytes);
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&shown).await?;
    stdout.flush().await
}

/// Returns a stage of a durable job as the status of a ticket.
pub(super) fn stage(stage: DurableStage) -> TicketStatus {
    match stage {
        DurableStage::Queued { ahead, obstacle } => TicketStatus::Queued { ahead, obstacle },
        DurableStage::Running { worker, .. } | DurableStage::Away { worker, .. } => {
            TicketStatus::Running { worker }
        }
        DurableStage::Ended { .. } => TicketStatus::Finished,
    }
}
