//! The directory that a job is built in.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::leftovers::remove_leftover;
use crate::outcome::JobError;

/// The prefix of jobs' temporary files, by which leftovers are recognized.
const PREFIXES: [&str; 2] = ["build-context-", "build-worker-"];

/// Makes the directory for temporary things, closed to others, and removes what a worker that was killed has left
/// there.
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

/// A job's source, as a directory. Nobody but the job's executor has anything to do in it.
///
/// [`Context::remove`] it; being dropped, it is removed too, but on the reactor's thread.
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

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes it, in the background of everything else.
    pub(crate) async fn remove(self) {
        let removed = tokio::task::spawn_blocking(move || {
            // The job may have taken permissions away, or nested directories deeper than the library removes.
            remove_leftover(self.path());
            // Gone already, as a rule.
            drop(self.0.close());
        });
        if let Err(error) = removed.await {
            tracing::warn!("Cannot remove the source of a job: {error}");
        }
    }
}
