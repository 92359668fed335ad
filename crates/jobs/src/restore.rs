//! Going on after a restart.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pool::Time;

use crate::fault::Fault;
use crate::job::{Job, Watched};
use crate::{AttemptId, ChangeId, Config, Jobs, LossReason, Saved, SavedStage, Stage, Unwatched};

impl Jobs {
    /// Goes on with the jobs that had not ended, in the order of their submissions.
    ///
    /// Jobs that waited are put into their queues again, in their old places. Those that a worker had wait for that
    /// worker to return; if it cannot have kept them, they are lost. Their clients have some time to come back.
    pub fn restore(config: Config, now: Time, saved: Vec<Saved>) -> Self {
        let mut jobs = Self {
            now,
            ..Self::new(config)
        };
        for saved in saved {
            jobs.restore_one(saved);
        }
        jobs
    }

    fn restore_one(&mut self, saved: Saved) {
        let Saved {
            new,
            fair_start,
            stage,
            attempts,
            losses,
        } = saved;
        let id = new.id;
        let watched = match new.terms.unwatched {
            Unwatched::Cancelled(timeouts) => Watched::Left {
                until: self.now + timeouts.restarted,
            },
            Unwatched::GoesOn => Watched::By(0),
        };
        if let Some(key) = &new.key
            && !self.planted(Fault::ForgetsKeys)
        {
            self.keys.insert((new.client.clone(), key.clone()), id);
        }
        let (stage, attempt) = match stage {
            SavedStage::Queued { since } => (Stage::Queued { since }, None),
            SavedStage::Assigned(attempt) => (Stage::Running(attempt.clone()), Some(attempt)),
        };
        let job = Job {
            new,
            fair_start,
            stage,
            attempts,
            losses,
            watched,
            last_log: self.now,
            // Later than all versions that an earlier process has shown.
            version: u64::try_from(self.now.micros()).unwrap_or(0),
            alarm: None,
            submission: ChangeId::default(),
        };
        self.jobs.insert(id, Box::new(job));
        let Some(attempt) = attempt else {
            self.enqueue(id);
            self.changed(id);
            return;
        };
        let attempt_id = AttemptId {
            job: id,
            number: attempt.number,
        };
        self.workers
            .entry(attempt.worker.clone())
            .or_default()
            .insert(attempt_id);
        if attempt.survives {
            self.goes_away(id, attempt);
        } else {
            self.lose(attempt_id, LossReason::WorkerGone);
        }
    }
}
