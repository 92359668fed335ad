//! `obuilder healthcheck`.

use std::time::Duration;

use super::store_args::{Purpose, StoreArgs};
use cli::error::CommandError;

/// The time limit of the step, as in upstream.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Run a test step, to check that builds work on this machine
///
/// The step needs no network and no image.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: Args) -> Result<(), CommandError> {
    let builder = args.store.open(Purpose::Commands)?;
    match builder.healthcheck(TIME_LIMIT).await {
        Ok(()) => cli::print::print_line("Healthcheck passed"),
        Err(error) => Err(CommandError::failed(format_args!(
            "Healthcheck failed: {error}"
        ))),
    }
}
