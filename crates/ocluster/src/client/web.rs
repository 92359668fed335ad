//! `web`: a link to the pages, for a browser.

use std::ffi::OsString;

use cluster_api::{DurableJob, RpcErrorKind, Submission};
use cluster_client::DurableError;

use super::access::Access;
use crate::web_link;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;

/// Print a link to the scheduler's pages, for this client
///
/// Open it in a browser within ten minutes; it works once. The pages show the jobs of this client and their logs, for
/// twelve hours. With the id of a job, the link leads to its page. The scheduler must run with --web.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client web [OPTIONS] [CAP] [JOB]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Show only this job, and change nothing, so that others can have the link
    #[arg(long)]
    only: bool,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (access, mut positionals) = Access::from_args(connect, args.positionals).await?;
    let job = positionals.optional("JOB")?;
    positionals.finish()?;
    if args.only && job.is_none() {
        return Err(CommandError::usage("option '--only': give the id of a job"));
    }
    let submission = Submission::from_client(access.bootstrap());
    let mut link = submission.web_link(job.as_deref(), args.only).await;
    if let (Err(error), None) = (&link, &job)
        && error.kind == RpcErrorKind::Unimplemented
    {
        // It may be the cap file of one job.
        link = DurableJob::from_client(access.bootstrap()).web_link().await;
    }
    match link {
        Ok(link) => web_link::print(format, &link),
        Err(error) if error.kind == RpcErrorKind::Unimplemented => Err(CommandError::failed(
            "this cap file has no pages, or the scheduler is too old for them; use submission.cap or a client's, or \
             update the scheduler",
        )),
        Err(error) => Err(access.failed(DurableError::Refused(error)).await),
    }
}
