//! `retry`: submits a durable job again.

use std::ffi::OsString;

use cluster_client::DurableJob;

use super::access::Access;
use super::followed::follow;
use super::submit::{announce, detach};
use crate::timestamps::TimestampArgs;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::signals::Interrupts;

/// Submit a job again that did not succeed
///
/// It is a new job with the same description, labels and limits. The scheduler can do this for some time after the end
/// of a job, a day unless its --retry-for is another. Then it is as with submit.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client retry [OPTIONS] [CAP] <JOB>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Print the id of the new job, and exit
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    timestamps: TimestampArgs,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let id = positionals.required("JOB")?;
    positionals.finish()?;
    let mut interrupts = Interrupts::listen()?;
    let access = tokio::select! {
        access = Access::connect(cap) => access?,
        interrupt = interrupts.next() => return Err(CommandError::interrupted(interrupt, "Interrupted.")),
    };
    let (again, pool) = tokio::select! {
        retried = retry(&access, &id, args.detach) => retried?,
        interrupt = interrupts.next() => {
            let message = match args.detach {
                true => "Interrupted while the job was being submitted; it may have been.",
                false => "Interrupted while the job was being submitted; it is cancelled if it was.",
            };
            return Err(CommandError::interrupted(interrupt, message));
        }
    };
    if args.detach {
        return detach(&again, format).await;
    }
    announce(&again, &pool, format).await?;
    let style = args.timestamps.style();
    follow(&access, again, pool, (format, style), &mut interrupts).await
}

/// Submits a job again, and returns the new one with its pool.
async fn retry(
    access: &Access,
    id: &str,
    continues: bool,
) -> Result<(DurableJob, String), CommandError> {
    let job = access.observe(Some(id)).await?;
    let retried = async {
        let again = job.retry(continues).await?;
        let pool = again.describe().await?.summary.pool;
        Ok((again, pool))
    };
    match retried.await {
        Ok(retried) => Ok(retried),
        Err(error) => Err(access.failed(error).await),
    }
}
