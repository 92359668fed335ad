//! One job, from submission to exit code.

use std::time::Duration;

use cluster_api::Outcome;
use cluster_client::{Attempt, DurableError, DurableJob};
use vat::Session;

use super::access::Access;
use super::description::Request;
use super::events;
use super::followed::follow;
use super::watched::{Ended, Watched};
use crate::json::client::JobEvent;
use crate::timestamps;
use cli::connect::connect;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_error, print_line};
use cli::quote::printable;
use cli::signals::Interrupts;
use cluster_json::outcome::kind_of;

/// How many times a job is submitted while its workers turn out unfit. Each of them then takes no more jobs.
const ATTEMPTS: u32 = 10;

/// Delay before a job is submitted again, in case its worker has not noticed yet that it is unfit.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Submits the job, shows its log, and reports its outcome. A scheduler that can keeps the job.
pub(super) async fn run(request: Request, format: Format) -> Result<(), CommandError> {
    let mut interrupts = Interrupts::listen()?;
    let mut session = dial(&request, &mut interrupts).await?;
    let access = Access::connected(request.cap.clone(), session.clone())?;
    match submit(&request, &access, &mut interrupts).await? {
        Ok(job) if request.durable.detach => return detach(&job, format).await,
        Ok(job) => {
            announce(&job, &request.pool, format).await?;
            let shown = (format, request.timestamps);
            return follow(&access, job, request.pool, shown, &mut interrupts).await;
        }
        Err(DurableError::Unsupported) => {}
        Err(error) => {
            if format == Format::Text && !request.durable.detach {
                print_line("Tailing log:")?;
            }
            return Err(refused(&access, error).await);
        }
    }
    if let Some(option) = request.durable.required() {
        let unsupported = access.failed(DurableError::Unsupported).await;
        return Err(CommandError {
            message: format!("cannot submit a job with {option}: {}", unsupported.message),
            ..unsupported
        });
    }
    drop(access);
    if request.timestamps.is_some() {
        print_error(&format!("{}\n", timestamps::NOT_SHOWN));
    }
    for attempt in 1..=ATTEMPTS {
        let may_retry = attempt < ATTEMPTS;
        match watch(&request, session, format, &mut interrupts, may_retry).await? {
            Ended::Over => break,
            Ended::WorkerUnfit => tokio::time::sleep(RETRY_DELAY).await,
        }
        session = dial(&request, &mut interrupts).await?;
    }
    Ok(())
}

async fn dial(request: &Request, interrupts: &mut Interrupts) -> Result<Session, CommandError> {
    tokio::select! {
        session = connect(&request.cap) => session,
        interrupt = interrupts.next() => {
            let message = "Interrupted before the job was submitted.";
            Err(CommandError::interrupted(interrupt, message))
        }
    }
}

/// Submits the job to be kept.
async fn submit(
    request: &Request,
    access: &Access,
    interrupts: &mut Interrupts,
) -> Result<Result<DurableJob, DurableError>, CommandError> {
    let description = match request.description.encode() {
        Ok(description) => description,
        Err(error) => return Ok(Err(error.into())),
    };
    let job = request
        .durable
        .request(&request.pool, description, request.urgent);
    tokio::select! {
        submitted = access.cluster().submit_durable(&job) => Ok(submitted),
        interrupt = interrupts.next() => {
            let message = match request.durable.detach {
                true => "Interrupted while the job was being submitted; it may have been.",
                false => "Interrupted while the job was being submitted; it is cancelled if it was.",
            };
            Err(CommandError::interrupted(interrupt, message))
        }
    }
}

/// Returns the error for a job that was not accepted.
async fn refused(access: &Access, error: DurableError) -> CommandError {
    let DurableError::Refused(error) = error else {
        return access.failed(error).await;
    };
    let kind = kind_of(&Outcome::of_error(&error), None);
    let failed = CommandError::new(kind, format_args!("Error tailing logs: {error}"));
    super::watched::advise(&error, failed)
}

/// Prints the id of a job that goes on without this command.
pub(super) async fn detach(job: &DurableJob, format: Format) -> Result<(), CommandError> {
    let id = job.id().unwrap_or_default();
    match format {
        Format::Text => print_line(id),
        Format::Json => events::print(&JobEvent::Submitted { id: id.to_owned() }).await,
    }
}

/// Prints the id of a job that is followed from now on.
pub(super) async fn announce(
    job: &DurableJob,
    pool: &str,
    format: Format,
) -> Result<(), CommandError> {
    let id = job.id().unwrap_or_default();
    match format {
        Format::Text => {
            print_line("Tailing log:")?;
            print_error(&format!("Submitted job {id} to pool {}\n", printable(pool)));
            Ok(())
        }
        Format::Json => events::print(&JobEvent::Submitted { id: id.to_owned() }).await,
    }
}

/// Submits the job once to a scheduler that does not keep it, shows its log, and reports its outcome.
async fn watch(
    request: &Request,
    session: Session,
    format: Format,
    interrupts: &mut Interrupts,
    may_retry: bool,
) -> Result<Ended, CommandError> {
    let attempt = Attempt::submit(session, &request.pool, &request.description, request.urgent);
    let watched = Watched::new(attempt, request, format, may_retry);
    let mut watching = std::pin::pin!(watched.until_end());
    let interrupt = tokio::select! {
        ended = &mut watching => return watched.leave(ended).await,
        interrupt = interrupts.next() => interrupt,
    };
    watched.announce_cancellation();
    let cancelling = watched.cancel(&mut watching);
    let interrupted = tokio::select! {
        message = cancelling => CommandError::interrupted(interrupt, message),
        again = interrupts.next() => {
            CommandError::interrupted(again, "Exiting without waiting; the job is still being cancelled.")
        }
    };
    watched.end_log();
    Err(interrupted)
}
