//! A durable job that is followed to its end: shows its log, and reports its outcome.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use cluster_api::DurableOutcome;
use cluster_client::{DurableError, DurableJob, LogEvent};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::access::Access;
use super::cancellation::{CANCEL_TIMEOUT, Cancellation};
use super::events;
use super::follow_events::FollowEvents;
use super::notices;
use super::observed::Observed;
use super::stamped::{StampedLog, begin_of, stamp};
use super::verdict::verdict;
use super::waiting::{self, Explains};
use super::watched::print_result;
use crate::json::client::JobEvent;
use crate::timestamps::TimestampStyle;
use cli::error::{CommandError, Kind};
use cli::output::Format;
use cli::print::{print_bytes, print_error};
use cli::signals::Interrupts;
use cli::status_line::StatusLine;
use cli::terminal::LogOutput;
use cluster_json::outcome;

/// How long to wait for the name of a worker.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A durable job that is followed to its end.
pub(super) struct Followed<'a> {
    access: &'a Access,
    job: DurableJob,
    format: Format,
    pool: String,
    observed: Observed,
    /// Shows what the job waits for, until its log begins.
    line: StatusLine,
    /// Filters the log for its destination.
    output: RefCell<LogOutput>,
    /// Puts times before the lines of the log, if they are to be shown. Taken by the one who shows it.
    stamps: Cell<Option<StampedLog>>,
}

/// Follows a job that this command has submitted until it has ended, with times before the lines of its log in the
/// style that is given, if any. The job is cancelled when this is interrupted.
pub(super) async fn follow(
    access: &Access,
    job: DurableJob,
    pool: String,
    (format, style): (Format, Option<TimestampStyle>),
    interrupts: &mut Interrupts,
) -> Result<(), CommandError> {
    let stamps = style.map(|style| StampedLog::if_possible(job.clone(), style));
    let followed = Followed::new(access, job, pool, format);
    followed.stamps.set(stamps);
    let mut following = std::pin::pin!(followed.until_end());
    let interrupt = tokio::select! {
        ended = &mut following => return followed.leave(ended).await,
        interrupt = interrupts.next() => interrupt,
    };
    followed.line.disable();
    followed.say("Cancelling the job (interrupt again to exit immediately)");
    let cancellation = Cancellation::new(&followed.job);
    let interrupted = tokio::select! {
        message = cancellation.run(&mut following) => cancellation.ended(interrupt, message),
        again = interrupts.next() => {
            cancellation.ended(again, "Exiting without waiting; the job is still being cancelled.")
        }
    };
    followed.end_log();
    Err(interrupted)
}

/// Shows the log of a job from an offset of an attempt until the job has ended, and how it ended, with times before the
/// lines if there is something that puts them there. An error does not
/// mean that the job failed.
pub(super) async fn show_log(
    access: &Access,
    job: DurableJob,
    from: (u32, u64),
    stamps: Option<StampedLog>,
) -> Result<(), CommandError> {
    let followed = Followed::new(access, job, String::new(), Format::Text);
    followed.stamps.set(stamps);
    let is_complete = followed.show_log(from).await?;
    let (_, outcome) = followed.ended().await?;
    let id = followed.job.id();
    let job = id.map_or_else(|| "The job".to_owned(), |id| format!("Job {id}"));
    print_error(&format!("{job} {}\n", outcome::sentence(&outcome)));
    match is_complete {
        true => Ok(()),
        false => Err(incomplete()),
    }
}

/// Returns the error of a command that could not show the whole log of the latest attempt.
pub(super) fn incomplete() -> CommandError {
    CommandError::failed("cannot show the whole log: its end is missing")
}

impl<'a> Followed<'a> {
    fn new(access: &'a Access, job: DurableJob, pool: String, format: Format) -> Self {
        Self {
            access,
            job,
            format,
            pool,
            observed: Observed::durable(),
            line: StatusLine::on_terminal(),
            output: RefCell::new(LogOutput::to_stdout()),
            stamps: Cell::default(),
        }
    }

    /// Shows the log to its end, and then prints how the job ended.
    async fn until_end(&self) -> Result<(), CommandError> {
        self.show_log((1, 0)).await?;
        let (attempts, outcome) = self.ended().await?;
        self.report(attempts, &outcome).await
    }

    async fn ended(&self) -> Result<(u32, DurableOutcome), CommandError> {
        match self.job.ended().await {
            Ok(ended) => Ok(ended),
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn report(&self, attempts: u32, outcome: &DurableOutcome) -> Result<(), CommandError> {
        let command = self.observed.command_exit_code();
        let result = outcome::result(attempts, outcome, command);
        let failed = result.as_ref().err().map(CommandError::of_job);
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
                        error: failed.as_ref().and_then(CommandError::reason),
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

    /// Shows the log from an offset of an attempt to its end. Returns whether it is complete.
    async fn show_log(&self, from: (u32, u64)) -> Result<bool, CommandError> {
        let line = &self.line;
        let explains = Explains::default();
        let ask = async || explains.ask_durable(&self.job).await;
        let ask_status = async || ask().await.map(|wait| wait.status);
        let say = |notice: &str| self.say(notice);
        match self.format {
            Format::Text => tokio::select! {
                shown = self.copy_to_stdout(from) => shown,
                never = waiting::show(ask, line) => match never {},
                never = self.observed.learn(ask_status) => match never {},
                never = notices::of_workers(&self.job, say) => match never {},
                never = notices::of_connection(self.access, say) => match never {},
            },
            Format::Json => {
                let events = FollowEvents::default();
                let mut stamps = self.stamps.take();
                let stamps = (&mut stamps, self.access);
                tokio::select! {
                    shown = events.log(&self.job, &self.observed, stamps) => match shown {
                        Ok(shown) => shown.map(|()| true),
                        Err(error) => Err(self.failed(error).await),
                    },
                    never = events.follow(&self.job, &self.observed) => match never {},
                }
            }
        }
    }

    /// Copies the log to standard output, flushing each piece, and clears the status line before it.
    async fn copy_to_stdout(&self, (attempt, offset): (u32, u64)) -> Result<bool, CommandError> {
        let mut log = self.job.log_from(attempt, offset);
        let mut stamps = self.stamps.take();
        let mut is_complete = true;
        let copied = loop {
            match log.next().await {
                Ok(Some(LogEvent::Bytes(bytes))) => {
                    self.line.disable();
                    self.observed.log(&bytes);
                    let begin = begin_of(&log, &bytes);
                    let bytes = stamp(&mut stamps, begin, &bytes, self.access).await?;
                    let written = write_log(&self.output, &bytes).await;
                    written.map_err(|error| CommandError::from_output(&error))?;
                }
                Ok(Some(LogEvent::Retrying { attempt, reason })) => {
                    is_complete = true;
                    self.say(&notices::retrying(attempt, &reason));
                }
                Ok(Some(LogEvent::CutOff(reason))) => {
                    is_complete = false;
                    self.say(&notices::cut_off(log.position().0, &reason));
                }
                Ok(None) => break Ok(is_complete),
                Err(error) => break Err(self.failed(error).await),
            }
        };
        self.end_log();
        copied
    }

    /// Prints a line of ours, apart from the log and above the status line.
    fn say(&self, notice: &str) {
        if self.line.is_enabled() {
            self.line.print_above(notice);
        } else {
            self.end_log();
            print_error(&format!("{notice}\n"));
        }
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
}

/// Writes a piece of a log to standard output.
pub(super) async fn write_log(output: &RefCell<LogOutput>, bytes: &[u8]) -> io::Result<()> {
    let shown = output.borrow_mut().push(bytes);
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&shown).await?;
    stdout.flush().await
}
