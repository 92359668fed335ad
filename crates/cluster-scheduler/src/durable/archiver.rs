//! The thread that compresses logs. A long log takes seconds, in which others are written and read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SendError, Sender};
use std::thread::JoinHandle;

use job_store::logs::{LogError, Logs};
use jobs::AttemptId;

/// A log that was compressed.
pub(super) struct Archived {
    pub(super) attempt: AttemptId,
    /// How many bytes it takes now.
    pub(super) bytes: u64,
    /// How long it is, in bytes.
    pub(super) length: u64,
}

/// Hands logs to the thread. Dropping it waits for the one that is being compressed; the others wait for the next
/// start.
pub(super) struct Archiver {
    inbox: Option<Sender<AttemptId>>,
    begin: Option<Sender<()>>,
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Archiver {
    /// Starts the thread, which waits for [`begin`](Self::begin). It begins with `leftovers`: logs that are whole, and
    /// were not compressed before.
    pub(super) fn start(
        logs: Logs,
        leftovers: impl FnOnce(&Logs) -> Result<Vec<AttemptId>, LogError> + Send + 'static,
        report: impl Fn(Archived) + Send + 'static,
    ) -> io::Result<Self> {
        let (inbox, wholes) = mpsc::channel::<AttemptId>();
        let (begin, begun) = mpsc::channel::<()>();
        let is_closing = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closing);
        let thread = std::thread::Builder::new().name("log archive".to_owned());
        let thread = thread.spawn(move || {
            if begun.recv().is_err() {
                // The scheduler ends.
                return;
            }
            yield_to_others();
            let archive = |(attempt, is_leftover)| match compress(&logs, attempt) {
                // It may be handed over twice, and is counted once.
                Ok((archived, is_new)) if is_new || is_leftover => report(archived),
                Ok(_) => {}
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
                .map(|attempt| (attempt, true))
                .chain(wholes.into_iter().map(|attempt| (attempt, false)))
                .take_while(|_| !closing.load(Ordering::Relaxed))
                .for_each(archive);
        })?;
        Ok(Self {
            inbox: Some(inbox),
            begin: Some(begin),
            is_closing,
            thread: Some(thread),
        })
    }

    /// Has the thread begin: what it writes is not swept away any more.
    pub(super) fn begin(&self) {
        if let Some(begin) = &self.begin {
            // An error means that the thread has ended.
            let _: Result<(), SendError<()>> = begin.send(());
        }
    }

    /// Returns what takes the logs that are whole.
    pub(super) fn inbox(&self) -> Option<Sender<AttemptId>> {
        self.inbox.clone()
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::Relaxed);
        drop((self.inbox.take(), self.begin.take()));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "The thread that compresses logs panicked");
        }
    }
}

/// Has this thread run only when the others leave time. An error leaves it as it was: it is no slower then.
fn yield_to_others() {
    // On Linux each thread has a priority of its own.
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, LOWEST_PRIORITY) {
        tracing::debug!(target: "scheduler", "Cannot lower the priority of compressing logs: {error}");
    }
}

/// The nice value of a thread that can wait.
const LOWEST_PRIORITY: i32 = 19;

/// Compresses a log. Returns what is known of it then, and whether it was not compressed before.
fn compress(logs: &Logs, attempt: AttemptId) -> Result<(Archived, bool), LogError> {
    let is_new = logs.archive(attempt)?;
    let archived = Archived {
        attempt,
        bytes: logs.stored_bytes(attempt)?,
        length: logs.length(attempt)?,
    };
    Ok((archived, is_new))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jobs::JobId;

    use super::*;

    const ATTEMPT: AttemptId = AttemptId {
        job: JobId::from_bits(7),
        number: 1,
    };

    /// An archive in the making would be swept away.
    #[test]
    fn nothing_is_compressed_before_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        logs.write(ATTEMPT).unwrap().append(0, b"text").unwrap();
        let (report, reports) = mpsc::channel();
        let start = || {
            let report = report.clone();
            let report = move |Archived {
                                   attempt,
                                   bytes,
                                   length,
                               }| {
                assert_eq!(length, 4);
                report.send((attempt, bytes)).unwrap();
            };
            let logs = Logs::open(folder.path()).unwrap();
            Archiver::start(logs, |_| Ok(vec![ATTEMPT]), report).unwrap()
        };
        let archiver = start();
        archiver.inbox().unwrap().send(ATTEMPT).unwrap();
        // Long enough for most threads to make the mistake.
        reports
            .recv_timeout(Duration::from_millis(200))
            .unwrap_err();
        drop(archiver);
        reports.try_recv().unwrap_err();
        let archiver = start();
        archiver.begin();
        // It is counted once, though it is handed over, too.
        archiver.inbox().unwrap().send(ATTEMPT).unwrap();
        let (attempt, bytes) = reports.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(
            (attempt, bytes),
            (ATTEMPT, logs.stored_bytes(ATTEMPT).unwrap())
        );
        drop(archiver);
        reports.try_recv().unwrap_err();
        assert!(!logs.archive(ATTEMPT).unwrap(), "it was compressed before");
    }
}
