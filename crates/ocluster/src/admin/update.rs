//! `update`: restarts workers with their newest version, one first and then the others.

use std::ffi::OsString;

use cluster_api::{PoolAdmin, WorkerInfo};

use super::drain::progress_of;
use super::service::{Service, failed};
use super::workers;
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;
use crate::program::print_line;
use crate::quote::quoted;

/// Restart workers with their newest version, after the jobs they run have finished
///
/// Without WORKER, one worker is updated first; if it comes back, the others follow in parallel.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin update [OPTIONS] [CAP] <POOL> [WORKER]")]
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
    match worker {
        Some(worker) => {
            update_first(&pool, &worker).await?;
            print_line("Restarted")
        }
        None => update_pool(&pool).await,
    }
}

/// Updates one worker whose failure ends the command. Upstream prints why on standard output.
async fn update_first(pool: &PoolAdmin, worker: &str) -> Result<(), CommandError> {
    match pool.update(worker, progress_of(worker)).await {
        Ok(()) => Ok(()),
        Err(error) => {
            print_line(error)?;
            Err(CommandError::already_reported())
        }
    }
}

async fn update_pool(pool: &PoolAdmin) -> Result<(), CommandError> {
    let known = pool.workers().await.map_err(failed("PoolAdmin.workers"))?;
    let (connected, disconnected): (Vec<WorkerInfo>, Vec<WorkerInfo>) =
        known.into_iter().partition(|worker| worker.connected);
    let mut connected = connected.into_iter().map(|worker| worker.name);
    let Some(canary) = connected.next() else {
        return Err(CommandError::failed("No workers connected to pool!"));
    };
    print_line(format_args!(
        "Testing update on first worker in pool: {}",
        quoted(&canary)
    ))?;
    update_first(pool, &canary).await.map_err(|error| {
        error.hint(format_args!(
            "no other worker was touched. Find out on the machine of {} what is wrong with its new version, then update again",
            quoted(&canary)
        ))
    })?;
    let others: Vec<String> = connected.collect();
    print_line(workers::filled("Canary updated OK. Updating the others: [", "", &others) + "]")?;
    update_others(pool, &others).await?;
    print_line("All pool workers restarted.")?;
    if !disconnected.is_empty() {
        print_line("WARNING: disconnected workers not updated:")?;
        for worker in &disconnected {
            print_line(format_args!("  {}", worker.name))?;
        }
    }
    Ok(())
}

/// Updates `workers` in parallel. One that fails does not keep us from waiting for the others.
async fn update_others(pool: &PoolAdmin, workers: &[String]) -> Result<(), CommandError> {
    let updates = workers.iter().map(async |worker| {
        let outcome = pool.update(worker, progress_of(worker)).await;
        let name = quoted(worker);
        match &outcome {
            Ok(()) => print_line(format_args!("{name} restarted OK."))?,
            Err(error) => print_line(format_args!("{name}: {error}"))?,
        }
        Ok(outcome.is_ok())
    });
    let updated = futures::future::try_join_all(updates).await?;
    if updated.contains(&false) {
        Err(CommandError::failed("Failed update(s)"))
    } else {
        Ok(())
    }
}
