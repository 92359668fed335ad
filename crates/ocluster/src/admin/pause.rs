//! `pause` and `unpause`, which persist, and the readme's `pause-worker` and `unpause-worker`, which last until the
//! worker reconnects.

use std::collections::BTreeSet;
use std::ffi::OsString;

use cluster_api::{NewPause, PoolAdmin, WorkerInfo};

use super::inactivity::why_inactive;
use super::note::NoteArgs;
use super::pause_request::{new_pause, pause_with_note};
use super::workers::{Chosen, Target, filled};
use super::{Common, drain, state};
use crate::json::admin::Paused;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_error, print_line};
use cli::quote::quoted;

/// Pause a worker until it is unpaused
///
/// A paused worker gets no further jobs. It stays paused across reconnects.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin pause [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Wait until its running jobs have finished, as drain does
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    note: NoteArgs,
}

/// Unpause a worker
///
/// This ends the pauses of pause, drain and pause-worker.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin unpause [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct UnpauseArgs {
    #[command(flatten)]
    which: Which,
}

/// Options of the persistent pauses, for which a worker need not be connected.
#[derive(Debug, clap::Args)]
struct Which {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Apply to every worker of the pool
    #[arg(long)]
    all: bool,
    /// Accept a worker that is unknown to the scheduler
    #[arg(long)]
    auto_create: bool,
}

/// Pause a worker until it reconnects or is unpaused
///
/// A paused worker gets no further jobs.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin pause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct PauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Apply to every connected worker of the pool
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    note: NoteArgs,
}

/// Unpause a worker that was paused by pause-worker
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin unpause-worker [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct UnpauseWorkerArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Apply to every worker of the pool
    #[arg(long)]
    all: bool,
}

/// The change to make to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Pause(NewPause),
    /// Ends both kinds of pause.
    Unpause {
        auto_create: bool,
    },
}

impl Change {
    fn pauses(&self) -> bool {
        matches!(self, Self::Pause(_))
    }

    /// Returns those of `known` that can be changed.
    fn affects(&self, mut known: Vec<WorkerInfo>) -> Vec<WorkerInfo> {
        if let Self::Pause(pause) = self
            && pause.until_reconnect
        {
            known.retain(|worker| worker.connected);
        }
        known
    }

    /// Returns those of `known` that need no change.
    async fn done(
        &self,
        pool: &PoolAdmin,
        known: &[WorkerInfo],
    ) -> Result<BTreeSet<String>, CommandError> {
        match self {
            // Workers that are already paused get the new note.
            Self::Pause(pause) if !pause.note.is_empty() => return Ok(BTreeSet::new()),
            Self::Pause(pause) if !pause.until_reconnect => {
                return state::paused_for_good(pool, known).await;
            }
            Self::Pause(_) | Self::Unpause { .. } => {}
        }
        let done = known.iter().filter(|worker| worker.active != self.pauses());
        Ok(done.map(|worker| worker.name.clone()).collect())
    }

    async fn apply(&self, target: &Target, worker: &str) -> Result<(), CommandError> {
        match self {
            Self::Pause(pause) => pause_with_note(target, worker, pause).await,
            Self::Unpause { auto_create } => {
                let changed = target.pool.set_active(worker, true, *auto_create).await;
                match changed {
                    Ok(()) => Ok(()),
                    Err(error) => Err(target
                        .failed("PoolAdmin.setActive", Some(worker), error)
                        .await),
                }
            }
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
        let pause = new_pause(args.note, auto_create);
        return drain::drain(&target, common.format(), all, &pause).await;
    }
    let change = Change::Pause(new_pause(args.note, auto_create));
    let paused = change_workers(&target, all, &change, common.format()).await?;
    answer(&paused, Closing::Success, common.format())
}

pub(super) async fn unpause(common: &Common, args: UnpauseArgs) -> Result<(), CommandError> {
    let Which {
        positionals,
        all,
        auto_create,
    } = args.which;
    let target = Target::connect(common, positionals).await?;
    let change = Change::Unpause { auto_create };
    let paused = change_workers(&target, all, &change, common.format()).await?;
    answer(&paused, Closing::Success, common.format())?;
    print_still_inactive(&target, &paused).await
}

pub(super) async fn pause_worker(
    common: &Common,
    args: PauseWorkerArgs,
) -> Result<(), CommandError> {
    let target = Target::connect(common, args.positionals).await?;
    let change = Change::Pause(NewPause {
        until_reconnect: true,
        ..new_pause(args.note, false)
    });
    let paused = change_workers(&target, args.all, &change, common.format()).await?;
    answer(&paused, Closing::readme(args.all), common.format())
}

pub(super) async fn unpause_worker(
    common: &Common,
    args: UnpauseWorkerArgs,
) -> Result<(), CommandError> {
    let target = Target::connect(common, args.positionals).await?;
    let change = Change::Unpause { auto_create: false };
    let paused = change_workers(&target, args.all, &change, common.format()).await?;
    answer(&paused, Closing::readme(args.all), common.format())?;
    print_still_inactive(&target, &paused).await
}

/// Prints which of the unpaused workers still take no jobs, and why.
async fn print_still_inactive(target: &Target, unpaused: &Paused) -> Result<(), CommandError> {
    let state::State { workers, .. } = match state::pool(&target.pool, 0).await {
        Ok(state) => state,
        Err((method, error)) => return Err(target.failed(method, None, error).await),
    };
    let is_meant = |name: &String| {
        let all = unpaused.workers.iter().chain(&unpaused.already);
        all.into_iter().any(|other| other == name)
    };
    for worker in workers.iter().filter(|worker| is_meant(&worker.name)) {
        let Some(left) = worker.connection.as_ref().and_then(why_inactive) else {
            continue;
        };
        print_error(&format!(
            "Note: {} still takes no jobs: {left}\n",
            quoted(&worker.name)
        ));
    }
    Ok(())
}

/// Whether a closing line is printed for people.
#[derive(Clone, Copy)]
enum Closing {
    Success,
    /// The readme's commands print nothing.
    Nothing,
}

impl Closing {
    fn readme(all: bool) -> Self {
        if all { Self::Success } else { Self::Nothing }
    }
}

/// Changes the named worker, or all that need the change.
async fn change_workers(
    target: &Target,
    all: bool,
    change: &Change,
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
        .map(|worker| change.apply(target, worker));
    futures::future::try_join_all(changes).await?;
    Ok(paused)
}

/// Prints which of all workers are about to be changed.
fn announce(paused: &Paused) -> Result<(), CommandError> {
    for worker in &paused.already {
        print_line(format_args!("(worker {} is already done)", quoted(worker)))?;
    }
    match paused.workers.as_slice() {
        [] => Ok(()),
        workers => print_line(filled("Updating ", ",", workers) + "…"),
    }
}

fn answer(paused: &Paused, closing: Closing, format: Format) -> Result<(), CommandError> {
    let text = || match closing {
        Closing::Nothing => String::new(),
        Closing::Success if !paused.workers.is_empty() => "Success.\n".to_owned(),
        Closing::Success if !paused.already.is_empty() => "Nothing to do.\n".to_owned(),
        Closing::Success => "No workers connected to pool (nothing to do).\n".to_owned(),
    };
    format.print(text, || paused)
}
