//! Attached jobs in the history: those of `Submission.submit`, which end with the connection of their client or their
//! worker, or with the scheduler.
//!
//! Recording them is not allowed to change what becomes of them. Nothing here is awaited by a job on its way: each
//! event is noted in memory, and a task saves what has changed, so much at a time that it is no burden for the disk. If
//! there is more than that can save, jobs are left out, and counted. The log is read through a reference that does not
//! keep the job going. See [`log`].

mod events;
mod job;
mod log;
mod save;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};

use cluster_api::EncodedDescription;
use jobs::JobId;
use pool::ClientId;

pub(crate) use self::job::AttachedJob;
use self::log::LogQueue;
pub(crate) use self::log::{LOG_INTERVAL, MAX_TIME_AFTER_END};
use self::save::SaveQueue;
pub(crate) use self::save::{MAX_SAVED_AT_END, PIECE, SAVE_INTERVAL};
use crate::clock::Clock;

/// The attached jobs that have not ended, or whose end is not saved yet.
pub(crate) struct AttachedJobs {
    this: Weak<Self>,
    clock: Clock,
    jobs: RefCell<HashMap<JobId, Rc<AttachedJob>>>,
    unsaved: SaveQueue,
    logs: LogQueue,
    /// How many jobs, and how many logs of jobs, were left out since that was last logged.
    left_out: Cell<LeftOut>,
}

/// What is not kept, as there was too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    jobs: u64,
    logs: u64,
}

impl AttachedJobs {
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            clock,
            jobs: RefCell::default(),
            unsaved: SaveQueue::default(),
            logs: LogQueue::default(),
            left_out: Cell::default(),
        })
    }

    /// A client submits a job. `None` if it is not recorded, as there are too many.
    pub(crate) fn add(
        &self,
        client: &ClientId,
        pool: &str,
        description: &EncodedDescription,
        urgent: bool,
    ) -> Option<Rc<AttachedJob>> {
        if self.unsaved.is_full() {
            self.leave_out(|left_out| left_out.jobs += 1);
            return None;
        }
        let id = JobId::from_bits(getrandom::u64().ok()?);
        let job = Rc::new(AttachedJob::new(
            Weak::clone(&self.this),
            id,
            client.clone(),
            pool,
            description,
            urgent,
            self.clock.unix_now(),
        ));
        self.jobs.borrow_mut().insert(id, Rc::clone(&job));
        self.unsaved.push(&job);
        Some(job)
    }

    /// Returns a job that is not wholly in the store yet.
    pub(crate) fn find(&self, job: JobId) -> Option<Rc<AttachedJob>> {
        self.jobs.borrow().get(&job).cloned()
    }

    /// Returns the ids, within these, of jobs that are not wholly in the store yet; with a client, only of its jobs.
    pub(crate) fn in_range(
        &self,
        client: Option<&ClientId>,
        ids: &RangeInclusive<JobId>,
    ) -> Vec<JobId> {
        let jobs = self.jobs.borrow();
        let is_meant = |job: &AttachedJob| client.is_none_or(|client| job.client() == client);
        if ids.start() == ids.end() {
            let job = jobs.get(ids.start()).filter(|job| is_meant(job));
            return job.map(|job| job.id).into_iter().collect();
        }
        let found = jobs.values().filter(|job| ids.contains(&job.id));
        found
            .filter(|job| is_meant(job))
            .map(|job| job.id)
            .collect()
    }

    /// Returns the ids of the jobs that are not wholly in the store yet.
    pub(crate) fn ids(&self) -> HashSet<JobId> {
        self.jobs.borrow().keys().copied().collect()
    }

    /// Forgets a job that is wholly in the store.
    pub(crate) fn forget_if_stored(&self, job: &AttachedJob) {
        if job.is_stored() {
            self.jobs.borrow_mut().remove(&job.id);
        }
    }

    /// A job has changed, and is to be saved.
    fn unsaved_changed(&self, job: JobId) {
        if let Some(job) = self.find(job) {
            self.unsaved.push(&job);
        }
    }

    fn leave_out(&self, count: impl FnOnce(&mut LeftOut)) {
        let mut left_out = self.left_out.get();
        count(&mut left_out);
        self.left_out.set(left_out);
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::{Action, Description, OBuilderBuild};
    use jobs::{CancelledBy, Outcome, Stage};
    use pool::WorkerName;

    use super::*;

    fn jobs() -> (Rc<AttachedJobs>, ClientId, EncodedDescription) {
        let build = OBuilderBuild {
            spec: "((from busybox))".to_owned(),
        };
        let description = Description::new(Action::OBuilder(build));
        (
            AttachedJobs::new(Clock::start()),
            ClientId::new("alice").unwrap(),
            description.encode().unwrap(),
        )
    }

    #[test]
    fn jobs_that_come_faster_than_they_are_saved_are_left_out() {
        let (jobs, client, description) = jobs();
        let add = || jobs.add(&client, "pool", &description, false);
        let taken = (0..save::MAX_UNSAVED + 7).filter(|_| add().is_some());
        assert_eq!(taken.count(), save::MAX_UNSAVED);
        assert_eq!(jobs.left_out.get(), LeftOut { jobs: 7, logs: 0 });
        // Each piece that is saved makes room.
        assert_eq!(jobs.take_unsaved(PIECE).len(), PIECE);
        let taken = (0..PIECE + 1).filter(|_| add().is_some());
        assert_eq!(taken.count(), PIECE);
    }

    #[test]
    fn a_job_is_saved_once_however_often_it_has_changed() {
        let (jobs, client, description) = jobs();
        let job = jobs.add(&client, "pool", &description, true).unwrap();
        job.assigned(WorkerName::new("w1").unwrap(), false);
        job.lost_with_worker();
        let piece = jobs.take_unsaved(PIECE);
        assert_eq!(piece.len(), 1);
        let record = piece[0].record();
        assert_eq!(
            (&*record.pool, &*record.kind, record.urgent),
            ("pool", "obuilder", true)
        );
        assert!(matches!(record.end, Some((Outcome::Lost(_), _))));
        // The first end counts.
        job.left_queue(cluster_api::TicketEnd::Cancelled);
        assert!(jobs.take_unsaved(PIECE).is_empty());
        assert!(matches!(
            job.stage(),
            Stage::Ended {
                outcome: Outcome::Lost(_),
                ..
            }
        ));
        job.end_saved();
        jobs.forget_if_stored(&job);
        assert!(jobs.jobs.borrow().is_empty());
    }

    #[test]
    fn the_logs_that_wait_are_bounded_and_those_that_cannot_be_read_are_skipped() {
        let (jobs, client, description) = jobs();
        let mut last = None;
        for _ in 0..log::MAX_WAITING + 3 {
            let job = jobs.add(&client, "pool", &description, false).unwrap();
            jobs.keep_log(&job);
            last = Some(job);
        }
        assert_eq!(jobs.left_out.get(), LeftOut { jobs: 0, logs: 3 });
        let first = jobs.next_log().unwrap();
        assert!(!first.log().1);
        // Its client has left before its turn came, so that its worker has no log any more.
        let second = jobs.logs.first().unwrap();
        second.left_queue(cluster_api::TicketEnd::Released);
        assert_eq!(jobs.left_out.get(), LeftOut { jobs: 0, logs: 4 });
        assert!(second.log().1);
        assert!(!Rc::ptr_eq(&jobs.next_log().unwrap(), &second));
        let last = last.unwrap();
        last.left_queue(cluster_api::TicketEnd::Cancelled);
        let Stage::Ended { outcome, .. } = last.stage() else {
            panic!("it has ended")
        };
        assert_eq!(outcome, Outcome::Cancelled(CancelledBy::Client));
        assert!(last.log().1, "it had no turn");
    }
}
