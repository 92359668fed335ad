//! A sign of life for health checks that can look at a file and at nothing else, as those of containers are.
//!
//! They are programs of their own, which know neither the options of the one they check nor whether it serves metrics.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the file is written. A check that looks for one younger than 30 s may miss a few.
const INTERVAL: Duration = Duration::from_secs(5);

/// Whether to give a sign of life.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// Write this file every 5 seconds for as long as this program gets on with its work, for a container's health check
    #[arg(long, value_name = "PATH")]
    health_file: Option<PathBuf>,
}

impl HealthArgs {
    /// Gives signs of life from now on, if asked to, from the thread that does everything else: while that is stuck,
    /// there are none.
    ///
    /// Must be called within a `LocalSet`.
    pub fn start(self) {
        if let Some(file) = self.health_file {
            tokio::task::spawn_local(write_again_and_again(file));
        }
    }
}

async fn write_again_and_again(file: PathBuf) {
    let mut was_written = true;
    loop {
        let written = write(&file).await;
        if let Err(error) = &written
            && was_written
        {
            tracing::warn!(
                "cannot write the health file {file:?}: {error}; the health check that looks at it will fail"
            );
        }
        was_written = written.is_ok();
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Writes the file in place: what tells is when that was.
async fn write(file: &Path) -> std::io::Result<()> {
    tokio::fs::write(file, "alive\n").await
}
