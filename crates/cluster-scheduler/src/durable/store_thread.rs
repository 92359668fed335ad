//! The thread that reads what is kept of jobs, and reads and writes their logs.
//!
//! What it does may take long, so callers hand it closures and wait for what these return. It does them in turn.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use futures::channel::oneshot;
use job_store::logs::{LogError, LogWriter, Logs};
use job_store::sqlite::SqliteReader;
use job_store::{KeptLog, Pruned};
use jobs::AttemptId;

/// What the thread has.
pub(super) struct Kept {
    pub(super) reader: SqliteReader,
    pub(super) logs: Logs,
    /// The logs that grow.
    writers: HashMap<AttemptId, LogWriter>,
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

    /// Completes the log of an attempt, and compresses it. Returns how many bytes it takes then.
    pub(super) fn finish(&mut self, attempt: AttemptId) -> Result<u64, LogError> {
        match self.writers.remove(&attempt) {
            Some(writer) => writer.sync()?,
            // It has no bytes. An empty log is one, too.
            None => self.logs.write(attempt)?.sync()?,
        }
        self.logs.archive(attempt)?;
        self.logs.stored_bytes(attempt)
    }
}

type Task = Box<dyn FnOnce(&mut Kept) + Send>;

/// Hands tasks to the thread. Dropping it waits until they are done.
pub(super) struct StoreThread {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    pub(super) fn start(reader: SqliteReader, logs: Logs) -> io::Result<Self> {
        let (tasks, inbox) = mpsc::channel::<Task>();
        let mut kept = Kept {
            reader,
            logs,
            writers: HashMap::new(),
        };
        let thread = std::thread::Builder::new().name("job logs".to_owned());
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
            tracing::error!(target: "scheduler", "The thread of the jobs' logs panicked");
        }
    }
}
