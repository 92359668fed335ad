//! `pause` and `unpause`, which stick, and the readme's `pause-worker` and `unpause-worker`, which last until the
//! worker reconnects.

use std::ffi::OsString;

use cluster_api::{Pipelined, PoolAdmin, RpcErrorKind, WorkerInfo};

use super::service::{Service, failed};
use super::{drain, workers};
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;
use crate::program::{complain, print_line};
use crate::quote::quoted;

/// Give a worker no further jobs, even after it reconnects, until it is unpaused
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin pause [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Wait until all jobs that run on it have finished (drain it)
    #[arg(long)]
    wait: bool,
}

/// Give a paused worker jobs again
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin unpause [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct UnpauseArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Affect every worker of the pool
    #[arg(long)]
    all: bool,
    /// Accept a worker that the scheduler has never seen
    #[arg(long)]
    auto_create: bool,
}

/// What the user named: a pool, and perhaps one of its workers.
struct Target {
    pool: Pipelined<PoolAdmin>,
    worker: Option<String>,
    /// Held because dropping it closes the connection.
    _service: Service,
}

async fn target(connect: &ConnectArgs, positionals: Vec<OsString>) -> Result<Target, CommandError> {
    let (cap, mut positionals) = connect.split(positionals)?;
    let pool = positionals.required("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    Ok(Target {
        pool: service.pool(&pool),
        worker,
        _service: service,
    })
}

pub(super) async fn pause_worker(
    connect: &ConnectArgs,
    args: PauseWorkerArgs,
) -> Result<(), CommandError> {
    let (target, worker) = one_worker(connect, args.positionals).await?;
    match target.pool.pause_worker(&worker, true).await {
        Err(error) if error.kind == RpcErrorKind::Unimplemented => {
            remembered_pause(&target.pool, &worker).await
        }
        result => result.map_err(failed("TemporaryPause.pauseWorker")),
    }
}

/// Pauses a worker of a scheduler that knows one kind of pause only, and says what that means where it matters.
async fn remembered_pause(pool: &PoolAdmin, worker: &str) -> Result<(), CommandError> {
    pool.set_active(worker, false, false)
        .await
        .map_err(failed("PoolAdmin.setActive"))?;
    complain(&format!(
        "Note: if this scheduler remembers pauses, {} stays paused when it reconnects, until unpaused\n",
        quoted(worker)
    ));
    Ok(())
}

/// Ends both kinds of pause: whoever asks for a worker to be unpaused wants it to work.
pub(super) async fn unpause_worker(
    connect: &ConnectArgs,
    args: UnpauseWorkerArgs,
) -> Result<(), CommandError> {
    let (target, worker) = one_worker(connect, args.positionals).await?;
    target
        .pool
        .set_active(&worker, true, false)
        .await
        .map_err(failed("PoolAdmin.setActive"))?;
    match target.pool.pause_worker(&worker, false).await {
        Err(error) if error.kind == RpcErrorKind::Unimplemented => Ok(()),
        result => result.map_err(failed("TemporaryPause.pauseWorker")),
    }
}

/// Returns the one worker that the readme's commands are about.
async fn one_worker(
    connect: &ConnectArgs,
    positionals: Vec<OsString>,
) -> Result<(Target, String), CommandError> {
    let mut target = target(connect, positionals).await?;
    match target.worker.take() {
        Some(worker) => Ok((target, worker)),
        None => {
            let known = target.pool.workers().await;
            let known = known.map_err(failed("PoolAdmin.workers"))?;
            Err(workers::choose(&known, false))
        }
    }
}

pub(super) async fn pause(connect: &ConnectArgs, args: PauseArgs) -> Result<(), CommandError> {
    set_active(
        connect,
        args.which,
        Change {
            active: false,
            wait: args.wait,
        },
    )
    .await
}

pub(super) async fn unpause(connect: &ConnectArgs, args: UnpauseArgs) -> Result<(), CommandError> {
    set_active(
        connect,
        args.which,
        Change {
            active: true,
            wait: false,
        },
    )
    .await
}

/// What is wanted of the workers.
#[derive(Clone, Copy)]
struct Change {
    active: bool,
    /// Whether to wait until nothing runs.
    wait: bool,
}

async fn set_active(
    connect: &ConnectArgs,
    which: Which,
    change: Change,
) -> Result<(), CommandError> {
    let Target {
        pool,
        worker,
        _service,
    } = target(connect, which.positionals).await?;
    if let Some(worker) = worker {
        apply(&pool, vec![worker], which.auto_create, change).await?;
        return print_line("Success.");
    }
    let known = pool.workers().await.map_err(failed("PoolAdmin.workers"))?;
    if known.is_empty() {
        return print_line("No workers connected to pool (nothing to do).");
    }
    if !which.all {
        return Err(workers::choose(&known, true));
    }
    let chosen = not_done_yet(&known, change)?;
    if chosen.is_empty() {
        return print_line("Nothing to do.");
    }
    print_line(workers::filled("Updating ", ",", &chosen) + "…")?;
    apply(&pool, chosen, which.auto_create, change).await?;
    print_line("Success.")
}

/// Returns the workers that are not as wanted yet, and mentions the others. One to be waited for is never done: it
/// may be paused and still building.
fn not_done_yet(known: &[WorkerInfo], change: Change) -> Result<Vec<String>, CommandError> {
    let mut chosen = Vec::new();
    for worker in known {
        if worker.active == change.active && !change.wait {
            print_line(format_args!(
                "(worker {} is already done)",
                quoted(&worker.name)
            ))?;
        } else {
            chosen.push(worker.name.clone());
        }
    }
    Ok(chosen)
}

async fn apply(
    pool: &PoolAdmin,
    workers: Vec<String>,
    auto_create: bool,
    change: Change,
) -> Result<(), CommandError> {
    // Draining pauses too, but cannot create a worker.
    if !change.wait || auto_create {
        let changes = workers
            .iter()
            .map(|worker| pool.set_active(worker, change.active, auto_create));
        futures::future::try_join_all(changes)
            .await
            .map_err(failed("PoolAdmin.setActive"))?;
    }
    if change.wait {
        print_line("Waiting for jobs to finish…")?;
        drain::drain(pool, &workers).await?;
    }
    Ok(())
}

/// Give a worker no further jobs until it reconnects or is unpaused
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin pause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct PauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

/// Give a worker paused with pause-worker jobs again
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin unpause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct UnpauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}
