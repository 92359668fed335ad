//! The thread that compresses logs. A long log takes seconds, in which others are written and read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use job_store::logs::{LogError, Logs};
use jobs::AttemptId;

/// A log that was compressed.
pub(super) struct Archived {
    pub(super) attempt: AttemptId,
    /// How many bytes it takes now.
    pub(super) bytes: u64,
}

/// Hands logs to the thread. Dropping it waits for the one that is being compressed; the others wait for the next
/// start.
pub(super) struct Archiver {
    inbox: Option<Sender<AttemptId>>,
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Archiver {
    /// Starts the thread, which begins with `leftovers`: logs that are whole, and were not compressed before.
    pub(super) fn start(
        logs: Logs,
        leftovers: impl FnOnce(&Logs) -> Result<Vec<AttemptId>, LogError> + Send + 'static,
        report: impl Fn(Archived) + Send + 'static,
    ) -> io::Result<Self> {
        let (inbox, wholes) = mpsc::channel::<AttemptId>();
        let is_closing = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closing);
        let thread = std::thread::Builder::new().name("log archive".to_owned());
        let thread = thread.spawn(move || {
            let archive = |attempt| match logs
                .archive(attempt)
                .and_then(|()| logs.stored_bytes(attempt))
            {
                Ok(bytes) => report(Archived { attempt, bytes }),
                // It has no bytes, and so no file.
                Err(LogError::Missing(_)) => {}
                Err(error) => {
                    tracing::warn!(target: "scheduler", "Cannot compress the log of {attempt}: {error}");
                }
            };
            let leftovers = leftovers(&logs).unwrap_or_else(|error| {
                tracing::warn!(target: "scheduler", "Cannot list the logs: {error}");
                Vec::new()
            });
            leftovers
                .into_iter()
                .chain(wholes)
                .take_while(|_| !closing.load(Ordering::Relaxed))
                .for_each(archive);
        })?;
        Ok(Self {
            inbox: Some(inbox),
            is_closing,
            thread: Some(thread),
        })
    }

    /// Returns what takes the logs that are whole.
    pub(super) fn inbox(&self) -> Option<Sender<AttemptId>> {
        self.inbox.clone()
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::Relaxed);
        drop(self.inbox.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "The thread that compresses logs panicked");
        }
    }
}
