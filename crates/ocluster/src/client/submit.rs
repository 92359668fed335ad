//! One job, from submission to exit code.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use cluster_api::{Job, Outcome, Pipelined, Refusal, RpcError, RpcErrorKind, Submission, Ticket};
use cluster_client::LogReader;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};
use tokio::io::AsyncWriteExt as _;
use vat::Session;
use visible::{Elapsed, OneLine};

use super::description::Request;
use super::ending::kind_of;
use super::events::{self, Events};
use super::observed::Observed;
use super::waiting;
use crate::json::client::JobEvent;
use cli::connect::connect;
use cli::error::{CommandError, Kind};
use cli::failure::Reason;
use cli::output::Format;
use cli::print::{print_bytes, print_error, print_line};
use cli::quote::{printable, quoted};
use cli::signals::Interrupts;
use cli::status_line::StatusLine;
use cli::terminal::LogOutput;

/// How long to wait for a cancelled job before exiting anyway. Exiting cancels it too.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many times a job is submitted while its workers turn out unfit. Each of them then takes no more jobs.
const ATTEMPTS: u32 = 10;

/// Delay before a job is submitted again, in case its worker has not noticed yet that it is unfit.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long to wait, after the loss of a job, for the loss of the scheduler to show: it may take a moment longer.
const LOSS_SETTLES: Duration = Duration::from_millis(200);

/// How long a worker may take to report the outcome of a job that has ended.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// Submits the job, again while its workers turn out unfit, shows its log, and reports its outcome.
pub(super) async fn run(request: Request, format: Format) -> Result<(), CommandError> {
    let mut interrupts = Interrupts::listen()?;
    for attempt in 1..=ATTEMPTS {
        match watch(&request, format, &mut interrupts, attempt < ATTEMPTS).await? {
            Ended::Over => break,
            Ended::WorkerUnfit => tokio::time::sleep(RETRY_DELAY).await,
        }
    }
    Ok(())
}

/// How an attempt ended that was no error.
enum Ended {
    Over,
    /// Its worker is unfit, and another may not be.
    WorkerUnfit,
}

/// Submits the job once, shows its log, and reports its outcome.
async fn watch(
    request: &Request,
    format: Format,
    interrupts: &mut Interrupts,
    may_retry: bool,
) -> Result<Ended, CommandError> {
    let session = tokio::select! {
        session = connect(&request.cap) => session?,
        interrupt = interrupts.next() => {
            let message = "Interrupted before the job was submitted.";
            return Err(CommandError::interrupted(interrupt, message));
        }
    };
    let submission = Submission::from_client(session.bootstrap());
    let ticket = submission.submit(&request.pool, &request.description, request.urgent);
    let job = ticket.job();
    let watched = Watched {
        observed: Observed::new(&ticket),
        // Asked for at once, so that it is here when the log ends.
        result: job.result().boxed_local().shared(),
        job,
        ticket,
        session,
        format,
        pool: request.pool.clone(),
        may_retry,
        is_unfit: Cell::default(),
        cap: request.cap.path().display().to_string(),
        output: RefCell::new(LogOutput::to_stdout()),
    };
    let mut watching = std::pin::pin!(watched.until_end());
    let interrupt = tokio::select! {
        outcome = &mut watching => {
            watched.leave(outcome).await?;
            return Ok(match watched.is_unfit.get() {
                true => Ended::WorkerUnfit,
                false => Ended::Over,
            });
        }
        interrupt = interrupts.next() => interrupt,
    };
    watched.end_log();
    print_error("Cancelling the job (interrupt again to exit immediately)\n");
    let cancelling = watched.cancel(&mut watching);
    let ended = tokio::select! {
        said = cancelling => CommandError::interrupted(interrupt, said),
        again = interrupts.next() => {
            CommandError::interrupted(again, "Exiting without waiting; the job is still being cancelled.")
        }
    };
    watched.end_log();
    Err(ended)
}

/// A submitted job.
struct Watched {
    job: Pipelined<Job>,
    ticket: Pipelined<Ticket>,
    session: Session,
    format: Format,
    result: JobResult,
    pool: String,
    /// Whether the job is submitted again if its worker turns out unfit.
    may_retry: bool,
    /// Whether it has.
    is_unfit: Cell<bool>,
    /// The path of the cap file, for errors.
    cap: String,
    observed: Observed,
    /// Filters the log for its destination.
    output: RefCell<LogOutput>,
}

/// The outcome of the job, for all who wait for it.
pub(super) type JobResult = Shared<LocalBoxFuture<'static, Result<String, RpcError>>>;

impl Watched {
    /// Shows the log to its end, and then prints how the job ended.
    async fn until_end(&self) -> Result<(), CommandError> {
        if self.format == Format::Text {
            print_line("Tailing log:")?;
        }
        self.show_log().await?;
        let result = self.result.clone().await;
        let failed = match &result {
            Ok(_) => None,
            Err(error) => {
                let outcome = self.outcome(error).await;
                if self.may_retry
                    && let Outcome::WorkerUnfit { problem, .. } = &outcome
                {
                    self.is_unfit.set(true);
                    return self.announce_retry(problem).await;
                }
                let failed = self.failed(&outcome, &error.reason);
                Some(self.explained(failed, &outcome).await)
            }
        };
        match self.format {
            Format::Text => {
                print_outcome(&result)?;
                let verdict = self.verdict(failed.as_ref()).await;
                print_error(&format!("{verdict}\n"));
            }
            Format::Json => events::print(&self.event(&result, failed.as_ref())).await?,
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

    /// Returns the outcome of a job that ended with `error`.
    async fn outcome(&self, error: &RpcError) -> Outcome {
        let reported = tokio::time::timeout(OUTCOME_TIMEOUT, self.job.explain(error.clone()));
        reported.await.unwrap_or_else(|_| Outcome::of_error(error))
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
        let (line, events) = (StatusLine::on_terminal(), Events::default());
        let copied = match self.format {
            Format::Text => tokio::select! {
                copied = self.copy_to_stdout(&line) => copied,
                never = waiting::show(&self.ticket, &line) => match never {},
                never = self.observed.learn(&self.ticket) => match never {},
            },
            Format::Json => tokio::select! {
                copied = events.log(&self.job, &self.ticket, &self.result, &self.observed) => copied,
                never = events.follow(&self.ticket, &self.observed) => match never {},
                never = self.observed.learn(&self.ticket) => match never {},
            },
        };
        match copied {
            Ok(()) => Ok(()),
            Err(ShowError::Output(error)) => Err(error),
            Err(ShowError::Log(error)) => {
                // An error in reading the log does not change the job's outcome.
                if let (Format::Text, Some(Ok(output))) = (self.format, self.result.peek()) {
                    print_outcome(&Ok(output.clone()))?;
                }
                let outcome = Outcome::of_error(&error);
                let failed = match error.kind {
                    // So does a capability that is no submission.
                    RpcErrorKind::Unimplemented => self.failed(&outcome, &self.wrong_cap(&error)),
                    _ => self.failed(&outcome, &format!("Error tailing logs: {error}")),
                };
                Err(self.explained(failed, &outcome).await)
            }
        }
    }

    /// Copies the log to standard output, flushing each piece, and clears `line` before it.
    async fn copy_to_stdout(&self, line: &StatusLine) -> Result<(), ShowError> {
        let mut stdout = tokio::io::stdout();
        let mut log = LogReader::new(Job::clone(&self.job), LogReader::WINDOW);
        let unwritten = |error: io::Error| ShowError::Output(CommandError::from_output(&error));
        let copied = loop {
            let bytes = match next_piece(&mut log, &self.result).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break Ok(()),
                Err(error) => break Err(ShowError::Log(error)),
            };
            line.disable();
            self.observed.log(&bytes);
            let shown = self.output.borrow_mut().push(&bytes);
            stdout.write_all(&shown).await.map_err(unwritten)?;
            stdout.flush().await.map_err(unwritten)?;
        };
        self.end_log();
        copied
    }

    /// Resets the terminal after the log, so that what follows is in the usual colour and on a line of its own.
    fn end_log(&self) {
        // An error means that there is no terminal any more.
        drop(print_bytes(self.output.borrow_mut().finish().as_bytes()));
    }

    /// Prints in a line how the job ended, and how long it took. A build can print such a line too, but none after this
    /// one.
    async fn verdict(&self, failed: Option<&CommandError>) -> String {
        let times = self.observed.times();
        let (ended, why) = match failed {
            None => ("succeeded in", None),
            Some(failed) => match failed.kind {
                Kind::Cancelled => ("cancelled after", None),
                Kind::JobLost => ("lost after", Some(&failed.message)),
                _ => ("failed after", Some(&failed.message)),
            },
        };
        let number = self.observed.ticket().await;
        let number = number.map_or_else(String::new, |number| format!("job {number} of "));
        let worker = self.observed.worker();
        let worker = worker.map(|worker| format!(" on worker {}", printable(&worker)));
        let why = why.map(|why| format!(": {}", OneLine(why)));
        format!(
            "Job {ended} {} (waited {}): {number}pool {}{}{}",
            Elapsed::from_seconds(times.ran_seconds),
            Elapsed::from_seconds(times.waited_seconds),
            printable(&self.pool),
            worker.unwrap_or_default(),
            why.unwrap_or_default(),
        )
    }

    fn event(&self, result: &Result<String, RpcError>, failed: Option<&CommandError>) -> JobEvent {
        let times = self.observed.times();
        match result {
            Ok(output) => JobEvent::Succeeded {
                output: output.clone(),
                times,
            },
            Err(error) => JobEvent::Failed {
                message: error.reason.clone(),
                times,
                error: failed.and_then(Reason::of),
            },
        }
    }

    /// Returns the job's failure as that of the command.
    fn failed(&self, outcome: &Outcome, message: &str) -> CommandError {
        CommandError::new(kind_of(outcome, self.observed.command_exit_code()), message)
    }

    /// Adds a hint to `failed`: what `outcome` means for the job, or what to do about it.
    async fn explained(&self, failed: CommandError, outcome: &Outcome) -> CommandError {
        match outcome {
            Outcome::WorkerUnfit { .. } => {
                failed.hint("the pool's workers are unfit for the job; check them with: ocluster doctor --connect admin.cap")
            }
            Outcome::Lost { .. } | Outcome::Abandoned => failed.hint(self.what_was_lost().await),
            Outcome::Other(error) if Refusal::of(error) == Some(Refusal::Revoked) => {
                failed.hint("this client was removed; ask an operator for a new cap file (ocluster-admin add-client)")
            }
            _ => failed,
        }
    }

    /// Returns the message for a capability that takes no jobs.
    fn wrong_cap(&self, error: &RpcError) -> String {
        format!(
            "cannot submit the job: \"{}\" is not a client's cap file, but an operator's or a pool's; use submission.cap or \
             a file made by \"ocluster-admin add-client\" ({error})",
            self.cap
        )
    }

    /// Returns which part of the cluster was lost, and what that means for the job.
    async fn what_was_lost(&self) -> String {
        let closed = tokio::time::timeout(LOSS_SETTLES, self.session.closed()).await;
        let lost = match closed {
            Ok(_) => format!(
                "the connection to the scheduler at {} was lost",
                self.session.address()
            ),
            Err(_) => "the worker that had the job was lost".to_owned(),
        };
        format!("{lost}, and the job with it; the job was not retried: submit it again")
    }

    /// Finishes after the job has ended, or after the reader of its log has gone away.
    async fn leave(&self, outcome: Result<(), CommandError>) -> Result<(), CommandError> {
        if let Err(CommandError {
            kind: Kind::OutputClosed,
            ..
        }) = &outcome
        {
            // Exiting cancels the job too; an explicit request makes sure that it has arrived before we exit.
            drop(tokio::time::timeout(CANCEL_TIMEOUT, self.ticket.cancel()).await);
        }
        outcome
    }

    /// Cancels the job, shows the rest of its log, and returns what to print about it.
    async fn cancel(
        &self,
        watching: impl Future<Output = Result<(), CommandError>>,
    ) -> &'static str {
        let ended = async {
            let (cancelled, _outcome) = futures::join!(self.ticket.cancel(), watching);
            cancelled
        };
        match tokio::time::timeout(CANCEL_TIMEOUT, ended).await {
            Ok(Ok(())) => "Interrupted: the job was cancelled.",
            Ok(Err(_)) => "Interrupted: the job had already ended.",
            Err(_) => "Interrupted: the job was asked to stop, but has not ended yet.",
        }
    }
}

/// Prints how the job ended.
fn print_outcome(result: &Result<String, RpcError>) -> Result<(), CommandError> {
    match result {
        Ok(output) if output.is_empty() => Ok(()),
        Ok(output) => print_line(format_args!("Result: {}", quoted(output))),
        Err(error) => print_line(format_args!("{error}.")),
    }
}

/// Why a log was not shown to its end.
pub(super) enum ShowError {
    /// The worker, or the scheduler between, did not return it.
    Log(RpcError),
    /// Our output could not be written.
    Output(CommandError),
}

/// Returns the next piece of a log, which must end soon after its job has.
pub(super) async fn next_piece(
    log: &mut LogReader,
    result: &JobResult,
) -> Result<Option<Vec<u8>>, RpcError> {
    if result.peek().is_none() {
        tokio::select! {
            piece = log.next() => return piece,
            _ = result.clone() => {}
        }
    }
    log.job_ended();
    log.next().await
}
