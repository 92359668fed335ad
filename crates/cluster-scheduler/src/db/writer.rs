//! The thread that writes.
//!
//! Whatever has piled up while one transaction was being committed goes into the next ("group
//! commit"), so the cost of a commit is shared exactly when there is much to write.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::channel::oneshot;
use rusqlite::Connection;

use super::{CachedRow, RateRow, UnixTime, cached, clients, rates, workers};

/// How many writes share one commit at most: what a disk takes in well under a second.
const BATCH: usize = 10_000;

/// How long to wait before notes that could not be saved are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Something that is true whether it is saved or not. Nobody waits for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// A worker has built a hint.
    Cached(CachedRow),
    /// A worker has registered.
    WorkerSeen {
        /// The pool.
        pool: String,
        /// The worker's name.
        worker: String,
    },
}

/// Something that somebody asked for, and that counts as done only when it is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Add a client, or replace an existing client's secret.
    PutClient {
        /// The client's name.
        client: String,
        /// SHA-256 of its secret.
        digest: [u8; 32],
    },
    /// Remove a client and its rates.
    RemoveClient {
        /// The client's name.
        client: String,
    },
    /// Set a client's rate in a pool.
    SetRate(RateRow),
    /// Pause or unpause a worker, adding it if it is not known.
    SetPaused {
        /// The pool.
        pool: String,
        /// The worker's name.
        worker: String,
        /// Whether it is paused from now on.
        paused: bool,
    },
    /// Forget a worker.
    ForgetWorker {
        /// The pool.
        pool: String,
        /// The worker's name.
        worker: String,
    },
}

/// A change could not be saved. It has not been made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to save to the database: {0}")]
pub struct WriteError(String);

/// Hands writes to the thread. Dropping it waits until everything is on disk.
#[derive(Debug)]
pub struct Writer {
    /// `None` only while being dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Request {
    write: Write,
    now: UnixTime,
}

#[derive(Debug)]
enum Write {
    Note(Note),
    Change(Change, oneshot::Sender<Result<(), WriteError>>),
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Self {
        let (requests, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || {
                Worker {
                    connection,
                    unsaved: BTreeMap::new(),
                    failing: None,
                }
                .run(&inbox)
            });
        match thread {
            Ok(thread) => Self {
                requests: Some(requests),
                thread: Some(thread),
            },
            Err(error) => {
                tracing::error!(target: "scheduler", "Failed to start the database's thread: {error}");
                Self {
                    requests: None,
                    thread: None,
                }
            }
        }
    }

    /// Saves `note` some time soon, trying again for as long as it takes.
    pub fn note(&self, note: Note, now: UnixTime) {
        if !self.send(Request {
            write: Write::Note(note),
            now,
        }) {
            tracing::error!(target: "scheduler", "The database's thread has gone; a note is lost");
        }
    }

    /// Saves `change`; the answer comes when it is durable, or has failed. Not awaiting the answer does not take the change
    /// back.
    pub fn change(
        &self,
        change: Change,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), WriteError>> + use<> {
        let (done, answer) = oneshot::channel();
        self.send(Request {
            write: Write::Change(change, done),
            now,
        });
        async move {
            answer.await.unwrap_or_else(|oneshot::Canceled| {
                Err(WriteError("the database's thread has gone".to_owned()))
            })
        }
    }

    fn send(&self, request: Request) -> bool {
        self.requests
            .as_ref()
            .is_some_and(|requests| requests.send(request).is_ok())
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

/// What the thread owns.
struct Worker {
    connection: Connection,
    /// Notes of transactions that failed. They are all additions, so their order does not matter.
    unsaved: BTreeMap<Note, UnixTime>,
    /// What the last transaction failed with, so that the log says it once and not every second.
    failing: Option<String>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Request>) {
        while let Some(batch) = self.next_batch(inbox) {
            self.save(batch);
        }
        if !self.unsaved.is_empty() {
            self.save(Vec::new());
        }
        let lost = self.unsaved.len();
        if lost > 0 {
            tracing::error!(target: "scheduler", "{lost} notes could not be saved to the database and are lost");
        }
    }

    /// Waits for something to do. `None` when the scheduler has gone.
    fn next_batch(&self, inbox: &Receiver<Request>) -> Option<Vec<Request>> {
        let mut batch = Vec::new();
        if self.unsaved.is_empty() {
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
        let result = self.commit(&batch);
        self.report(result.as_ref().err());
        if result.is_ok() {
            self.unsaved.clear();
        }
        for Request { write, now } in batch {
            match (write, &result) {
                (Write::Note(_), Ok(())) => {}
                (Write::Note(note), Err(_)) => {
                    self.unsaved.insert(note, now);
                }
                (Write::Change(_, done), result) => {
                    let answer = result
                        .as_ref()
                        .map(|()| ())
                        .map_err(|error| WriteError(error.to_string()));
                    // An error here means that nobody waits any more.
                    done.send(answer).ok();
                }
            }
        }
    }

    fn commit(&mut self, batch: &[Request]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for (note, now) in &self.unsaved {
            save_note(&transaction, note, *now)?;
        }
        for Request { write, now } in batch {
            match write {
                Write::Note(note) => save_note(&transaction, note, *now)?,
                Write::Change(change, _) => save_change(&transaction, change, *now)?,
            }
        }
        transaction.commit()
    }

    fn report(&mut self, error: Option<&rusqlite::Error>) {
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

fn save_note(connection: &Connection, note: &Note, now: UnixTime) -> rusqlite::Result<()> {
    match note {
        Note::Cached(row) => cached::put(connection, row, now),
        Note::WorkerSeen { pool, worker } => workers::add(connection, pool, worker),
    }
}

fn save_change(connection: &Connection, change: &Change, now: UnixTime) -> rusqlite::Result<()> {
    match change {
        Change::PutClient { client, digest } => clients::put(connection, client, digest, now),
        Change::RemoveClient { client } => {
            clients::delete(connection, client)?;
            rates::delete_client(connection, client)
        }
        Change::SetRate(row) => rates::put(connection, row),
        Change::SetPaused {
            pool,
            worker,
            paused,
        } => workers::set_paused(connection, pool, worker, *paused),
        Change::ForgetWorker { pool, worker } => workers::delete(connection, pool, worker),
    }
}
