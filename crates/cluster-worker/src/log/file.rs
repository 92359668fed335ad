//! The files of logs. All access to the disk is on blocking threads.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use tempfile::TempPath;

use crate::leftovers::remove_leftover;

const PREFIX: &str = "job-";
const SUFFIX: &str = ".log";

/// The directory of a worker's logs.
#[derive(Debug, Clone)]
pub(crate) struct LogDir(Rc<Path>);

impl LogDir {
    /// Makes the directory if it is missing, and removes the logs of a killed worker.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
                remove_leftover(&entry.path());
            }
        }
        Ok(Self(path.into()))
    }

    /// Makes a file for a log.
    async fn create(&self) -> Result<LogFile, String> {
        let dir = self.0.to_path_buf();
        blocking(move || {
            let (file, path) = tempfile::Builder::new()
                .prefix(PREFIX)
                .suffix(SUFFIX)
                .tempfile_in(&dir)
                .map_err(|error| in_dir(&dir, &error))?
                .into_parts();
            Ok(LogFile {
                file,
                _path: Some(path),
            })
        })
        .await
    }
}

fn in_dir(dir: &Path, error: &io::Error) -> String {
    format!("{}: {error}", dir.display())
}

/// Where the file of a log is made.
#[derive(Debug, Clone)]
pub(super) enum LogPlace {
    /// It is removed with the log.
    Temporary(LogDir),
    /// At this path. It stays.
    Kept(Rc<Path>),
}

impl LogPlace {
    /// Makes a file for a log.
    pub(super) async fn create(&self) -> Result<LogFile, String> {
        match self {
            Self::Temporary(dir) => dir.create().await,
            Self::Kept(path) => {
                let path = path.to_path_buf();
                blocking(move || create_kept(&path).map_err(|error| in_dir(&path, &error))).await
            }
        }
    }
}

/// Makes a file that stays, and its directory.
fn create_kept(path: &Path) -> io::Result<LogFile> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(0o600);
    Ok(LogFile {
        file: file.open(path)?,
        _path: None,
    })
}

/// Writes a file beside a log that is kept, wholly or not at all. Its directory is not made: it may have been deleted.
pub(super) async fn replace_kept(path: PathBuf, bytes: Vec<u8>) -> Result<(), String> {
    blocking(move || {
        let new = path.with_extension("new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&new).and_then(|mut file| {
            file.write_all(&bytes)?;
            fs::rename(&new, &path)
        });
        written.map_err(|error| in_dir(&path, &error))
    })
    .await
}

/// A log's file.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// Removes it when the last reference is dropped.
    _path: Option<TempPath>,
}

impl LogFile {
    /// Waits until what was written is on disk.
    pub(super) async fn sync(self: Arc<Self>) -> Result<(), String> {
        blocking(move || self.file.sync_data().map_err(|error| error.to_string())).await
    }

    /// Writes `bytes` at `offset`.
    pub(super) async fn write(self: Arc<Self>, offset: u64, bytes: Vec<u8>) -> Result<(), String> {
        blocking(move || {
            self.file
                .write_all_at(&bytes, offset)
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// Reads `length` bytes at `offset`. All of them must have been written.
    pub(super) async fn read(
        self: Arc<Self>,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, String> {
        blocking(move || read_at(&self.file, offset, length).map_err(|error| error.to_string()))
            .await
    }
}

/// Reads `length` bytes at `offset` of a log that an earlier process has left. There may be a thousand: the file is
/// open only meanwhile.
pub(crate) async fn read_left(
    path: PathBuf,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, String> {
    let read = move || {
        let file = File::open(path)?;
        read_at(&file, offset, length)
    };
    blocking(|| read().map_err(|error: io::Error| error.to_string())).await
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Runs `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(error.to_string()),
    }
}
