//! `set-rate`: how large a client's share of a pool is.

use std::ffi::OsString;

use super::service::{Service, failed};
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;

/// Set a client's share of a pool: the number of jobs it is expected to run at once
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin set-rate [OPTIONS] [CAP] <POOL> <ID> <RATE>")]
pub(super) struct Args {
    #[arg(hide = true, allow_negative_numbers = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let pool = positionals.required("POOL")?;
    let id = positionals.required("ID")?;
    let rate = positionals.required("RATE")?;
    positionals.finish()?;
    let rate: f64 = rate.parse().map_err(|_| {
        CommandError::usage(format_args!(
            "argument RATE: invalid value '{rate}', expected a number"
        ))
    })?;
    let service = Service::connect(&cap).await?;
    service
        .pool(&pool)
        .set_rate(&id, rate)
        .await
        .map_err(failed("PoolAdmin.setRate"))
}
