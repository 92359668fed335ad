//! `share`: a cap file that shows one durable job.

use std::ffi::OsString;

use super::access::Access;
use crate::json::kept_jobs::SharedJob;
use crate::secret_output;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;

/// Print the contents of a cap file that shows one job
///
/// With it, status, logs and wait work for that job, without its id. It cannot change the job, and is valid for as long
/// as the scheduler keeps the job. It cannot be revoked. If standard output is a new file (> job.cap), its mode is set
/// to 0600.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client share [OPTIONS] [CAP] <JOB>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let id = positionals.required("JOB")?;
    positionals.finish()?;
    // Before it is written, as a process that has the file open could read it later.
    secret_output::protect();
    let access = Access::connect(cap).await?;
    let job = access.observe(Some(&id)).await?;
    let uri = match job.share().await {
        Ok(uri) => uri,
        Err(error) => return Err(access.failed(error).await),
    };
    let id = job.id().unwrap_or(&id).to_owned();
    format.print(
        || format!("{uri}\n"),
        || SharedJob {
            id,
            sturdy_ref: uri.clone(),
        },
    )
}
