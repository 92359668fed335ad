//! The thread that saves: what it groups, and what it does when the disk refuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use job_store::{
    AttachedRecord, AuditEntry, ChangedPhases, Cleanup, Committer, Details, Entry, Expired, Expiry,
    Pruned, Reader as _, Report, Sealer, StoreError, Totals, Write, Writer, sqlite,
};
use jobs::{AttemptId, CancelledBy, Change, ChangeId, JobId, NewJob, Outcome, Saved, Terms};
use pool::{CacheHint, ClientId, Time};

/// A disk that can be full.
#[derive(Clone, Default)]
struct Disk {
    is_full: Arc<AtomicBool>,
    /// The jobs of each commit.
    commits: Arc<Mutex<Vec<Vec<u64>>>>,
    /// What ended long ago.
    old: Arc<Mutex<Vec<Pruned>>>,
    /// What is kept beside the jobs.
    entries: Arc<Mutex<Vec<Entry>>>,
    /// The phases of attempts.
    phases: Arc<Mutex<Vec<ChangedPhases>>>,
    /// How many descriptions are to be wiped.
    sealed: Arc<Mutex<usize>>,
    /// Why nothing can be removed at present.
    removal_error: Arc<Mutex<Option<&'static str>>>,
    /// Held while a commit is not to come to its end.
    gate: Arc<Mutex<()>>,
}

impl Writer for Disk {
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let _open = self.gate.lock().expect("nothing panicked");
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("the disk is full".to_owned()));
        }
        let jobs = writes.iter().map(|write| write.job().bits()).collect();
        self.commits.lock().expect("nothing panicked").push(jobs);
        Ok(())
    }

    fn save_attached(&mut self, records: &[AttachedRecord]) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("the disk is full".to_owned()));
        }
        let jobs = records.iter().map(|record| record.id.bits()).collect();
        self.commits.lock().expect("nothing panicked").push(jobs);
        Ok(())
    }

    fn end_attached(&mut self, _: Time) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn prune(&mut self, _: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError> {
        self.check_removal()?;
        let mut old = self.old.lock().expect("nothing panicked");
        let pieces = old.len().min(at_most as usize);
        Ok(old.drain(..pieces).collect())
    }

    fn wipe(&mut self, _: Time, at_most: u32) -> Result<usize, StoreError> {
        self.check_removal()?;
        let mut sealed = self.sealed.lock().expect("nothing panicked");
        let piece = (*sealed).min(at_most as usize);
        *sealed -= piece;
        Ok(piece)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        Ok(Totals::default())
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("the disk is full".to_owned()));
        }
        let mut appended = self.entries.lock().expect("nothing panicked");
        appended.extend_from_slice(entries);
        Ok(())
    }

    fn save_phases(&mut self, changed: &[ChangedPhases]) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("the disk is full".to_owned()));
        }
        let mut saved = self.phases.lock().expect("nothing panicked");
        saved.extend_from_slice(changed);
        Ok(())
    }

    fn expire(&mut self, _: &Expiry, _: u32) -> Result<Expired, StoreError> {
        self.check_removal()?;
        Ok(Expired::default())
    }
}

impl Disk {
    fn check_removal(&self) -> Result<(), StoreError> {
        match *self.removal_error.lock().expect("nothing panicked") {
            Some(error) => Err(StoreError::Damaged(error.to_owned())),
            None => Ok(()),
        }
    }
}

fn start(disk: &Disk) -> (Committer, Receiver<Report>) {
    let (reports, received) = mpsc::channel();
    let report = move |report| reports.send(report).unwrap_or_default();
    let committer = Committer::start(disk.clone(), report).expect("a thread");
    (committer, received)
}

fn save(committer: &Committer, number: u64) {
    let outcome = Outcome::Cancelled(CancelledBy::Client);
    let change = Change::Ended {
        job: JobId::from_bits(number),
        outcome,
        at: Time::EPOCH,
    };
    committer.save(vec![(ChangeId(number), Write::new(change, None))]);
}

fn next(reports: &Receiver<Report>) -> Report {
    reports
        .recv_timeout(Duration::from_secs(60))
        .expect("a report")
}

#[test]
fn what_comes_during_a_commit_shares_the_next_one() {
    let disk = Disk::default();
    let (committer, reports) = start(&disk);
    let gate = disk.gate.lock().expect("nothing panicked");
    save(&committer, 1);
    // The thread may take more than the first before it commits; it cannot commit twice.
    for number in 2..=50 {
        save(&committer, number);
    }
    drop(gate);
    drop(committer);
    let commits = disk.commits.lock().expect("nothing panicked").clone();
    assert!(commits.len() <= 2, "{commits:?}");
    assert_eq!(commits.concat(), (1..=50).collect::<Vec<_>>());
    assert_eq!(reports.iter().last(), Some(Report::Committed(ChangeId(50))));
}

#[test]
fn what_could_not_be_saved_is_tried_again_without_what_was_refused() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::SeqCst);
    let (committer, reports) = start(&disk);
    save(&committer, 1);
    let Report::Failed {
        up_to: ChangeId(1),
        error,
    } = next(&reports)
    else {
        panic!("the disk is full")
    };
    assert!(error.ends_with("the disk is full"), "{error}");
    save(&committer, 2);
    save(&committer, 3);
    committer.discard(JobId::from_bits(2));
    disk.is_full.store(false, Ordering::SeqCst);
    while next(&reports) != Report::Committed(ChangeId(3)) {}
    assert_eq!(
        disk.commits.lock().expect("nothing panicked").concat(),
        [1, 3]
    );
}

/// Whether or not its refusal has arrived here: its client may have submitted it again by then.
#[test]
fn a_submission_that_failed_is_not_tried_again() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::SeqCst);
    let (committer, reports) = start(&disk);
    committer.save(vec![(ChangeId(1), submission(1))]);
    assert!(matches!(next(&reports), Report::Failed { .. }));
    assert_eq!(committer.stats().queued, 0);
    disk.is_full.store(false, Ordering::SeqCst);
    save(&committer, 2);
    assert_eq!(next(&reports), Report::Committed(ChangeId(2)));
    assert_eq!(disk.commits.lock().expect("nothing panicked").concat(), [2]);
}

#[test]
fn everything_is_tried_once_more_at_the_end() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::SeqCst);
    let (committer, reports) = start(&disk);
    save(&committer, 1);
    assert!(matches!(next(&reports), Report::Failed { .. }));
    disk.is_full.store(false, Ordering::SeqCst);
    drop(committer);
    assert_eq!(next(&reports), Report::Committed(ChangeId(1)));
}

#[test]
fn what_ended_long_ago_is_removed_in_pieces() {
    let disk = Disk::default();
    let old = (0..240).map(|number| Pruned {
        job: JobId::from_bits(number),
        attempts: 1,
        log_bytes: 0,
    });
    disk.old.lock().expect("nothing panicked").extend(old);
    let (committer, reports) = start(&disk);
    *disk.sealed.lock().expect("nothing panicked") = 240;
    // First, so that it is done when the other is, which reports its pieces.
    committer.wipe(Time::EPOCH);
    committer.prune(Time::EPOCH);
    let pieces: Vec<usize> = (0..3)
        .map(|_| match next(&reports) {
            Report::Pruned(pruned) => pruned.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pieces, [100, 100, 40]);
    save(&committer, 1);
    assert_eq!(next(&reports), Report::Committed(ChangeId(1)));
    drop(committer);
    assert_eq!(*disk.sealed.lock().expect("nothing panicked"), 0);
}

/// With a real store: of three submissions the second has the id of the first.
#[test]
fn a_change_that_can_never_be_saved_keeps_no_others_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (writer, mut reader) = sqlite::open(&folder.path().join("jobs.db")).expect("a new store");
    let (reports, received) = mpsc::channel();
    let report = move |report| reports.send(report).unwrap_or_default();
    let committer = Committer::start(writer, report).expect("a thread");
    for (number, id) in [(1, 1), (2, 1), (3, 3)] {
        committer.save(vec![(ChangeId(number), submission(id))]);
    }
    let failed = received.iter().find_map(|report| match report {
        Report::Failed { up_to, .. } => Some(up_to),
        _ => None,
    });
    assert_eq!(failed, Some(ChangeId(2)));
    // What the jobs ask for then. It has the same id as another here, and as no other in life: so all of it goes.
    committer.discard(JobId::from_bits(1));
    while next(&received) != Report::Committed(ChangeId(3)) {}
    let kept = reader
        .record(JobId::from_bits(3))
        .expect("the store can be read");
    assert!(kept.is_some());
}

fn submission(id: u64) -> Write {
    let id = JobId::from_bits(id);
    let new = NewJob {
        id,
        client: ClientId::new("alice").expect("a good name"),
        pool: "pool".into(),
        hint: CacheHint::new(""),
        urgent: false,
        key: None,
        terms: Terms::default(),
    };
    let description = Sealer::new(b"key").seal(id, b"").expect("sealed");
    let details = Details {
        description,
        kind: "docker".to_owned(),
        labels: Vec::new(),
    };
    Write::submitted(new, Time::EPOCH, details)
}

#[test]
fn attached_jobs_that_cannot_be_saved_are_reported_and_not_tried_again() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::SeqCst);
    let (committer, reports) = start(&disk);
    let attached = |number| AttachedRecord {
        id: JobId::from_bits(number),
        client: ClientId::new("alice").expect("a good name"),
        pool: "linux".into(),
        kind: "docker".into(),
        urgent: false,
        submitted: Time::EPOCH,
        attempt: None,
        end: None,
    };
    committer.save_attached(vec![attached(1)]);
    let Report::AttachedSaved(Err(error)) = next(&reports) else {
        panic!("the disk is full")
    };
    assert!(error.ends_with("the disk is full"), "{error}");
    disk.is_full.store(false, Ordering::SeqCst);
    committer.save_attached(vec![attached(2), attached(3)]);
    assert_eq!(next(&reports), Report::AttachedSaved(Ok(())));
    drop(committer);
    assert_eq!(*disk.commits.lock().expect("nothing panicked"), [[2, 3]]);
}

#[test]
fn an_entry_that_could_not_be_saved_is_tried_again() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::SeqCst);
    let (committer, reports) = start(&disk);
    let entry = Entry::Audit(AuditEntry::default());
    assert_eq!(committer.append(entry.clone()), 1);
    let failed = Report::NotAppended {
        up_to: 1,
        error: "the jobs' database is damaged: the disk is full".to_owned(),
    };
    assert_eq!(next(&reports), failed);
    let stats = committer.stats();
    assert!(stats.is_failing && stats.failures > 0, "{stats:?}");
    disk.is_full.store(false, Ordering::SeqCst);
    let appended = reports.iter().find(|report| *report != failed);
    assert_eq!(appended, Some(Report::Appended(1)));
    let stats = committer.stats();
    assert!(!stats.is_failing && stats.queued == 0, "{stats:?}");
    let entries = disk.entries.lock().expect("nothing panicked").clone();
    assert_eq!(entries, [entry]);
}

#[test]
fn what_cannot_be_removed_is_reported_once_for_each_reason() {
    let disk = Disk::default();
    let (committer, reports) = start(&disk);
    let expiry = Expiry {
        logs_before: Time::EPOCH,
        max_log_bytes: 0,
        audit_before: Time::EPOCH,
    };
    // What is reported when all is asked for once, and what is saved next.
    let mut last = 0;
    let mut asked = |error| {
        *disk.removal_error.lock().expect("nothing panicked") = error;
        committer.prune(Time::EPOCH);
        committer.expire(expiry);
        committer.wipe(Time::EPOCH);
        // They may be done with the first of these, and are with the second.
        last += 2;
        save(&committer, last - 1);
        let reported = |up_to| {
            let is_other = |report: &Report| *report != Report::Committed(ChangeId(up_to));
            std::iter::from_fn(|| Some(next(&reports)))
                .take_while(is_other)
                .collect::<Vec<_>>()
        };
        let first = reported(last - 1);
        save(&committer, last);
        [first, reported(last)].concat()
    };
    let all = [Cleanup::Prune, Cleanup::Expire, Cleanup::Wipe];
    let failed = |error: &str| {
        let error = format!("the jobs' database is damaged: {error}");
        all.map(|cleanup| Report::Cleanup(cleanup, Err(error.clone())))
    };
    assert_eq!(asked(None), []);
    assert_eq!(asked(Some("a bad page")), failed("a bad page"));
    assert_eq!(asked(Some("a bad page")), []);
    assert_eq!(asked(Some("another")), failed("another"));
    assert_eq!(
        asked(None),
        all.map(|cleanup| Report::Cleanup(cleanup, Ok(())))
    );
    assert_eq!(asked(None), []);
    assert_eq!(committer.stats().cleanup_failures, 9);
}

#[test]
fn phases_that_cannot_be_saved_are_reported_once() {
    let disk = Disk::default();
    let (committer, reports) = start(&disk);
    let changed = ChangedPhases {
        attempt: AttemptId {
            job: JobId::from_bits(1),
            number: 1,
        },
        phases: Vec::new(),
    };
    let next = || reports.recv_timeout(Duration::from_secs(60));
    disk.is_full.store(true, Ordering::SeqCst);
    committer.save_phases(changed.clone());
    let error = "the jobs' database is damaged: the disk is full".to_owned();
    assert_eq!(next(), Ok(Report::PhasesSaved(Err(error))));
    committer.save_phases(changed.clone());
    // When the thread reports the second time that it failed, it has tried to save the phases after the first.
    committer.append(Entry::AuditFailed {
        time: Time::from_secs(1),
        error: String::new(),
    });
    for _ in 0..2 {
        assert!(matches!(next(), Ok(Report::NotAppended { .. })));
    }
    disk.is_full.store(false, Ordering::SeqCst);
    committer.save_phases(changed.clone());
    loop {
        match next() {
            Ok(Report::PhasesSaved(saved)) => break assert_eq!(saved, Ok(())),
            Ok(Report::NotAppended { .. } | Report::Appended(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(committer);
    assert_eq!(*disk.phases.lock().expect("nothing panicked"), [changed]);
}
