//! One job, from submission to exit code.

use std::time::Duration;

use cluster_client::Attempt;

use super::description::Request;
use super::watched::{Ended, Watched};
use cli::connect::connect;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_error;
use cli::signals::Interrupts;

/// How many times a job is submitted while its workers turn out unfit. Each of them then takes no more jobs.
const ATTEMPTS: u32 = 10;

/// Delay before a job is submitted again, in case its worker has not noticed yet that it is unfit.
const RETRY_DELAY: Duration = Duration::from_secs(1);

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
    let attempt = Attempt::submit(session, &request.pool, &request.description, request.urgent);
    let watched = Watched::new(attempt, request, format, may_retry);
    let mut watching = std::pin::pin!(watched.until_end());
    let interrupt = tokio::select! {
        ended = &mut watching => return watched.leave(ended).await,
        interrupt = interrupts.next() => interrupt,
    };
    watched.end_log();
    print_error("Cancelling the job (interrupt again to exit immediately)\n");
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
