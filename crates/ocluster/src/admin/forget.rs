//! `forget`: deletes what a scheduler remembers of a worker that will not come back.

use std::ffi::OsString;

use super::service::{Service, failed};
use super::workers;
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;
use crate::program::print_line;

/// Delete a disconnected worker from a pool
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin forget [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let pool = positionals.required("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let pool = service.pool(&pool);
    let Some(worker) = worker else {
        let known = pool.workers().await.map_err(failed("PoolAdmin.workers"))?;
        let disconnected: Vec<_> = known
            .into_iter()
            .filter(|worker| !worker.connected)
            .collect();
        if disconnected.is_empty() {
            return print_line("No disconnected workers in pool (nothing to forget).");
        }
        return Err(workers::choose(&disconnected, false));
    };
    match pool.forget(&worker).await {
        Ok(()) => Ok(()),
        // On standard output, where scripts that know upstream look for it.
        Err(error) => {
            print_line(error)?;
            Err(CommandError::already_reported())
        }
    }
}
