//! The containers of stopped and failed builds: none of them is left.
//!
//! The classic builder never removes the container of a failed instruction. Only that container shows whether a process
//! was killed for lack of memory, so this is checked before it is removed.
//!
//! When the command of a build ends, the engine ends the build, but with a delay. So the worker finds the containers in
//! which the classic builder runs a build's instructions, by an entry for `/etc/hosts` that no other build has, and
//! makes sure that they end. The engine does not list BuildKit's containers; BuildKit kills their processes at once.

use std::time::{Duration, Instant};

use super::commands::Docker;
use crate::cancel::Cancel;
use crate::process::{Command, ProcessError, Processes};

/// How long to wait for the engine to end a build.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long to wait between two checks.
const POLL: Duration = Duration::from_millis(200);

/// How many checks in a row must find no container: there is none for a moment between two instructions.
const QUIET: u32 = 4;

/// Why a build may not have ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStopped {
    #[error("Cannot stop the build: its container {id} still runs after {} s", STOP_LIMIT.as_secs())]
    Running { id: String },
    #[error("Cannot check whether the build has stopped: {0}")]
    Unknown(String),
}

/// Returns a host entry for a build, for the engine's `--add-host`. `unique` must differ between builds.
pub(super) fn host(unique: &str) -> String {
    format!("{unique}.invalid:127.0.0.1")
}

/// Stops the containers of the build with this host entry.
pub(super) async fn stop(
    docker: &Docker,
    processes: &Processes,
    host: &str,
) -> Result<(), NotStopped> {
    let started = Instant::now();
    let mut quiet = 0;
    while quiet < QUIET {
        let found = find(docker, processes, host).await?;
        let Some(id) = found else {
            quiet += 1;
            tokio::time::sleep(POLL).await;
            continue;
        };
        quiet = 0;
        if started.elapsed() > STOP_LIMIT {
            return Err(NotStopped::Running { id });
        }
        tracing::info!("Killing container {id} of a build that was stopped");
        match ask(processes, &docker.kill(&id)).await {
            // It has ended by itself, or the next check will find it.
            Ok(_) | Err(NotStopped::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many times to list containers, if others disappear meanwhile.
const MAX_ATTEMPTS: u32 = 3;

/// Removes the containers of the build with this host entry. Returns whether the kernel killed a process in one of them
/// for lack of memory.
///
/// # Errors
/// Text for the worker's log: containers that are left do not fail a build.
pub(super) async fn clean_up(
    docker: &Docker,
    processes: &Processes,
    host: &str,
) -> Result<bool, NotStopped> {
    let mut attempts = 0;
    let fates = loop {
        attempts += 1;
        let ended = ask(processes, &docker.ended()).await?;
        let ended: Vec<_> = ended.split_whitespace().collect();
        if ended.is_empty() {
            return Ok(false);
        }
        match ask(processes, &docker.fates(ended.iter().copied())).await {
            Err(_) if attempts < MAX_ATTEMPTS => {}
            fates => break fates?,
        }
    };
    let mut ours = Vec::new();
    let mut killed = false;
    for line in fates.lines() {
        let mut words = line.split_whitespace();
        let (Some(id), Some(is_killed)) = (words.next(), words.next()) else {
            continue;
        };
        if words.any(|known| known == host) {
            ours.push(id);
            killed |= is_killed == "true";
        }
    }
    if !ours.is_empty() {
        ask(processes, &docker.remove(ours)).await?;
    }
    Ok(killed)
}

/// Returns a running container of the build.
async fn find(
    docker: &Docker,
    processes: &Processes,
    host: &str,
) -> Result<Option<String>, NotStopped> {
    let running = ask(processes, &docker.running()).await?;
    for id in running.split_whitespace() {
        // For one that has ended meanwhile, this fails.
        let hosts = ask(processes, &docker.hosts(id)).await.unwrap_or_default();
        if hosts.split_whitespace().any(|known| known == host) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

async fn ask(processes: &Processes, command: &Command) -> Result<String, NotStopped> {
    let unknown = |error: ProcessError| NotStopped::Unknown(error.to_string());
    // An engine that hangs must not hang the job.
    let answer = tokio::time::timeout(STOP_LIMIT, processes.ask(command, &Cancel::new())).await;
    answer
        .map_err(|_| NotStopped::Unknown(format!("{} does not answer", command.label())))?
        .map_err(unknown)
}
