//! The directory that a job is built in.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::outcome::JobError;

/// How temporary things of jobs are called, so that leftovers can be told from what is not ours.
const PREFIXES: [&str; 2] = ["build-context-", "build-worker-"];

/// Makes the directory for temporary things, closed to others, and removes what a worker that was killed has left there.
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
        if PREFIXES
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            remove(&entry)?;
        }
    }
    Ok(())
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() {
        fs::remove_dir_all(entry.path())
    } else {
        fs::remove_file(entry.path())
    }
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
        let path = self.path().to_owned();
        let removed = tokio::task::spawn_blocking(move || self.0.close()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}
