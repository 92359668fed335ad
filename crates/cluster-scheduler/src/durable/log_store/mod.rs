//! The thread of a log store: uploads logs that are whole, reads those that are not on this disk any more, and removes
//! those that are not kept. What the network delays waits here, and nowhere else.

mod cache;
mod counters;
mod queue;
mod work;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use job_store::log_store::{LogStore, LogStoreError, UploadedLog};
use job_store::logs::{CachedLog, Logs};
use jobs::AttemptId;
use tokio::sync::mpsc;

use self::counters::Counters;
pub(crate) use self::counters::LogStoreStats;
use self::work::{UPLOADS, Work};
use crate::clock::Clock;
use crate::log_store_settings::Acknowledge;

/// A log that is in the store now.
pub(super) struct Uploaded {
    pub(super) attempt: AttemptId,
    pub(super) log: UploadedLog,
}

type Task = Box<dyn FnOnce(Rc<Work>) -> LocalBoxFuture<'static, ()> + Send>;

enum Request {
    Upload(AttemptId),
    Cached(Vec<CachedLog>),
    Counted(Vec<AttemptId>),
    Remove(Vec<AttemptId>),
    Task(Task),
}

/// Hands requests to the thread. Dropping it ends the thread: what was not uploaded is uploaded after the next start.
pub(super) struct LogStoreThread {
    requests: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    acknowledge: Acknowledge,
}

/// How a store is used.
pub(super) struct Use {
    pub(super) cache_bytes: u64,
    pub(super) acknowledge: Acknowledge,
    pub(super) clock: Clock,
}

impl LogStoreThread {
    /// Starts the thread. `open` opens the store there, and `report` is called for each log that was uploaded.
    pub(super) fn start(
        open: impl FnOnce() -> Result<LogStore, LogStoreError> + Send + 'static,
        logs: Logs,
        settings: Use,
        report: impl Fn(Uploaded) + Send + 'static,
    ) -> Result<Self, StartError> {
        let Use {
            cache_bytes,
            acknowledge,
            clock,
        } = settings;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let (requests, mut inbox) = mpsc::unbounded_channel();
        let (opened, is_open) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("log store".to_owned());
        let thread = thread.spawn(move || {
            // A store is not sent between threads.
            let store = match runtime.block_on(async { open() }) {
                Ok(store) => store,
                Err(error) => {
                    // An error means that nobody waits any more.
                    drop(opened.send(Err(error)));
                    return;
                }
            };
            drop(opened.send(Ok(())));
            let work = Rc::new(Work::new(store, logs, cache_bytes, shared, clock, report));
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                for number in 0..UPLOADS {
                    tokio::task::spawn_local(Rc::clone(&work).upload_all(number == 0));
                }
                tokio::task::spawn_local(Rc::clone(&work).remove_all());
                while let Some(request) = inbox.recv().await {
                    match request {
                        Request::Upload(attempt) => work.upload_later(attempt),
                        Request::Cached(found) => work.found_cached(found),
                        Request::Counted(attempts) => work.counted(&attempts),
                        Request::Remove(attempts) => work.remove_later(&attempts),
                        Request::Task(task) => {
                            tokio::task::spawn_local(task(Rc::clone(&work)));
                        }
                    }
                }
            });
        })?;
        match is_open.recv() {
            Ok(opened) => opened?,
            Err(_) => return Err(io::Error::other("the thread ended at once").into()),
        }
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            counters,
            acknowledge,
        })
    }

    /// Returns whether workers keep a log until it is in the store.
    pub(super) fn acknowledges_uploads(&self) -> bool {
        self.acknowledge == Acknowledge::InStore
    }

    /// Uploads the log of an attempt, which is compressed. Done again, it does nothing.
    pub(super) fn upload(&self, attempt: AttemptId) {
        self.send(Request::Upload(attempt));
    }

    /// Counts logs on disk that an earlier process has uploaded.
    pub(super) fn found_cached(&self, found: Vec<CachedLog>) {
        self.send(Request::Cached(found));
    }

    /// Takes logs as cached that are in the store, as the database says now: they can be removed from this disk.
    pub(super) fn counted(&self, attempts: Vec<AttemptId>) {
        self.send(Request::Counted(attempts));
    }

    /// Removes logs from the store, those that are there.
    pub(super) fn remove(&self, attempts: Vec<AttemptId>) {
        self.send(Request::Remove(attempts));
    }

    /// Has the thread do something with the store. `None` if the thread has ended.
    pub(super) fn run<T, F, A>(&self, task: F) -> impl Future<Output = Option<T>> + use<T, F, A>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Work>) -> A + Send + 'static,
        A: Future<Output = T> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |work| {
            Box::pin(async move {
                // An error means that nobody waits any more.
                drop(answer.send(task(work).await));
            })
        });
        self.send(Request::Task(task));
        async move { answered.await.ok() }
    }

    /// Returns how it goes.
    pub(super) fn stats(&self) -> LogStoreStats {
        self.counters.stats()
    }

    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // An error means that the thread has ended.
            drop(requests.send(request));
        }
    }
}

impl Drop for LogStoreThread {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "The thread of the log store panicked");
        }
    }
}

/// Why a log store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Store(#[from] LogStoreError),
    #[error(transparent)]
    Thread(#[from] io::Error),
}
