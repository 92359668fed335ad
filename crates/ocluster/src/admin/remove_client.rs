//! `remove-client`: takes away somebody's right to submit jobs.

use std::ffi::OsString;

use super::service::{Service, failed};
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;

/// Remove a client's endpoint, so that it can submit no more jobs
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin remove-client [OPTIONS] [CAP] <ID>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let id = positionals.required("ID")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    service
        .admin()
        .remove_client(&id)
        .await
        .map_err(failed("Admin.removeClient"))
}
