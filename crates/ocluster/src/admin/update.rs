//! `update`: restarts workers with their newest version, first one and then the others.

use std::ffi::OsString;
use std::rc::Rc;

use cluster_api::{RpcError, WorkerInfo};

use super::Common;
use super::watch::{RemainingWorker, Task, Watch};
use super::workers::{Chosen, Target, filled};
use cli::error::CommandError;
use cli::interrupt::Interrupt;
use cli::output::Format;
use cli::print::print_error;
use cli::quote::{printable, quoted};

/// Restart workers with their newest version, after their running jobs have finished
///
/// Without WORKER, one worker is updated first. If it reconnects, the others follow in parallel.
///
/// Ctrl-C cancels the updates of workers that have not begun to restart. They take jobs again.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin update [OPTIONS] [CAP] <POOL> [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Update every worker of the pool (the default without WORKER)
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let Args {
        positionals,
        all: _,
    } = args;
    let target = Target::connect(common, positionals).await?;
    let update = Update {
        target: &target,
        watch: Watch::new(Task::Update, common.format()),
        format: common.format(),
    };
    let work = async {
        match target.chosen(true).await? {
            Chosen::Named(worker) => {
                update.first(&worker).await?;
                update.watch.print_text("Restarted")
            }
            Chosen::All(known) => update.all(known).await,
        }
    };
    match update.watch.until(work).await {
        Ok(updated) => updated,
        Err(interrupt) => Err(interrupted(interrupt, &update.watch.remaining())),
    }
}

struct Update<'a> {
    target: &'a Target,
    watch: Rc<Watch>,
    format: Format,
}

impl Update<'_> {
    async fn one(&self, worker: &str) -> Result<Result<(), RpcError>, CommandError> {
        let updated = self
            .target
            .pool
            .update(worker, self.watch.begin(worker))
            .await;
        match &updated {
            Ok(()) => self.watch.done(worker)?,
            Err(error) => self.watch.failed(worker, error)?,
        }
        Ok(updated)
    }

    /// Updates one worker whose failure ends the command. Upstream prints why on standard output.
    async fn first(&self, worker: &str) -> Result<(), CommandError> {
        match self.one(worker).await? {
            Ok(()) => Ok(()),
            Err(error) => {
                match self.format {
                    Format::Text => self.watch.print_text(&error)?,
                    Format::Json => print_error(&format!("{error}\n")),
                }
                let failed = CommandError::already_reported();
                Err(self.target.advise(Some(worker), &error, failed).await)
            }
        }
    }

    async fn all(&self, known: Vec<WorkerInfo>) -> Result<(), CommandError> {
        let (connected, disconnected): (Vec<WorkerInfo>, Vec<WorkerInfo>) =
            known.into_iter().partition(|worker| worker.connected);
        let mut connected = connected.into_iter().map(|worker| worker.name);
        let Some(canary) = connected.next() else {
            return Err(CommandError::failed("No workers connected to pool!"));
        };
        self.watch.print_text(format_args!(
            "Testing update on first worker in pool: {}",
            quoted(&canary)
        ))?;
        self.first(&canary).await.map_err(|error| {
            error.hint(format_args!(
                "no other worker was updated; find out why {} does not come back with its new version, then run \
                 update again",
                quoted(&canary)
            ))
        })?;
        let others: Vec<String> = connected.collect();
        self.watch
            .print_text(filled("Canary updated OK. Updating the others: [", "", &others) + "]")?;
        self.others(&others).await?;
        self.watch.print_text("All pool workers restarted.")?;
        if !disconnected.is_empty() {
            self.watch
                .print_text("WARNING: disconnected workers not updated:")?;
        }
        for worker in &disconnected {
            self.watch
                .print_text(format_args!("  {}", printable(&worker.name)))?;
            self.watch.skipped(&worker.name)?;
        }
        Ok(())
    }

    /// Updates `workers` in parallel. If one fails, the others are still waited for.
    async fn others(&self, workers: &[String]) -> Result<(), CommandError> {
        let updates = workers.iter().map(async |worker| {
            let outcome = self.one(worker).await?;
            let name = quoted(worker);
            match &outcome {
                Ok(()) => self
                    .watch
                    .print_text(format_args!("{name} restarted OK."))?,
                Err(error) => self.watch.print_text(format_args!("{name}: {error}"))?,
            }
            Ok(outcome.is_ok())
        });
        let updated = futures::future::try_join_all(updates).await?;
        if !updated.contains(&false) {
            return Ok(());
        }
        let message = "Failed update(s)";
        match self.format {
            Format::Text => Err(CommandError::failed(message)),
            // The events have reported it.
            Format::Json => {
                print_error(&format!("{message}\n"));
                Err(CommandError::already_reported())
            }
        }
    }
}

/// Returns the error for an interrupt: which workers are restarting, and which take jobs again.
fn interrupted(interrupt: Interrupt, remaining: &[RemainingWorker]) -> CommandError {
    let names = |restarting: bool| {
        let names = remaining
            .iter()
            .filter(|left| left.restarting == restarting);
        let names: Vec<&str> = names.map(|left| left.worker.as_str()).collect();
        names.join(", ")
    };
    let (restarting, spared) = (names(true), names(false));
    let mut message = "Interrupted: no further workers are updated".to_owned();
    if !restarting.is_empty() {
        message.push_str(&format!("; already restarting: {restarting}"));
    }
    if !spared.is_empty() {
        message.push_str(&format!("; not restarted, and taking jobs again: {spared}"));
    }
    CommandError::interrupted(interrupt, message)
}
