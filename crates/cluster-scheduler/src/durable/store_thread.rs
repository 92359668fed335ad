//! Threads that read what is kept of jobs, and read and write their logs.
//!
//! What they do may take long, so callers hand them closures and wait for what these return. Each does them in turn.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, SendError, Sender};
use std::thread::JoinHandle;

use futures::channel::oneshot;
use job_store::logs::{LogError, LogWriter, Logs};
use job_store::{KeptLog, Pruned, Reader};
use jobs::AttemptId;

/// What a thread has.
pub(super) struct Kept {
    pub(super) reader: Box<dyn Reader>,
    pub(super) logs: Logs,
    /// The logs that grow.
    writers: HashMap<AttemptId, LogWriter>,
    /// Takes the logs that are whole.
    archive: Option<Sender<AttemptId>>,
}

impl Kept {
    /// Adds bytes to the log of an attempt, which belong at an offset.
    pub(super) fn append(
        &mut self,
        attempt: AttemptId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        if !self.writers.contains_key(&attempt) {
            self.writers.insert(attempt, self.logs.write(attempt)?);
        }
        match self.writers.get_mut(&attempt) {
            Some(writer) => writer.append(offset, bytes),
            None => Ok(()),
        }
    }

    /// Removes the logs of jobs that are not kept any more.
    pub(super) fn remove_logs(&mut self, pruned: &[Pruned]) {
        for Pruned { job, attempts, .. } in pruned {
            if let Err(error) = self.logs.remove(*job, *attempts) {
                tracing::warn!(target: "scheduler", "Cannot remove the logs of job {job}: {error}");
            }
        }
    }

    /// Removes logs that are not kept any more.
    pub(super) fn remove_expired(&mut self, expired: &[KeptLog]) {
        for KeptLog { attempt, .. } in expired {
            if let Err(error) = self.logs.remove_one(*attempt) {
                tracing::warn!(target: "scheduler", "Cannot remove the log of {attempt}: {error}");
            }
        }
    }

    /// Closes the file of a log that does not grow for some time.
    pub(super) fn pause(&mut self, attempt: AttemptId) {
        self.writers.remove(&attempt);
    }

    /// Completes the log of an attached job. A small one is neither synced nor compressed: there may be many, and no
    /// one was told that it is on disk. Returns the size of such a one, in bytes. What is to be uploaded is compressed
    /// in any case.
    pub(super) fn finish_attached(
        &mut self,
        attempt: AttemptId,
        is_for_upload: bool,
    ) -> Result<Option<u64>, LogError> {
        let is_small = |writer: &LogWriter| !is_for_upload && writer.length() < SMALL_LOG_BYTES;
        if self.writers.get(&attempt).is_none_or(is_small) {
            let writer = self.writers.remove(&attempt);
            return Ok(writer.map(|writer| writer.length()));
        }
        self.finish(attempt)?;
        Ok(None)
    }

    /// Completes the log of an attempt: it is on disk. It is compressed later. One without bytes has no file.
    ///
    /// Done again, it does nothing.
    pub(super) fn finish(&mut self, attempt: AttemptId) -> Result<(), LogError> {
        let writer = match self.writers.remove(&attempt) {
            Some(writer) => writer,
            None => match self.logs.length(attempt) {
                Ok(0) | Err(LogError::Missing(_)) => return Ok(()),
                Err(error) => return Err(error),
                // None of its bytes has come since its worker returned.
                Ok(_) => match self.logs.write(attempt) {
                    Ok(writer) => writer,
                    Err(LogError::Complete(_)) => return Ok(()),
                    Err(error) => return Err(error),
                },
            },
        };
        writer.sync()?;
        if let Some(archive) = &self.archive {
            // An error means that the thread has ended: the log is compressed after the next start.
            let _: Result<(), SendError<AttemptId>> = archive.send(attempt);
        }
        Ok(())
    }
}

/// Below this size, in bytes, the log of an attached job is not worth compressing.
const SMALL_LOG_BYTES: u64 = 64 << 10;

type Task = Box<dyn FnOnce(&mut Kept) + Send>;

/// Hands tasks to a thread. Dropping it waits until they are done.
pub(super) struct StoreThread {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    pub(super) fn start(
        name: &str,
        reader: Box<dyn Reader>,
        logs: Logs,
        archive: Option<Sender<AttemptId>>,
    ) -> io::Result<Self> {
        let (tasks, inbox) = mpsc::channel::<Task>();
        let mut kept = Kept {
            reader,
            logs,
            writers: HashMap::new(),
            archive,
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || inbox.iter().for_each(|task| task(&mut kept)))?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    /// Has the thread call `task`, and returns what that returns; `None` if the thread has ended.
    ///
    /// The task is done also if this is dropped.
    pub(super) fn run<T: Send + 'static, F>(
        &self,
        task: F,
    ) -> impl Future<Output = Option<T>> + use<T, F>
    where
        F: FnOnce(&mut Kept) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |kept| {
            // An error means that nobody waits any more.
            drop(answer.send(task(kept)));
        });
        if let Some(tasks) = &self.tasks {
            // An error means that the thread has ended: the answer is dropped, and there is none.
            drop(tasks.send(task));
        }
        async move { answered.await.ok() }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "A thread that reads what is kept of jobs panicked");
        }
    }
}
