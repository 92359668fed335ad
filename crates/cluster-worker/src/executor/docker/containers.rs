//! The containers of a build that was stopped: cancelled means gone.
//!
//! When its command goes, the engine ends a build, but some time after that. So we find the containers in which the classic builder
//! runs a build's instructions, by a line for `/etc/hosts` that no other build has, and see to their end. BuildKit's are not
//! among the engine's containers; it kills what they run at once.

use std::time::{Duration, Instant};

use super::commands::Docker;
use crate::cancel::Cancel;
use crate::process::{Command, ProcessError, Processes};

/// How long to wait for the engine to end a build.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(200);

/// How often in a row there must be no container: between two instructions there is none for a moment.
const QUIET: u32 = 4;

/// Why a build may not have ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStopped {
    #[error("Cannot stop the build: its container {id} still runs after {} s", STOP_LIMIT.as_secs())]
    Running { id: String },
    #[error("Cannot tell whether the build has stopped: {0}")]
    Unknown(String),
}

/// Returns a name for a build, for the engine's `--add-host`. `unique` is unlike that of any other build.
pub(super) fn host(unique: &str) -> String {
    format!("{unique}.invalid:127.0.0.1")
}

/// Sees to the end of the containers of the build that has this host.
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
            // It has ended by itself, or will be there when we look again.
            Ok(_) | Err(NotStopped::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns a running container of the build.
async fn find(
    docker: &Docker,
    processes: &Processes,
    host: &str,
) -> Result<Option<String>, NotStopped> {
    let running = ask(processes, &docker.running()).await?;
    for id in running.split_whitespace() {
        // One that has ended meanwhile has no hosts.
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
