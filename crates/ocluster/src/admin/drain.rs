//! `drain`: pauses workers, and waits until nothing runs on them. `pause --wait` does the same.

use std::ffi::OsString;

use cluster_api::NewPause;

use super::Common;
use super::note::NoteArgs;
use super::pause_request::{new_pause, pause_with_note};
use super::watch::{RemainingWorker, Task, Watch};
use super::workers::{Chosen, Target, filled};
use cli::error::CommandError;
use cli::interrupt::Interrupt;
use cli::output::Format;
use visible::counted;

/// Pause a worker, and wait until its running jobs have finished
///
/// It stays paused across reconnects until unpaused. Ctrl-C ends the wait, not the pause.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin drain [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Drain every worker of the pool
    #[arg(long)]
    all: bool,
    /// Accept a worker that is unknown to the scheduler
    #[arg(long)]
    auto_create: bool,
    /// Accepted for compatibility; drain always waits
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    // Drain always waits, with this option or without.
    let Args {
        positionals,
        all,
        auto_create,
        wait: _,
        note,
    } = args;
    let target = Target::connect(common, positionals).await?;
    let pause = new_pause(note, auto_create);
    drain(&target, common.format(), all, &pause).await
}

/// Drains the worker that was named, or all.
pub(super) async fn drain(
    target: &Target,
    format: Format,
    all: bool,
    pause: &NewPause,
) -> Result<(), CommandError> {
    let watch = Watch::new(Task::Drain, format);
    let workers = match target.chosen(all).await? {
        Chosen::Named(worker) => vec![worker],
        Chosen::All(known) if known.is_empty() => {
            return watch.print_text("No workers connected to pool (nothing to do).");
        }
        // A worker that is already paused may still be building.
        Chosen::All(known) => {
            let names: Vec<String> = known.into_iter().map(|worker| worker.name).collect();
            watch.print_text(filled("Updating ", ",", &names) + "…")?;
            names
        }
    };
    // Draining pauses too, but cannot create a worker, and stores no author.
    let pauses = workers
        .iter()
        .map(|worker| pause_with_note(target, worker, pause));
    futures::future::try_join_all(pauses).await?;
    watch.print_text("Waiting for jobs to finish…")?;
    let drains = workers.iter().map(|worker| {
        let drained = target.pool.drain(worker, watch.begin(worker));
        let watch = &watch;
        async move {
            match drained.await {
                Ok(()) => watch.done(worker),
                Err(error) => Err(target.failed("PoolAdmin.drain", Some(worker), error).await),
            }
        }
    });
    match watch.until(futures::future::try_join_all(drains)).await {
        Ok(drained) => drained?,
        Err(interrupt) => return Err(interrupted(interrupt, target, &workers, &watch.remaining())),
    };
    watch.print_text("Success.")
}

/// Returns the error for an interrupt: what remains in force, and how to undo it.
fn interrupted(
    interrupt: Interrupt,
    target: &Target,
    workers: &[String],
    remaining: &[RemainingWorker],
) -> CommandError {
    let running: Vec<String> = remaining
        .iter()
        .filter_map(|left| {
            let jobs = usize::try_from(left.running.filter(|&jobs| jobs > 0)?).ok()?;
            Some(format!("{} on {}", counted(jobs, "job"), left.worker))
        })
        .collect();
    let still = match running.is_empty() {
        true => String::new(),
        false => format!("; still running: {}", running.join(", ")),
    };
    let (who, undo) = match workers {
        [worker] => (
            format!("{worker} stays"),
            target.command("unpause", Some(worker)),
        ),
        _ => (
            format!("{} stay", counted(workers.len(), "worker")),
            target.command("unpause --all", None),
        ),
    };
    CommandError::interrupted(interrupt, format_args!("Interrupted: {who} paused{still}"))
        .hint(format_args!("to undo the pause, run: {undo}"))
}
