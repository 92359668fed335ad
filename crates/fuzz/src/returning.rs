//! A legal worker that keeps its durable jobs: it returns with some, runs another, and forgets all when it is told to.

use std::cell::Cell;
use std::rc::Rc;

use cluster_api::{
    AttemptName, HeldAttempt, HeldState, Job, LogChunk, Outcome, Registration, ReturningWorker,
    RpcError, ServeJob, Worker,
};
use tokio::sync::Notify;

use crate::parties::LegalPeer;

/// Its name. It is no other party's: operators pause those.
const NAME: &str = "fuzz-returning";

/// The id of a job that no scheduler knows.
const UNKNOWN_JOB: &str = "28t5cy4tqkfg";

/// The instance of the worker's process, which is the same each time.
const INSTANCE: u64 = 7;

/// Returns a worker that registers with what it has kept.
pub(crate) fn returning(held: Vec<HeldAttempt>) -> ReturningWorker {
    ReturningWorker {
        name: NAME.to_owned(),
        worker: Worker::serve(Rc::new(LegalPeer)),
        capacity: 2,
        instance: INSTANCE,
        held,
    }
}

/// Registers a worker with the first attempt at the job `kept` and with two that were given up, takes one more job, and
/// keeps each until it is told to forget it.
pub(crate) async fn worker(registration: &Registration, kept: &str) {
    let states = [
        (kept, 1, HeldState::Running),
        (UNKNOWN_JOB, 1, HeldState::Ended(failed())),
        (UNKNOWN_JOB, 2, HeldState::Interrupted),
    ];
    let (mut jobs, mut held) = (Vec::new(), Vec::new());
    for (job, number, state) in states {
        let kept = Rc::<KeptJob>::default();
        held.push(HeldAttempt {
            attempt: AttemptName {
                job: job.to_owned(),
                number,
            },
            job: Job::serve(Rc::clone(&kept)),
            state,
        });
        jobs.push(kept);
    }
    let Ok(rejoined) = registration.rejoin(returning(held)).await else {
        return;
    };
    drop(rejoined.queue.set_active(true).await);
    let popped = Rc::<KeptJob>::default();
    drop(
        rejoined
            .queue
            .pop_durable(Job::serve(Rc::clone(&popped)))
            .await,
    );
    jobs.push(popped);
    for job in jobs {
        job.forgotten().await;
    }
    drop(rejoined.queue.set_active(false).await);
}

fn failed() -> Outcome {
    Outcome::Failed {
        detail: "too long".to_owned(),
        exit_code: Some(3),
    }
}

/// A job that ends at once, and is kept.
#[derive(Debug, Default)]
struct KeptJob {
    is_forgotten: Cell<bool>,
    changed: Notify,
}

impl KeptJob {
    fn forget(&self) {
        self.is_forgotten.set(true);
        self.changed.notify_one();
    }

    /// Waits until it is told to forget it, or the other side has released it.
    async fn forgotten(&self) {
        while !self.is_forgotten.get() {
            self.changed.notified().await;
        }
    }
}

impl ServeJob for KeptJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let rest = usize::try_from(start)
            .ok()
            .and_then(|start| LOG.get(start..));
        let bytes = rest.unwrap_or_default().to_vec();
        let next = start.saturating_add(bytes.len() as i64);
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Ok("output".to_owned())
    }

    async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
        Ok(Outcome::Succeeded("output".to_owned()))
    }

    async fn forget(self: Rc<Self>) -> Result<(), RpcError> {
        Self::forget(&self);
        Ok(())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {
        self.forget();
    }
}

/// The log of each job.
const LOG: &[u8] = b"kept\n";
