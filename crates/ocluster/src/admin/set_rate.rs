//! `set-rate`: sets a client's share of a pool.

use std::ffi::OsString;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::Rate;
use cli::error::CommandError;

/// Set a client's share of a pool, as the number of jobs it runs at once
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin set-rate [OPTIONS] [CAP] <POOL> <ID> <RATE>")]
pub(super) struct Args {
    #[arg(hide = true, allow_negative_numbers = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool = positionals.required("POOL")?;
    let client = positionals.required("ID")?;
    let rate = positionals.required("RATE")?;
    positionals.finish()?;
    let rate: f64 = rate.parse().map_err(|_| {
        CommandError::usage(format_args!(
            "argument RATE: invalid value '{rate}', expected a number"
        ))
    })?;
    let service = Service::connect(&cap).await?;
    if let Err(error) = service.pool(&pool).set_rate(&client, rate).await {
        let about = About {
            client: Some(&client),
            ..About::pool(&pool)
        };
        return Err(service.failed("PoolAdmin.setRate", about, error).await);
    }
    common
        .format()
        .print(String::new, || Rate { pool, client, rate })
}
