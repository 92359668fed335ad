//! `add-client`: gives somebody the right to submit jobs.

use std::ffi::OsString;

use super::Common;
use super::service::{Service, hint_for};
use crate::error::CommandError;
use crate::json::admin::AddedClient;

/// Create an endpoint for a new client, and print what goes into its cap file
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin add-client [OPTIONS] [CAP] <ID>")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let id = positionals.required("ID")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let submission = service.admin().add_client(&id);
    // Upstream names no method here: the client's name in the reason is all that a user needs.
    let uri = submission
        .save()
        .await
        .map_err(|error| hint_for(&error, CommandError::failed(&error)))?;
    common.format().print(
        || format!("{uri}\n"),
        || AddedClient {
            client: id,
            sturdy_ref: uri.to_string(),
        },
    )
}
