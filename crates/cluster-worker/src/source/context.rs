//! The directory that a job is built in.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::leftovers::remove_leftover;
use crate::outcome::JobError;

/// The prefixes of jobs' temporary files, by which leftovers are recognized.
const PREFIXES: [&str; 2] = ["build-context-", "build-worker-"];

/// Makes the directory for temporary files, which other users cannot access, and removes files of a killed worker.
pub(super) fn prepare(tmp: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if !tmp.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(tmp)?;
    }
    for entry in fs::read_dir(tmp)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            remove_leftover(&entry.path());
        }
    }
    Ok(())
}

/// The directory with a job's source. Only the job's executor uses it.
///
/// Call [`Context::remove`]. Dropping it removes the directory too, but blocks the reactor's thread.
#[derive(Debug)]
pub(crate) struct Context(TempDir);

impl Context {
    pub(super) fn create(tmp: &Path) -> Result<Self, JobError> {
        let dir = tempfile::Builder::new()
            .prefix("build-context-")
            .tempdir_in(tmp);
        let dir =
            dir.map_err(|error| JobError::failed(format!("cannot make a build context: {error}")))?;
        Ok(Self(dir))
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes it, on another thread.
    pub(crate) async fn remove(self) {
        let removed = tokio::task::spawn_blocking(move || {
            // The job may have removed permissions, or nested directories deeper than `tempfile` removes.
            remove_leftover(self.path());
            // Usually it is removed by now.
            drop(self.0.close());
        });
        if let Err(error) = removed.await {
            tracing::warn!("Cannot remove the source of a job: {error}");
        }
    }
}
