//! One job, from submission to exit code.

use std::time::Duration;

use cluster_api::{Job, Pipelined, RpcError, RpcErrorKind, Submission, Ticket};
use cluster_client::LogReader;
use tokio::io::AsyncWriteExt as _;
use vat::Session;

use super::description::Request;
use super::events::{self, Events};
use super::waiting;
use crate::connect::connect;
use crate::error::{CommandError, Kind};
use crate::json::client::JobEvent;
use crate::output::Format;
use crate::program::{complain, print_line};
use crate::quote::quoted;
use crate::signals::Interrupts;
use crate::status_line::StatusLine;

/// How long a cancelled job has to end before we leave anyway. Leaving cancels it too.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after the loss of a job we look whether the scheduler is lost too: that news may take a moment longer.
const LOSS_SETTLES: Duration = Duration::from_millis(200);

/// Submits the job, shows its log, and reports how it ended.
pub(super) async fn run(request: Request, format: Format) -> Result<(), CommandError> {
    let mut interrupts = Interrupts::listen()?;
    let session = tokio::select! {
        session = connect(&request.cap) => session?,
        interrupt = interrupts.next() => return Err(CommandError::interrupted(interrupt, "Interrupted before the job was submitted.")),
    };
    let submission = Submission::from_client(session.bootstrap());
    let ticket = submission.submit(&request.pool, &request.description, request.urgent);
    let watched = Watched {
        job: ticket.job(),
        ticket,
        session,
        format,
    };
    let mut watching = std::pin::pin!(watched.until_end());
    let interrupt = tokio::select! {
        outcome = &mut watching => return watched.leave(outcome).await,
        interrupt = interrupts.next() => interrupt,
    };
    complain("Cancelling the job (interrupt again to leave at once)\n");
    let cancelling = watched.cancel(&mut watching);
    tokio::select! {
        said = cancelling => Err(CommandError::interrupted(interrupt, said)),
        again = interrupts.next() => Err(CommandError::interrupted(again, "Left without waiting; the job is cancelled all the same.")),
    }
}

/// A submitted job.
struct Watched {
    job: Pipelined<Job>,
    ticket: Pipelined<Ticket>,
    session: Session,
    format: Format,
}

impl Watched {
    /// Shows the log to its end, and then says how the job ended.
    async fn until_end(&self) -> Result<(), CommandError> {
        // Asked for at once, so that it is here when the log ends.
        let result = self.job.result();
        if self.format == Format::Text {
            print_line("Tailing log:")?;
        }
        self.show_log().await?;
        let result = result.await;
        match self.format {
            Format::Text => say(&result)?,
            Format::Json => events::print(&event(&result)).await?,
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) => Err(self
                .explained(CommandError::already_reported(), &error)
                .await),
        }
    }

    async fn show_log(&self) -> Result<(), CommandError> {
        let (line, events) = (StatusLine::on_terminal(), Events::default());
        let copied = match self.format {
            Format::Text => tokio::select! {
                copied = copy_to_stdout(&self.job, &line) => copied,
                never = waiting::show(&self.ticket, &line) => match never {},
            },
            Format::Json => tokio::select! {
                copied = events.log(&self.job, &self.ticket) => copied,
                never = events.follow(&self.ticket) => match never {},
            },
        };
        match copied {
            Ok(()) => Ok(()),
            Err(ShowError::Output(error)) => Err(error),
            Err(ShowError::Log(error)) => {
                let failed = CommandError::failed(format_args!("Error tailing logs: {error}"));
                Err(self.explained(failed, &error).await)
            }
        }
    }

    /// Adds to `failed` what `error` means for the job, or what to do about it.
    async fn explained(&self, failed: CommandError, error: &RpcError) -> CommandError {
        match error.kind {
            RpcErrorKind::Disconnected => failed.hint(self.what_was_lost().await),
            RpcErrorKind::Unimplemented => {
                failed.hint("is this the cap file of a client, such as submission.cap?")
            }
            RpcErrorKind::Failed | RpcErrorKind::Overloaded => failed,
        }
    }

    /// Says which part of the cluster has gone, and what became of the job.
    async fn what_was_lost(&self) -> String {
        let closed = tokio::time::timeout(LOSS_SETTLES, self.session.closed()).await;
        let lost = match closed {
            Ok(_) => format!(
                "the connection to the scheduler at {} was lost",
                self.session.address()
            ),
            Err(_) => "the worker that had the job was lost".to_owned(),
        };
        format!("{lost}, which ended the job; it was not retried, so submit it again")
    }

    /// Ends after the job has ended by itself, or after nobody wants to read its log any more.
    async fn leave(&self, outcome: Result<(), CommandError>) -> Result<(), CommandError> {
        if let Err(CommandError {
            kind: Kind::OutputClosed,
            ..
        }) = &outcome
        {
            // Leaving would cancel it too; asking makes sure that it has been heard before we go.
            drop(tokio::time::timeout(CANCEL_TIMEOUT, self.ticket.cancel()).await);
        }
        outcome
    }

    /// Cancels the job, shows what is left of its log, and says how that went.
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
            Ok(Err(_)) => "Interrupted: the job had ended already.",
            Err(_) => "Interrupted: the job was told to stop, but has not ended yet.",
        }
    }
}

/// Says how the job ended.
fn say(result: &Result<String, RpcError>) -> Result<(), CommandError> {
    match result {
        Ok(output) if output.is_empty() => Ok(()),
        Ok(output) => print_line(format_args!("Result: {}", quoted(output))),
        Err(error) => print_line(format_args!("{error}.")),
    }
}

fn event(result: &Result<String, RpcError>) -> JobEvent {
    match result {
        Ok(output) => JobEvent::Succeeded {
            output: output.clone(),
        },
        Err(error) => JobEvent::Failed {
            message: error.reason.clone(),
        },
    }
}

/// Why a log was not shown to its end.
pub(super) enum ShowError {
    /// The worker, or the scheduler between us, did not give it.
    Log(RpcError),
    /// Nobody takes our output.
    Output(CommandError),
}

/// Copies the log to standard output, flushing each piece, and lets `line` out of its way.
async fn copy_to_stdout(job: &Job, line: &StatusLine) -> Result<(), ShowError> {
    let mut stdout = tokio::io::stdout();
    let mut log = LogReader::new(job.clone(), LogReader::WINDOW);
    let unwritten = |error: std::io::Error| ShowError::Output(CommandError::from_output(&error));
    while let Some(bytes) = log.next().await.map_err(ShowError::Log)? {
        line.retire();
        stdout.write_all(&bytes).await.map_err(unwritten)?;
        stdout.flush().await.map_err(unwritten)?;
    }
    Ok(())
}
