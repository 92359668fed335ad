//! The log of one step: a file with one writer and any number of readers.
//!
//! All output of a step passes here, and the secrets of its build are redacted before it is written: the log stays in
//! the store, and is shown to every build of the same step.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use redact::{Redactor, Stream};
use tokio::sync::watch;

use super::context::BuildLog;
use crate::Sink;

/// How much a watcher gets at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// How long to wait for more output before showing an end that could be the beginning of a secret.
const PAUSE: Duration = Duration::from_secs(1);

/// The log of a step in progress.
///
/// Readers use its one descriptor, each at its own offset, so it does not matter to them that the store renames the
/// directory when the step ends.
pub(super) struct StepLog {
    file: File,
    /// Redacts the output, on its way into the file.
    output: RefCell<Stream>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// How much has been written, in bytes.
    len: u64,
    /// Number of writes, even if their output is not shown yet.
    writes: u64,
    finished: bool,
    /// Why the log lacks a part of the output.
    broken: Option<Broken>,
}

/// An `io::Error`, which cannot be cloned.
#[derive(Debug, Clone, Copy)]
struct Broken(io::ErrorKind, Option<i32>);

impl Broken {
    fn of(error: &io::Error) -> Self {
        Self(error.kind(), error.raw_os_error())
    }

    fn error(self) -> io::Error {
        self.1
            .map_or_else(|| self.0.into(), io::Error::from_raw_os_error)
    }
}

impl StepLog {
    /// Creates an empty log, with the secrets of `redactor` redacted. There must be no such file.
    pub(super) fn create(path: &Path, redactor: &Redactor) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Self {
            file,
            output: RefCell::new(redactor.stream()),
            state: watch::Sender::new(State {
                len: 0,
                writes: 0,
                finished: false,
                broken: None,
            }),
        })
    }

    /// Ends the log for its followers. Nothing is written after this.
    pub(super) fn finish(&self) {
        let mut shown = Vec::new();
        self.output.borrow_mut().finish(&mut shown);
        // `check` finds the failure.
        if let Err(error) = self.keep(&shown) {
            tracing::debug!("Cannot write the end of a step's output to its log: {error}");
        }
        self.state.send_modify(|state| state.finished = true);
    }

    /// Fails if a part of the output could not be written.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.state.borrow().broken {
            Some(broken) => Err(broken.error()),
            None => Ok(()),
        }
    }

    /// Passes the whole log to a watcher, from the beginning, until it is finished.
    pub(super) async fn follow(&self, watcher: &dyn BuildLog) -> Result<(), ReplayError> {
        let mut state = self.state.subscribe();
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let State {
                len,
                writes,
                finished,
                ..
            } = *state.borrow_and_update();
            while at < len {
                let wanted = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
                let read = self
                    .file
                    .read_at(&mut buffer[..wanted], at)
                    .map_err(ReplayError::Saved)?;
                if read == 0 {
                    let error = io::ErrorKind::UnexpectedEof.into();
                    return Err(ReplayError::Saved(error));
                }
                watcher
                    .output(&buffer[..read])
                    .await
                    .map_err(ReplayError::Watcher)?;
                at += read as u64;
            }
            if finished {
                return Ok(());
            }
            // The sender is ours, so no wait can fail.
            let changed = state.changed();
            if !self.output.borrow().has_pending() {
                drop(changed.await);
            } else if tokio::time::timeout(PAUSE, changed).await.is_err() {
                self.pause(writes);
                drop(state.changed().await);
            }
        }
    }
}

impl StepLog {
    /// Shows held-back output, if there were no writes since there were `writes`.
    fn pause(&self, writes: u64) {
        if self.state.borrow().writes != writes {
            return;
        }
        let mut shown = Vec::new();
        self.output.borrow_mut().flush_idle(&mut shown);
        if let Err(error) = self.keep(&shown) {
            tracing::debug!("Cannot write the end of a step's output to its log: {error}");
        }
    }

    /// Appends to the file.
    fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        let len = self.state.borrow().len;
        let written = self.file.write_all_at(bytes, len);
        self.state.send_modify(|state| match &written {
            Ok(()) => {
                state.len += bytes.len() as u64;
                state.writes = state.writes.wrapping_add(1);
            }
            Err(error) => state.broken = Some(Broken::of(error)),
        });
        written
    }
}

impl Sink for StepLog {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut shown = Vec::with_capacity(bytes.len());
        self.output.borrow_mut().push(bytes, &mut shown);
        self.keep(&shown)
    }
}

/// Passes the log of a finished step to a watcher. There may be none.
pub(super) async fn replay(path: &Path, watcher: &dyn BuildLog) -> Result<(), ReplayError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ReplayError::Saved(error)),
    };
    let len = file.metadata().map_err(ReplayError::Saved)?.len();
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(CHUNK).min(CHUNK)];
    loop {
        let read = file.read(&mut buffer).map_err(ReplayError::Saved)?;
        if read == 0 {
            return Ok(());
        }
        watcher
            .output(&buffer[..read])
            .await
            .map_err(ReplayError::Watcher)?;
    }
}

/// Why a watcher did not get the whole log.
#[derive(Debug)]
pub(super) enum ReplayError {
    /// The file cannot be read.
    Saved(io::Error),
    /// The watcher failed.
    Watcher(io::Error),
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;

    use bstr::BStr;
    use futures::future::LocalBoxFuture;

    use redact::Redactor;

    use super::StepLog;
    use crate::Sink as _;
    use crate::builder::context::BuildLog;

    #[derive(Default)]
    struct Seen(RefCell<Vec<u8>>);

    impl BuildLog for Seen {
        fn heading(&self, _: &BStr) -> io::Result<()> {
            Ok(())
        }
        fn note(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test]
    async fn a_log_can_be_followed_after_its_directory_was_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("draft");
        std::fs::create_dir(&draft).unwrap();
        let log = StepLog::create(&draft.join("log"), &Redactor::default()).unwrap();
        log.write(b"one\n").unwrap();
        log.write(b"two\n").unwrap();
        log.finish();
        std::fs::rename(&draft, dir.path().join("result")).unwrap();
        let seen = Seen::default();
        log.follow(&seen).await.unwrap();
        assert_eq!(seen.0.borrow().as_slice(), b"one\ntwo\n");
    }
}
