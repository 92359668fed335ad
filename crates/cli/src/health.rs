//! A liveness file for health checks that can only test a file, such as those of containers.
//!
//! Such a check is a program of its own, which knows neither the options of the checked program nor whether it serves
//! metrics.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the file is written. A check for a file younger than 30 s tolerates a few missed writes.
const INTERVAL: Duration = Duration::from_secs(5);

/// The option for the liveness file.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// Touch this file every 5 seconds while healthy
    ///
    /// A container's health check can test the file's age.
    #[arg(long, value_name = "PATH")]
    health_file: Option<PathBuf>,
}

impl HealthArgs {
    /// Starts to write the file, if there is one, on the thread that does all the work: the file ages while that thread
    /// is stuck.
    ///
    /// Must be called within a `LocalSet`.
    pub fn start(self) {
        if let Some(file) = self.health_file {
            tokio::task::spawn_local(write_periodically(file));
        }
    }
}

async fn write_periodically(file: PathBuf) {
    let mut was_written = true;
    loop {
        let written = write(&file).await;
        if let Err(error) = &written
            && was_written
        {
            tracing::warn!(
                "Cannot write the health file {}: {error}; health checks that test it will fail",
                file.display()
            );
        }
        was_written = written.is_ok();
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Writes the file in place: only its time matters.
async fn write(file: &Path) -> std::io::Result<()> {
    tokio::fs::write(file, "alive\n").await
}
