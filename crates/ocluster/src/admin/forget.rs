//! `forget`: deletes what a scheduler remembers of workers that will not come back.

use std::ffi::OsString;

use cluster_api::WorkerInfo;

use super::Common;
use super::service::{About, Service};
use super::workers;
use crate::json::admin::Forgotten;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_line;

/// Delete a disconnected worker from a pool
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin forget [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Delete every disconnected worker of the pool
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool_name = positionals.required("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let pool = service.pool(&pool_name);
    let forgotten = match worker {
        Some(worker) => vec![worker],
        None => {
            let known = match pool.workers().await {
                Ok(known) => known,
                Err(error) => {
                    let about = About::pool(&pool_name);
                    return Err(service.failed("PoolAdmin.workers", about, error).await);
                }
            };
            let disconnected: Vec<WorkerInfo> = known
                .into_iter()
                .filter(|worker| !worker.connected)
                .collect();
            if disconnected.is_empty() && common.format() == Format::Text {
                return print_line("No disconnected workers in pool (nothing to forget).");
            }
            if !args.all && !disconnected.is_empty() {
                return Err(workers::choose(&disconnected, true));
            }
            disconnected.into_iter().map(|worker| worker.name).collect()
        }
    };
    for worker in &forgotten {
        if let Err(error) = pool.forget(worker).await {
            let failed = match common.format() {
                // On standard output, where scripts that know upstream look for it.
                Format::Text => {
                    print_line(&error)?;
                    CommandError::already_reported()
                }
                Format::Json => CommandError::failed(&error),
            };
            let about = About::worker(&pool_name, worker);
            return Err(service.advise(about, &error, failed).await);
        }
    }
    let text = match args.all {
        true => forgotten
            .iter()
            .map(|worker| format!("Forgot {worker}.\n"))
            .collect(),
        false => String::new(),
    };
    common.format().print(
        || text,
        || Forgotten {
            pool: pool_name,
            workers: forgotten,
        },
    )
}
