//! `show`: the pools of a scheduler, the state of one, or of one worker.

use std::ffi::OsString;

use super::Common;
use super::service::{Service, failed};
use crate::error::CommandError;
use crate::program::{print, print_line};

/// Show the pools, the state of one pool, or of one worker
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Print names and states alone, for scripts
    #[arg(long)]
    terse: bool,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool = positionals.optional("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    match (pool, worker) {
        (None, _) => pools(&service).await,
        (Some(pool), None) if args.terse => workers(&service, &pool).await,
        (Some(pool), None) => state(&service, &pool).await,
        (Some(pool), Some(worker)) => worker_state(&service, &pool, &worker, args.terse).await,
    }
}

async fn pools(service: &Service) -> Result<(), CommandError> {
    let pools = service
        .admin()
        .pools()
        .await
        .map_err(failed("Admin.pools"))?;
    print(
        &pools
            .iter()
            .map(|pool| format!("{pool}\n"))
            .collect::<String>(),
    )
}

async fn workers(service: &Service, pool: &str) -> Result<(), CommandError> {
    let workers = service
        .pool(pool)
        .workers()
        .await
        .map_err(failed("PoolAdmin.workers"))?;
    print(
        &workers
            .iter()
            .map(|worker| format!("{}\n", worker.name))
            .collect::<String>(),
    )
}

async fn state(service: &Service, pool: &str) -> Result<(), CommandError> {
    let state = service
        .pool(pool)
        .show()
        .await
        .map_err(failed("PoolAdmin.show"))?;
    print_line(state.trim())
}

async fn worker_state(
    service: &Service,
    pool: &str,
    worker: &str,
    terse: bool,
) -> Result<(), CommandError> {
    let workers = service
        .pool(pool)
        .workers()
        .await
        .map_err(failed("PoolAdmin.workers"))?;
    let state = match workers.iter().find(|info| info.name == worker) {
        Some(info) if info.active => "Running",
        Some(_) => "Paused",
        None => "Not found",
    };
    if terse {
        print_line(state)
    } else {
        print_line(format_args!("{worker}: {state}"))
    }
}
