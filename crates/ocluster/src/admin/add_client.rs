//! `add-client`: gives somebody the right to submit jobs.

use std::ffi::OsString;

use super::service::Service;
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;
use crate::program::print_line;

/// Create an endpoint for a new client, and print what goes into its cap file
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin add-client [OPTIONS] [CAP] <ID>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let id = positionals.required("ID")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    // Upstream names no method here: the client's name in the reason is all that a user needs.
    let submission = service.admin().add_client(&id);
    let uri = submission.save().await.map_err(CommandError::failed)?;
    print_line(uri)
}
