//! The thread that writes.
//!
//! Whatever has piled up while one transaction was being committed goes into the next ("group
//! commit"), so the cost of a commit is shared exactly when there is much to write.

use std::cell::RefCell;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::stats::{WriterCounters, WriterStats};
use super::tables::{Save, Tables};
use super::{CachedRow, PauseRow, RateRow, UnixTime, WorkerRow};
use futures::channel::oneshot;

/// How many writes share one commit at most: what a disk takes in well under a second.
const BATCH: usize = 10_000;

/// How long to wait before changes that could not be saved are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A change that is in effect, saved or not. It is retried until it is saved.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A worker has built a hint.
    Cached(CachedRow),
    /// A worker has dropped what it had built of a hint.
    Uncached(CachedRow),
    /// A worker exists, and is paused or not.
    Worker(WorkerRow),
    /// An operator paused a worker. It is deleted with the pause: when the worker is saved as not paused, or forgotten.
    Pause(PauseRow),
    /// A client has a rate.
    Rate(RateRow),
    /// A worker is forgotten, and what it has cached with it.
    ForgetWorker {
        /// The pool.
        pool: String,
        /// The worker's name.
        worker: String,
    },
    /// A client was removed, with its rates.
    RemoveClient {
        /// The client's name.
        client: String,
    },
}

/// A client's new secret. It is not retried: the caller gets an error instead of the secret.
#[derive(Clone, Debug, PartialEq)]
pub struct PutClient {
    /// The client's name.
    pub client: String,
    /// SHA-256 of its secret, which takes the place of any it had.
    pub digest: [u8; 32],
}

/// Why something cannot be saved.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot save to the database: {0}")]
pub struct WriteError(String);

/// Hands writes to the thread. Dropping it blocks until everything is on disk; see [`Writer::close`].
#[derive(Debug)]
pub struct Writer {
    /// `None` once it is closed.
    requests: RefCell<Option<mpsc::Sender<Request>>>,
    /// Completes when the thread has ended.
    ended: RefCell<oneshot::Receiver<()>>,
    counters: Arc<WriterCounters>,
    thread: Option<JoinHandle<()>>,
}

/// Completes when a write is durable, or has failed for the first time. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<Result<(), WriteError>>);

#[derive(Debug)]
struct Request {
    write: Write,
    now: UnixTime,
    /// `None` when no caller waits for it.
    done: Option<oneshot::Sender<Result<(), WriteError>>>,
}

#[derive(Debug)]
enum Write {
    Change(Change),
    PutClient(PutClient),
}

impl Writer {
    pub(super) fn start(tables: Box<dyn Tables>) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let counters = Arc::new(WriterCounters::default());
        let writer = WriterThread::new(tables, Arc::clone(&counters));
        let thread = std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || {
                writer.run(&inbox);
                // An error here means that no caller waits for the end.
                end.send(()).ok();
            })?;
        Ok(Self {
            requests: RefCell::new(Some(requests)),
            ended: RefCell::new(ended),
            counters,
            thread: Some(thread),
        })
    }

    /// Stops taking writes, and waits until those that were made are on disk.
    pub async fn close(&self) {
        drop(self.requests.take());
        let (_, closed) = oneshot::channel();
        let ended = self.ended.replace(closed);
        // An error means that the thread had ended before, or is being waited for.
        ended.await.ok();
    }

    /// Saves `change` some time soon.
    pub fn save(&self, change: Change, now: UnixTime) {
        self.send(Request {
            write: Write::Change(change),
            now,
            done: None,
        });
    }

    /// Saves `change` and returns its acknowledgement. If it fails, it is reported and retried.
    pub fn save_acked(&self, change: Change, now: UnixTime) -> Ack {
        self.send_acked(Write::Change(change), now)
    }

    /// Saves a client's secret and returns the acknowledgement.
    pub fn put_client(&self, client: PutClient, now: UnixTime) -> Ack {
        self.send_acked(Write::PutClient(client), now)
    }

    /// Returns how the thread is doing.
    pub fn stats(&self) -> WriterStats {
        self.counters.read()
    }

    fn send_acked(&self, write: Write, now: UnixTime) -> Ack {
        let (done, answer) = oneshot::channel();
        self.send(Request {
            write,
            now,
            done: Some(done),
        });
        Ack(answer)
    }

    fn send(&self, request: Request) {
        let requests = self.requests.borrow();
        let Some(requests) = &*requests else {
            tracing::debug!(target: "scheduler", "The database is closed: not saving {:?}", request.write);
            return;
        };
        self.counters.add_queued();
        if requests.send(request).is_err() {
            tracing::error!(target: "scheduler", "The database thread died; changes are no longer saved");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "The database thread panicked");
        }
    }
}

impl Future for Ack {
    type Output = Result<(), WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| match answer {
                Ok(answer) => answer,
                Err(oneshot::Canceled) => Err(WriteError("the database thread died".to_owned())),
            })
    }
}

/// What the thread owns.
struct WriterThread {
    tables: Box<dyn Tables>,
    unsaved: Unsaved,
    /// What the last transaction failed with, so that it is logged once and not every second.
    failing: Option<String>,
    counters: Arc<WriterCounters>,
}

/// Changes of transactions that failed, oldest first.
#[derive(Default)]
struct Unsaved {
    changes: Vec<(Change, UnixTime)>,
    /// The hints among them. Each job repeats one, so without this a full disk would fill the memory.
    cached: HashSet<CachedRow>,
}

impl WriterThread {
    fn new(tables: Box<dyn Tables>, counters: Arc<WriterCounters>) -> Self {
        Self {
            tables,
            unsaved: Unsaved::default(),
            failing: None,
            counters,
        }
    }

    fn run(mut self, inbox: &Receiver<Request>) {
        while let Some(batch) = self.next_batch(inbox) {
            self.save(batch);
        }
        if !self.unsaved.changes.is_empty() {
            self.save(Vec::new());
        }
        let lost = self.unsaved.changes.len();
        if lost > 0 {
            tracing::error!(target: "scheduler", "Lost {lost} changes: cannot save them to the database");
        }
    }

    /// Waits for requests. `None` when the scheduler has closed the queue.
    fn next_batch(&self, inbox: &Receiver<Request>) -> Option<Vec<Request>> {
        let mut batch = Vec::new();
        if self.unsaved.changes.is_empty() {
            batch.push(inbox.recv().ok()?);
        } else {
            match inbox.recv_timeout(RETRY_AFTER) {
                Ok(request) => batch.push(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        batch.extend(inbox.try_iter().take(BATCH));
        Some(batch)
    }

    /// Saves what could not be saved before and then `batch`, in one transaction, and acknowledges each.
    fn save(&mut self, batch: Vec<Request>) {
        let started = Instant::now();
        let result = self.commit(&batch);
        self.counters
            .committed(batch.len(), started.elapsed(), result.is_ok());
        self.log_failure(result.as_ref().err());
        if result.is_ok() {
            self.unsaved = Unsaved::default();
        }
        for Request { write, now, done } in batch {
            if let (Write::Change(change), Err(_)) = (write, &result) {
                self.unsaved.push(change, now);
            }
            if let Some(done) = done {
                let answer = match &result {
                    Ok(()) => Ok(()),
                    Err(error) => Err(WriteError(error.clone())),
                };
                // An error here means that no caller waits any more.
                done.send(answer).ok();
            }
        }
        self.counters.unsaved(self.unsaved.changes.len());
    }

    fn commit(&mut self, batch: &[Request]) -> Result<(), String> {
        let unsaved = self.unsaved.changes.iter();
        let unsaved = unsaved.map(|(change, now)| (Save::Change(change), *now));
        let batch = batch.iter().map(|request| {
            let save = match &request.write {
                Write::Change(change) => Save::Change(change),
                Write::PutClient(client) => Save::PutClient(client),
            };
            (save, request.now)
        });
        let saves: Vec<_> = unsaved.chain(batch).collect();
        self.tables.save(&saves)
    }

    fn log_failure(&mut self, error: Option<&String>) {
        let error = error.cloned();
        if error == self.failing {
            return;
        }
        match &error {
            Some(error) => {
                tracing::error!(target: "scheduler", "Cannot save to the database: {error}; retrying");
            }
            None => tracing::info!(target: "scheduler", "The database is writable again"),
        }
        self.failing = error;
    }
}

impl Unsaved {
    fn push(&mut self, change: Change, now: UnixTime) {
        // Leaving out a hint that was forgotten in between costs no more than a slower build.
        let is_new = match &change {
            Change::Cached(row) => self.cached.insert(row.clone()),
            Change::Uncached(row) => {
                self.cached.remove(row);
                true
            }
            Change::Worker(_)
            | Change::Pause(_)
            | Change::Rate(_)
            | Change::ForgetWorker { .. }
            | Change::RemoveClient { .. } => true,
        };
        if is_new {
            self.changes.push((change, now));
        }
    }
}
