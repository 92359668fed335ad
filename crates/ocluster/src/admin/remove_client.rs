//! `remove-client`: removes a client, which may then submit no more jobs.

use std::ffi::OsString;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::RemovedClient;
use cli::error::CommandError;

/// Remove a client, and cancel its queued jobs
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin remove-client [OPTIONS] [CAP] <ID>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let id = positionals.required("ID")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    if let Err(error) = service.admin().remove_client(&id).await {
        let about = About::client(&id);
        return Err(service.failed("Admin.removeClient", about, error).await);
    }
    common
        .format()
        .print(String::new, || RemovedClient { client: id })
}
