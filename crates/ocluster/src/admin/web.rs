//! `web`: a link to the pages, for a browser.

use std::ffi::OsString;

use super::Common;
use super::jobs::job_name::id_of;
use super::service::{About, Service};
use crate::web_link;
use cli::error::CommandError;

/// Print a link to the scheduler's pages, for an operator
///
/// Open it in a browser within ten minutes; it works once. Who has it can do what the pages offer to operators, for
/// twelve hours. The scheduler must run with --web.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin web [OPTIONS] [CAP] [JOB]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let job = positionals.optional("JOB")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let job = match job {
        Some(job) => Some(id_of(&service, job).await?),
        None => None,
    };
    match service.admin().web_link(job.as_deref()).await {
        Ok(link) => web_link::print(common.format(), &link),
        Err(error) => Err(service
            .failed("AdminPages.link", About::default(), error)
            .await),
    }
}
