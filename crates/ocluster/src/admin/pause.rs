//! `pause` and `unpause`, which stick, and the readme's `pause-worker` and `unpause-worker`, which last until the
//! worker reconnects.

use std::collections::BTreeSet;
use std::ffi::OsString;

use cluster_api::{PoolAdmin, RpcErrorKind, WorkerInfo};

use super::service::failed;
use super::workers::{Chosen, Target, filled};
use super::{Common, drain, state};
use crate::error::CommandError;
use crate::json::admin::Paused;
use crate::output::Format;
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

/// Options of the pauses that stick, which a worker need not be connected for.
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

/// Give a worker no further jobs until it reconnects or is unpaused
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin pause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct PauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Affect every connected worker of the pool
    #[arg(long)]
    all: bool,
}

/// Give a worker paused with pause-worker jobs again
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin unpause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct UnpauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Affect every worker of the pool
    #[arg(long)]
    all: bool,
}

/// What is wanted of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Pause {
        auto_create: bool,
    },
    /// Ends both kinds of pause.
    Unpause {
        auto_create: bool,
    },
    PauseUntilItReconnects,
}

impl Change {
    fn pauses(self) -> bool {
        match self {
            Self::Pause { .. } | Self::PauseUntilItReconnects => true,
            Self::Unpause { .. } => false,
        }
    }

    /// Returns those of `known` that can be changed.
    fn affects(self, known: Vec<WorkerInfo>) -> Vec<WorkerInfo> {
        match self {
            Self::Pause { .. } | Self::Unpause { .. } => known,
            Self::PauseUntilItReconnects => known
                .into_iter()
                .filter(|worker| worker.connected)
                .collect(),
        }
    }

    /// Returns those of `known` that need not be told.
    async fn done(
        self,
        pool: &PoolAdmin,
        known: &[WorkerInfo],
    ) -> Result<BTreeSet<String>, CommandError> {
        if let Self::Pause { .. } = self {
            return state::paused_for_good(pool, known).await;
        }
        let done = known.iter().filter(|worker| worker.active != self.pauses());
        Ok(done.map(|worker| worker.name.clone()).collect())
    }

    async fn apply(self, pool: &PoolAdmin, worker: &str) -> Result<(), CommandError> {
        let set_active = async |active, auto_create| {
            let changed = pool.set_active(worker, active, auto_create).await;
            changed.map_err(failed("PoolAdmin.setActive"))
        };
        match self {
            Self::Pause { auto_create } => set_active(false, auto_create).await,
            Self::Unpause { auto_create } => set_active(true, auto_create).await,
            Self::PauseUntilItReconnects => match pool.pause_worker(worker, true).await {
                // A scheduler that knows one kind of pause only.
                Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                    set_active(false, false).await?;
                    complain(&format!(
                        "Note: if this scheduler remembers pauses, {} stays paused when it reconnects, until unpaused\n",
                        quoted(worker)
                    ));
                    Ok(())
                }
                result => result.map_err(failed("TemporaryPause.pauseWorker")),
            },
        }
    }
}

pub(super) async fn pause(common: &Common, args: PauseArgs) -> Result<(), CommandError> {
    let Which {
        positionals,
        all,
        auto_create,
    } = args.which;
    let target = Target::connect(common, positionals).await?;
    if args.wait {
        return drain::drain(&target, common.format(), all, auto_create).await;
    }
    let change = Change::Pause { auto_create };
    let told = told(&target, all, change, common.format()).await?;
    answer(&told, Telling::Success, common.format())
}

pub(super) async fn unpause(common: &Common, args: UnpauseArgs) -> Result<(), CommandError> {
    let Which {
        positionals,
        all,
        auto_create,
    } = args.which;
    let target = Target::connect(common, positionals).await?;
    let change = Change::Unpause { auto_create };
    let told = told(&target, all, change, common.format()).await?;
    answer(&told, Telling::Success, common.format())?;
    say_what_is_left(&target, &told).await
}

pub(super) async fn pause_worker(
    common: &Common,
    args: PauseWorkerArgs,
) -> Result<(), CommandError> {
    let target = Target::connect(common, args.positionals).await?;
    let change = Change::PauseUntilItReconnects;
    let told = told(&target, args.all, change, common.format()).await?;
    answer(&told, Telling::readme(args.all), common.format())
}

pub(super) async fn unpause_worker(
    common: &Common,
    args: UnpauseWorkerArgs,
) -> Result<(), CommandError> {
    let target = Target::connect(common, args.positionals).await?;
    let change = Change::Unpause { auto_create: false };
    let told = told(&target, args.all, change, common.format()).await?;
    answer(&told, Telling::readme(args.all), common.format())?;
    say_what_is_left(&target, &told).await
}

/// Says which of the workers that were unpaused still take no jobs, and why.
async fn say_what_is_left(target: &Target, unpaused: &Paused) -> Result<(), CommandError> {
    let (workers, _) = state::pool(&target.pool).await?;
    let is_meant = |name: &String| {
        let all = unpaused.workers.iter().chain(&unpaused.already);
        all.into_iter().any(|other| other == name)
    };
    for worker in workers.iter().filter(|worker| is_meant(&worker.name)) {
        let Some(left) = worker.connection.as_ref().and_then(state::why_inactive) else {
            continue;
        };
        complain(&format!(
            "Note: {} still takes no jobs: {left}\n",
            quoted(&worker.name)
        ));
    }
    Ok(())
}

/// Whether there is a last word for people.
#[derive(Clone, Copy)]
enum Telling {
    Success,
    /// The readme's commands are silent.
    Nothing,
}

impl Telling {
    fn readme(all: bool) -> Self {
        if all { Self::Success } else { Self::Nothing }
    }
}

/// Tells the worker that was named, or all that are not as wanted yet.
async fn told(
    target: &Target,
    all: bool,
    change: Change,
    format: Format,
) -> Result<Paused, CommandError> {
    let mut paused = Paused {
        pool: target.pool_name.clone(),
        paused: change.pauses(),
        workers: Vec::new(),
        already: Vec::new(),
    };
    match target.chosen(all).await? {
        Chosen::Named(worker) => paused.workers.push(worker),
        Chosen::All(known) => {
            let known = change.affects(known);
            let done = change.done(&target.pool, &known).await?;
            for worker in known {
                let list = if done.contains(&worker.name) {
                    &mut paused.already
                } else {
                    &mut paused.workers
                };
                list.push(worker.name);
            }
            if format == Format::Text {
                announce(&paused)?;
            }
        }
    }
    let changes = paused
        .workers
        .iter()
        .map(|worker| change.apply(&target.pool, worker));
    futures::future::try_join_all(changes).await?;
    Ok(paused)
}

/// Says what is about to be done to all.
fn announce(paused: &Paused) -> Result<(), CommandError> {
    for worker in &paused.already {
        print_line(format_args!("(worker {} is already done)", quoted(worker)))?;
    }
    match paused.workers.as_slice() {
        [] => Ok(()),
        workers => print_line(filled("Updating ", ",", workers) + "…"),
    }
}

fn answer(paused: &Paused, telling: Telling, format: Format) -> Result<(), CommandError> {
    let text = || match telling {
        Telling::Nothing => String::new(),
        Telling::Success if !paused.workers.is_empty() => "Success.\n".to_owned(),
        Telling::Success if !paused.already.is_empty() => "Nothing to do.\n".to_owned(),
        Telling::Success => "No workers connected to pool (nothing to do).\n".to_owned(),
    };
    format.print(text, || paused)
}
