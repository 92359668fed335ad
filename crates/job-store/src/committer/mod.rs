//! The thread that saves changes, many at a time.
//!
//! Whatever has piled up while one commit was being synced goes into the next ("group commit"), so the cost of a sync
//! is shared exactly when there is much to save, and a single change waits for nothing but its own.

mod cleanup;
mod entries;
mod phases;
mod stats;

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, mem};

use jobs::{Change, ChangeId, JobId};
use pool::Time;

pub use self::cleanup::Cleanup;
use self::cleanup::Cleanups;
use self::entries::Entries;
use self::phases::Phases;
pub use self::stats::CommitterStats;
use self::stats::Counters;
use crate::{AttachedRecord, ChangedPhases, Entry, Expired, Expiry, Pruned, Write, Writer};

/// How many changes share one commit at most: what a disk takes in well under a second.
const MAX_BATCH: usize = 10_000;

/// How long to wait before changes that could not be saved are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the thread reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// All changes up to this one are on disk. See [`jobs::Jobs::committed`].
    Committed(ChangeId),
    /// Changes up to this one could not be saved. Those of jobs that are submitted among them are dropped, the others
    /// tried again in a moment. See [`jobs::Jobs::not_committed`].
    Failed {
        /// The latest of them.
        up_to: ChangeId,
        /// Why.
        error: String,
    },
    /// The oldest [attached jobs](Committer::save_attached) that were not reported yet are on disk, or cannot be saved
    /// for this reason. They are not tried again.
    AttachedSaved(Result<(), String>),
    /// Phases could not be saved for this reason, or can be again. They are not tried again.
    PhasesSaved(Result<(), String>),
    /// These jobs are not in the store any more. See [`Committer::prune`].
    Pruned(Vec<Pruned>),
    /// The entries up to this number are on disk. See [`Committer::append`].
    Appended(u64),
    /// Entries could not be saved, and are tried again in a moment.
    NotAppended {
        /// The number of the latest of them.
        up_to: u64,
        /// Why.
        error: String,
    },
    /// This has expired, and is not in the store any more. See [`Committer::expire`].
    Expired(Expired),
    /// Nothing can be removed for this reason, or can be again. It is tried again when that is asked for again.
    Cleanup(Cleanup, Result<(), String>),
}

/// Hands changes to the thread.
///
/// Dropping it waits until everything is on disk, or has failed once more.
#[derive(Debug)]
pub struct Committer {
    requests: Option<Sender<Request>>,
    counters: Arc<Counters>,
    /// The number of the latest entry.
    appended: Cell<u64>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Request {
    Save(Vec<(ChangeId, Write)>),
    SaveAttached(Vec<AttachedRecord>),
    Discard(JobId),
    Prune(Time),
    Append(Entry),
    SavePhases(ChangedPhases),
    Expire(Expiry),
    Wipe(Time),
}

impl Committer {
    /// Starts the thread. It calls `report` after each commit, and after each that failed.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start(
        writer: impl Writer + 'static,
        report: impl Fn(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let thread = std::thread::Builder::new().name("jobs".to_owned());
        let thread = thread.spawn(move || {
            let mut committer = CommitterThread {
                writer,
                report,
                unsaved: VecDeque::new(),
                attached: VecDeque::new(),
                is_failing: false,
                entries: Entries::default(),
                phases: Phases::default(),
                cleanups: Cleanups::default(),
                counters: shared,
            };
            committer.run(&inbox);
        })?;
        Ok(Self {
            requests: Some(requests),
            counters,
            appended: Cell::new(0),
            thread: Some(thread),
        })
    }

    /// Saves these changes, after all that were given before, and together.
    pub fn save(&self, changes: Vec<(ChangeId, Write)>) {
        self.counters.add(changes.len());
        self.send(Request::Save(changes));
    }

    /// Saves attached jobs together, and reports that. So many at a time that changes need not wait long.
    pub fn save_attached(&self, records: Vec<AttachedRecord>) {
        self.send(Request::SaveAttached(records));
    }

    /// Drops what is not saved yet of a job that was refused: what was asked for before its failure was known.
    pub fn discard(&self, job: JobId) {
        self.send(Request::Discard(job));
    }

    /// Removes the jobs that ended before a time, in pieces between which changes are saved.
    pub fn prune(&self, ended_before: Time) {
        self.send(Request::Prune(ended_before));
    }

    /// Saves something that is no change of a job. Returns its number, by which it is reported: 1, 2, and so on.
    pub fn append(&self, entry: Entry) -> u64 {
        self.counters.add(1);
        self.appended.set(self.appended.get() + 1);
        self.send(Request::Append(entry));
        self.appended.get()
    }

    /// Saves phases of an attempt. If that fails, it is reported, and they are not tried again.
    pub fn save_phases(&self, changed: ChangedPhases) {
        self.send(Request::SavePhases(changed));
    }

    /// Removes what has expired, in pieces between which changes are saved.
    pub fn expire(&self, expiry: Expiry) {
        self.send(Request::Expire(expiry));
    }

    /// Returns how saving goes.
    pub fn stats(&self) -> CommitterStats {
        self.counters.read()
    }

    /// Wipes the descriptions of the jobs that ended before a time, in pieces between which changes are saved.
    pub fn wipe(&self, ended_before: Time) {
        self.send(Request::Wipe(ended_before));
    }

    fn send(&self, request: Request) {
        // The thread ends only when this is dropped. If it has panicked, nothing is reported as saved any more, and
        // nobody is told of what is not.
        if let Some(requests) = &self.requests {
            drop(requests.send(request));
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say: what it saved was reported.
            drop(thread.join());
        }
    }
}

/// What the thread owns.
struct CommitterThread<W, F> {
    writer: W,
    report: F,
    /// The oldest first.
    unsaved: VecDeque<(ChangeId, Write)>,
    attached: VecDeque<Vec<AttachedRecord>>,
    is_failing: bool,
    entries: Entries,
    phases: Phases,
    cleanups: Cleanups,
    counters: Arc<Counters>,
}

impl<W: Writer, F: Fn(Report)> CommitterThread<W, F> {
    fn run(&mut self, inbox: &Receiver<Request>) {
        while self.receive(inbox) {
            self.commit();
            self.save_attached();
            self.append();
            self.save_phases();
            self.clean_up();
        }
        self.commit();
        self.save_attached();
        self.append();
        self.save_phases();
    }

    /// Waits for changes, or until what failed is to be tried again. Returns `false` when no more can come.
    fn receive(&mut self, inbox: &Receiver<Request>) -> bool {
        let first = if self.is_failing || self.entries.is_failing {
            inbox.recv_timeout(RETRY_AFTER)
        } else if self.cleanups.is_due() {
            inbox.recv_timeout(Duration::ZERO)
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(request) => self.take(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        for request in inbox.try_iter().take(MAX_BATCH) {
            self.take(request);
        }
        true
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Save(changes) => self.unsaved.extend(changes),
            Request::SaveAttached(records) => self.attached.push_back(records),
            Request::Prune(ended_before) => self.cleanups.prune = Some(ended_before),
            Request::Append(entry) => self.counters.remove(self.entries.add(entry)),
            Request::SavePhases(changed) => self.phases.unsaved.push(changed),
            Request::Wipe(ended_before) => self.cleanups.wipe = Some(ended_before),
            Request::Expire(expiry) => self.cleanups.expiry = Some(expiry),
            Request::Discard(job) => {
                let before = self.unsaved.len();
                self.unsaved.retain(|(_, write)| write.job() != job);
                self.counters.remove(before - self.unsaved.len());
            }
        }
    }

    fn save_attached(&mut self) {
        for records in self.attached.drain(..) {
            let saved = self.writer.save_attached(&records);
            (self.report)(Report::AttachedSaved(
                saved.map_err(|error| error.to_string()),
            ));
        }
    }

    /// Saves what there is, a batch at a time, until something fails.
    ///
    /// A change that the store can never take must not keep back all others: then they are saved one by one, and it
    /// alone has failed.
    fn commit(&mut self) {
        let mut most = MAX_BATCH;
        // What failed may have been dropped.
        self.is_failing &= !self.unsaved.is_empty();
        while !self.unsaved.is_empty() {
            let size = self.unsaved.len().min(most);
            let (numbers, writes): (Vec<_>, Vec<_>) = self.unsaved.drain(..size).unzip();
            crash_points("before-commit", &writes);
            let started = Instant::now();
            let result = self.writer.commit(&writes);
            self.is_failing = result.is_err();
            let Err(error) = result else {
                crash_points("after-commit", &writes);
                self.counters.committed(started.elapsed());
                self.counters.remove(size);
                numbers
                    .last()
                    .into_iter()
                    .for_each(|last| (self.report)(Report::Committed(*last)));
                continue;
            };
            let newer = mem::take(&mut self.unsaved);
            self.unsaved = numbers.into_iter().zip(writes).chain(newer).collect();
            let failed = match error.is_of_the_change() {
                true if size > 1 => {
                    most = 1;
                    continue;
                }
                true => self.unsaved.front(),
                false => self.unsaved.back(),
            };
            let Some(up_to) = failed.map(|(number, _)| *number) else {
                return;
            };
            self.counters.failed();
            self.drop_submitted(up_to);
            let error = error.to_string();
            (self.report)(Report::Failed { up_to, error });
            return;
        }
    }

    /// Drops the changes of jobs that are submitted by a change up to this one. Their clients are refused when the
    /// failure is handled; until then, no other attempt may save a job that there is not to be.
    fn drop_submitted(&mut self, up_to: ChangeId) {
        let submitted = |(number, write): &(ChangeId, Write)| match &write.change {
            Change::Submitted { new, .. } if *number <= up_to => Some(new.id),
            _ => None,
        };
        let refused: HashSet<JobId> = self.unsaved.iter().filter_map(submitted).collect();
        let before = self.unsaved.len();
        self.unsaved
            .retain(|(_, write)| !refused.contains(&write.job()));
        self.counters.remove(before - self.unsaved.len());
    }
}

/// Marks a moment at which tests kill the process, once for each change that is concerned.
fn crash_points(point: &'static str, writes: &[Write]) {
    for write in writes {
        let of = match &write.change {
            Change::Submitted { .. } => "submission",
            Change::Placed { .. } => "place",
            Change::Assigned { .. } => "assignment",
            Change::AttemptEnded { .. } => "given-up-attempt",
            Change::Requeued { .. } => "retry",
            Change::Ended { .. } => "end",
        };
        tracing::trace!(target: "crash-point", point, of);
    }
}
