//! A submitted job: shows its log, and reports its outcome.

use std::cell::RefCell;
use std::io;

use cluster_api::{Outcome, Refusal, RpcError, RpcErrorKind};
use cluster_client::{Attempt, AttemptError, Cancellation, LostPart};
use tokio::io::AsyncWriteExt as _;
use visible::OneLine;

use super::description::Request;
use super::events::{self, Events};
use super::observed::Observed;
use super::show_error::ShowError;
use super::verdict::verdict;
use super::waiting;
use crate::json::client::JobEvent;
use cli::error::{CommandError, Kind};
use cli::output::Format;
use cli::print::{print_bytes, print_error, print_line};
use cli::quote::quoted;
use cli::status_line::StatusLine;
use cli::terminal::LogOutput;
use cluster_json::outcome::kind_of;

/// How an attempt ended that was no error.
pub(super) enum Ended {
    /// The job has ended.
    Over,
    /// Its worker is unfit, and another may not be.
    WorkerUnfit,
}

/// A submitted job.
pub(super) struct Watched {
    attempt: Attempt,
    format: Format,
    pool: String,
    /// Whether the job is submitted again if its worker turns out unfit.
    may_retry: bool,
    /// The path of the cap file, for errors.
    cap: String,
    observed: Observed,
    /// Shows what the job waits for, until its log begins.
    line: StatusLine,
    /// Filters the log for its destination.
    output: RefCell<LogOutput>,
}

impl Watched {
    /// Begins to watch a job that was just submitted. Must be called within a `LocalSet`.
    pub(super) fn new(
        attempt: Attempt,
        request: &Request,
        format: Format,
        may_retry: bool,
    ) -> Self {
        Self {
            observed: Observed::new(&attempt),
            attempt,
            format,
            pool: request.pool.clone(),
            may_retry,
            cap: request.cap.path().display().to_string(),
            line: StatusLine::on_terminal(),
            output: RefCell::new(LogOutput::to_stdout()),
        }
    }

    /// Shows the log to its end, and then prints how the job ended.
    pub(super) async fn until_end(&self) -> Result<Ended, CommandError> {
        if self.format == Format::Text {
            print_line("Tailing log:")?;
        }
        self.show_log().await?;
        let result = self.attempt.ended().await;
        let failed = match &result {
            Ok(_) => None,
            Err(AttemptError {
                outcome: Outcome::WorkerUnfit { problem, .. },
                ..
            }) if self.may_retry => {
                self.announce_retry(problem).await?;
                return Ok(Ended::WorkerUnfit);
            }
            Err(error) => Some(self.failed(error, &error.error.reason).await),
        };
        match self.format {
            Format::Text => {
                print_result(&result)?;
                let number = self.observed.ticket().await;
                let number = number.map(|number| number.to_string());
                let verdict = verdict(&self.observed, number, &self.pool, failed.as_ref());
                print_error(&format!("{verdict}\n"));
            }
            Format::Json => events::print(&self.event(&result, failed.as_ref())).await?,
        }
        match failed {
            None => Ok(Ended::Over),
            // All but the hints has been printed.
            Some(failed) => Err(CommandError {
                message: String::new(),
                ..failed
            }),
        }
    }

    /// Prints that the job is submitted again, so that its log begins anew.
    async fn announce_retry(&self, problem: &str) -> Result<(), CommandError> {
        match self.format {
            Format::Text => {
                print_error(&format!(
                    "ocluster-client: the worker is unfit for the job ({}); submitting the job again\n",
                    OneLine(problem)
                ));
                Ok(())
            }
            Format::Json => {
                let message = problem.to_owned();
                events::print(&JobEvent::Resubmitted { message }).await
            }
        }
    }

    async fn show_log(&self) -> Result<(), CommandError> {
        let (line, events) = (&self.line, Events::default());
        let (attempt, observed) = (&self.attempt, &self.observed);
        let ask = async || attempt.status().await.ok();
        let shown = match self.format {
            Format::Text => tokio::select! {
                shown = self.copy_to_stdout() => shown,
                never = waiting::show(ask, line) => match never {},
                never = observed.learn(ask) => match never {},
            },
            Format::Json => tokio::select! {
                shown = events.log(attempt, observed) => shown,
                never = events.follow(attempt, observed) => match never {},
                never = observed.learn(ask) => match never {},
            },
        };
        match shown {
            Ok(()) => Ok(()),
            Err(ShowError::Output(error)) => Err(error),
            Err(ShowError::Log(error)) => Err(self.unreadable_log(error).await?),
        }
    }

    /// Returns the failure of the command whose job has a log that cannot be read, because of `error`.
    ///
    /// That does not change the job's outcome, so its output is printed if it is known.
    async fn unreadable_log(&self, error: RpcError) -> Result<CommandError, CommandError> {
        if let (Format::Text, Some(output)) = (self.format, self.attempt.output()) {
            print_output(output)?;
        }
        let message = match error.kind {
            // So does a capability that is no submission.
            RpcErrorKind::Unimplemented => self.wrong_cap(&error),
            _ => format!("Error tailing logs: {error}"),
        };
        Ok(self.failed(&error.into(), &message).await)
    }

    /// Copies the log to standard output, flushing each piece, and clears the status line before it.
    async fn copy_to_stdout(&self) -> Result<(), ShowError> {
        let mut stdout = tokio::io::stdout();
        let mut log = self.attempt.log();
        let unwritten = |error: io::Error| ShowError::Output(CommandError::from_output(&error));
        let copied = loop {
            let bytes = match log.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break Ok(()),
                Err(error) => break Err(ShowError::Log(error)),
            };
            self.line.disable();
            self.observed.log(&bytes);
            let shown = self.output.borrow_mut().push(&bytes);
            stdout.write_all(&shown).await.map_err(unwritten)?;
            stdout.flush().await.map_err(unwritten)?;
        };
        self.end_log();
        copied
    }

    /// Prints that the job is being cancelled, apart from what was shown.
    pub(super) fn announce_cancellation(&self) {
        self.line.disable();
        self.end_log();
        print_error("Cancelling the job (interrupt again to exit immediately)\n");
    }

    /// Resets the terminal after the log, so that what follows is in the usual colour and on a line of its own.
    pub(super) fn end_log(&self) {
        // An error means that there is no terminal any more.
        drop(print_bytes(self.output.borrow_mut().finish().as_bytes()));
    }

    fn event(
        &self,
        result: &Result<String, AttemptError>,
        failed: Option<&CommandError>,
    ) -> JobEvent {
        let times = self.observed.times();
        match result {
            Ok(output) => JobEvent::Succeeded {
                output: output.clone(),
                times,
            },
            Err(error) => JobEvent::Failed {
                message: error.error.reason.clone(),
                times,
                error: failed.and_then(CommandError::reason),
            },
        }
    }

    /// Returns the job's failure as that of the command, with a hint: what it means for the job, or what to do about
    /// it.
    async fn failed(&self, error: &AttemptError, message: &str) -> CommandError {
        let code = self.observed.command_exit_code();
        let failed = CommandError::new(kind_of(&error.outcome, code), message);
        match &error.outcome {
            Outcome::WorkerUnfit { .. } => failed.hint(
                "the pool's workers are unfit for the job; check them with: ocluster doctor --connect admin.cap",
            ),
            Outcome::Lost { .. } | Outcome::Abandoned => failed.hint(self.what_was_lost().await),
            Outcome::Other(error) => advise(error, failed),
            _ => failed,
        }
    }

    /// Returns the message for a capability that takes no jobs.
    fn wrong_cap(&self, error: &RpcError) -> String {
        format!(
            "cannot submit the job: \"{}\" is not a client's cap file, but an operator's or a pool's; use \
             submission.cap or a file made by \"ocluster-admin add-client\" ({error})",
            self.cap
        )
    }

    /// Returns which part of the cluster was lost, and what that means for the job.
    async fn what_was_lost(&self) -> String {
        let lost = match self.attempt.lost_part().await {
            LostPart::Scheduler(address) => {
                format!("the connection to the scheduler at {address} was lost")
            }
            LostPart::Worker => "the worker that had the job was lost".to_owned(),
        };
        format!("{lost}, and the job with it; the job was not retried: submit it again")
    }

    /// Finishes after the job has ended, or after the reader of its log has closed the output.
    pub(super) async fn leave(
        &self,
        ended: Result<Ended, CommandError>,
    ) -> Result<Ended, CommandError> {
        if let Err(CommandError {
            kind: Kind::OutputClosed,
            ..
        }) = &ended
        {
            // Exiting cancels the job too; an explicit request makes sure that it has arrived before we exit.
            self.attempt.request_cancel().await;
        }
        ended
    }

    /// Cancels the job, shows the rest of its log, and returns what to print about it.
    pub(super) async fn cancel(&self, watching: impl Future) -> &'static str {
        match self.attempt.cancel_and_wait(watching).await {
            Cancellation::Done => "Interrupted: the job was cancelled.",
            Cancellation::TooLate => "Interrupted: the job had already ended.",
            Cancellation::Unconfirmed => {
                "Interrupted: the job was asked to stop, but has not ended yet."
            }
        }
    }
}

/// Adds to `failed` what to do about a job that was refused with `error`.
pub(super) fn advise(error: &RpcError, failed: CommandError) -> CommandError {
    match Refusal::of(error) {
        Some(Refusal::Revoked) => failed.hint(
            "this client was removed; ask an operator for a new cap file (ocluster-admin add-client)",
        ),
        _ => failed,
    }
}

/// Prints how the job ended.
pub(super) fn print_result<E: std::fmt::Display>(
    result: &Result<String, E>,
) -> Result<(), CommandError> {
    match result {
        Ok(output) => print_output(output),
        Err(error) => print_line(format_args!("{error}.")),
    }
}

fn print_output(output: &str) -> Result<(), CommandError> {
    match output {
        "" => Ok(()),
        output => print_line(format_args!("Result: {}", quoted(output))),
    }
}
