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

use futures::channel::oneshot;
use rusqlite::Connection;

use super::stats::{Progress, WriterStats};
use super::{
    CachedRow, PauseRow, RateRow, UnixTime, WorkerRow, cached, clients, pauses, rates, workers,
};

/// How many writes share one commit at most: what a disk takes in well under a second.
const BATCH: usize = 10_000;

/// How long to wait before notes that could not be saved are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Something that is so, whether it is saved or not. It is tried again until it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A worker has built a hint.
    Cached(CachedRow),
    /// A worker exists, and is paused or not.
    Worker(WorkerRow),
    /// Somebody paused a worker. It is gone with the pause: when the worker is saved as not paused, or forgotten.
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
    /// A client and its rates are gone.
    RemoveClient {
        /// The client's name.
        client: String,
    },
}

/// A client's new secret. It is not tried again: who asked for it is told, and never sees the secret.
#[derive(Clone, Debug, PartialEq)]
pub struct PutClient {
    /// The client's name.
    pub client: String,
    /// SHA-256 of its secret, which takes the place of any it had.
    pub digest: [u8; 32],
}

/// Something could not be saved.
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to save to the database: {0}")]
pub struct WriteError(String);

/// Hands writes to the thread. Dropping it blocks until everything is on disk; see [`Writer::close`].
#[derive(Debug)]
pub struct Writer {
    /// `None` once it is closed.
    requests: RefCell<Option<mpsc::Sender<Request>>>,
    /// Completes when the thread has ended.
    ended: RefCell<oneshot::Receiver<()>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// Completes when a write is durable, or has failed for the first time. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<Result<(), WriteError>>);

#[derive(Debug)]
struct Request {
    write: Write,
    now: UnixTime,
    /// `None` when nobody waits for it.
    done: Option<oneshot::Sender<Result<(), WriteError>>>,
}

#[derive(Debug)]
enum Write {
    Note(Note),
    PutClient(PutClient),
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        let worker = Worker::new(connection, Arc::clone(&progress));
        let thread = std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || {
                worker.run(&inbox);
                // An error here means that nobody has asked to be told.
                end.send(()).ok();
            })?;
        Ok(Self {
            requests: RefCell::new(Some(requests)),
            ended: RefCell::new(ended),
            progress,
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

    /// Saves `note` some time soon.
    pub fn note(&self, note: Note, now: UnixTime) {
        self.send(Request {
            write: Write::Note(note),
            now,
            done: None,
        });
    }

    /// Saves `note` and tells when that is done. If it fails, it is reported and tried again.
    pub fn note_acked(&self, note: Note, now: UnixTime) -> Ack {
        self.send_acked(Write::Note(note), now)
    }

    /// Saves a client's secret and tells when that is done.
    pub fn put_client(&self, client: PutClient, now: UnixTime) -> Ack {
        self.send_acked(Write::PutClient(client), now)
    }

    /// Returns how the thread is doing.
    pub fn stats(&self) -> WriterStats {
        self.progress.read()
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
        self.progress.asked();
        if requests.send(request).is_err() {
            tracing::error!(target: "scheduler", "The database's thread has gone; nothing is saved any more");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "scheduler", "The database's thread has panicked");
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
                Err(oneshot::Canceled) => {
                    Err(WriteError("the database's thread has gone".to_owned()))
                }
            })
    }
}

/// What the thread owns.
struct Worker {
    connection: Connection,
    unsaved: Unsaved,
    /// What the last transaction failed with, so that the log says it once and not every second.
    failing: Option<String>,
    progress: Arc<Progress>,
}

/// Notes of transactions that failed, oldest first.
#[derive(Default)]
struct Unsaved {
    notes: Vec<(Note, UnixTime)>,
    /// The hints among them. Each job repeats one, so without this a full disk would fill the memory.
    cached: HashSet<CachedRow>,
}

impl Worker {
    fn new(connection: Connection, progress: Arc<Progress>) -> Self {
        Self {
            connection,
            unsaved: Unsaved::default(),
            failing: None,
            progress,
        }
    }

    fn run(mut self, inbox: &Receiver<Request>) {
        while let Some(batch) = self.next_batch(inbox) {
            self.save(batch);
        }
        if !self.unsaved.notes.is_empty() {
            self.save(Vec::new());
        }
        let lost = self.unsaved.notes.len();
        if lost > 0 {
            tracing::error!(target: "scheduler", "{lost} notes could not be saved to the database and are lost");
        }
    }

    /// Waits for something to do. `None` when the scheduler has gone.
    fn next_batch(&self, inbox: &Receiver<Request>) -> Option<Vec<Request>> {
        let mut batch = Vec::new();
        if self.unsaved.notes.is_empty() {
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

    /// Saves what could not be saved before and then `batch`, in one transaction, and tells who waits.
    fn save(&mut self, batch: Vec<Request>) {
        let started = Instant::now();
        let result = self.commit(&batch);
        self.progress
            .committed(batch.len(), started.elapsed(), result.is_ok());
        self.log_failure(result.as_ref().err());
        if result.is_ok() {
            self.unsaved = Unsaved::default();
        }
        for Request { write, now, done } in batch {
            if let (Write::Note(note), Err(_)) = (write, &result) {
                self.unsaved.push(note, now);
            }
            if let Some(done) = done {
                let answer = match &result {
                    Ok(()) => Ok(()),
                    Err(error) => Err(WriteError(error.to_string())),
                };
                // An error here means that nobody waits any more.
                done.send(answer).ok();
            }
        }
        self.progress.unsaved(self.unsaved.notes.len());
    }

    fn commit(&mut self, batch: &[Request]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for (note, now) in &self.unsaved.notes {
            save_note(&transaction, note, *now)?;
        }
        for Request { write, now, .. } in batch {
            match write {
                Write::Note(note) => save_note(&transaction, note, *now)?,
                Write::PutClient(PutClient { client, digest }) => {
                    clients::put(&transaction, client, digest, *now)?;
                }
            }
        }
        transaction.commit()
    }

    fn log_failure(&mut self, error: Option<&rusqlite::Error>) {
        let error = error.map(ToString::to_string);
        if error == self.failing {
            return;
        }
        match &error {
            Some(error) => {
                tracing::error!(target: "scheduler", "Failed to save to the database: {error} (will try again)");
            }
            None => tracing::info!(target: "scheduler", "The database can be written again"),
        }
        self.failing = error;
    }
}

impl Unsaved {
    fn push(&mut self, note: Note, now: UnixTime) {
        // Leaving out a hint that was forgotten in between costs no more than a slower build.
        let is_new = match &note {
            Note::Cached(row) => self.cached.insert(row.clone()),
            Note::Worker(_)
            | Note::Pause(_)
            | Note::Rate(_)
            | Note::ForgetWorker { .. }
            | Note::RemoveClient { .. } => true,
        };
        if is_new {
            self.notes.push((note, now));
        }
    }
}

fn save_note(connection: &Connection, note: &Note, now: UnixTime) -> rusqlite::Result<()> {
    match note {
        Note::Cached(row) => cached::put(connection, row, now),
        Note::Worker(row) => {
            if !row.paused {
                pauses::delete(connection, &row.pool, &row.worker)?;
            }
            workers::put(connection, row)
        }
        Note::Pause(row) => pauses::put(connection, row),
        Note::Rate(row) => rates::put(connection, row),
        Note::ForgetWorker { pool, worker } => {
            workers::delete(connection, pool, worker)?;
            pauses::delete(connection, pool, worker)?;
            cached::delete_worker(connection, pool, worker)
        }
        Note::RemoveClient { client } => {
            clients::delete(connection, client)?;
            rates::delete_client(connection, client)
        }
    }
}
