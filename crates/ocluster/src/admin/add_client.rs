//! `add-client`: adds a client that may submit jobs.

use std::ffi::OsString;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::AddedClient;
use crate::secret_output;
use cli::error::CommandError;

/// Add a client, and print the contents of its cap file
///
/// The contents are a secret. If standard output is a new file (> alice.cap), its mode is set to 0600.
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
    // Before the secret is written, as a process that has the file open could read it later.
    secret_output::protect();
    let service = Service::connect(&cap).await?;
    let submission = service.admin().add_client(&id);
    // Upstream names no method here: the client's name in the reason is enough.
    let uri = match submission.save().await {
        Ok(uri) => uri,
        Err(error) => {
            let failed = CommandError::failed(&error);
            return Err(service.advise(About::client(&id), &error, failed).await);
        }
    };
    common.format().print(
        || format!("{uri}\n"),
        || AddedClient {
            client: id,
            sturdy_ref: uri.to_string(),
        },
    )
}
