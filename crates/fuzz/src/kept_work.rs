//! Durable jobs for a worker that returns: one that it has kept, and one that waits for it.

use std::future::pending;
use std::rc::Rc;

use cluster_api::{
    Answer, DurableJob, DurableLogChunk, DurableStage, DurableStatus, Job, LogChunk, Registration,
    RpcError, ServeJob, Submission,
};
use tokio::time::timeout;
use vat::SturdyRef;

use crate::dial::{WAIT_LIMIT, connect};
use crate::durable;
use crate::parties::POOLS;
use crate::returning::returning;

/// The id that stands for that of the kept job in conversations.
pub(crate) const PLACEHOLDER: &str = "28t5cy4tqkff";

/// A durable job whose worker has lost its connection, and another one that is queued.
pub(crate) struct KeptWork {
    /// The id of the first one.
    pub(crate) id: String,
    kept: DurableJob,
    queued: DurableJob,
    /// The first piece of its log that a client sees.
    log: Answer<DurableLogChunk>,
}

impl KeptWork {
    /// Submits the jobs. `workers` is the cap file of their pool.
    pub(crate) async fn prepare(submission: &Submission, workers: &SturdyRef) -> Self {
        let request = durable::request(POOLS[1], None);
        let submit = async || {
            let submitted = submission.submit_durable(&request).await;
            submitted.expect("a legal job is accepted")
        };
        let (id, kept) = submit().await;
        let session = connect(workers).await;
        let registration = Registration::from_client(session.bootstrap());
        let rejoined = registration.rejoin(returning(Vec::new())).await;
        let queue = rejoined.expect("a legal worker can register").queue;
        drop(queue.set_active(true).await);
        let popped = queue.pop_durable(Job::serve(Rc::new(EndlessJob)));
        let popped = timeout(WAIT_LIMIT, popped).await;
        let popped = popped.expect("a legal worker gets a job").expect("a job");
        let attempt = popped.attempt;
        assert_eq!(attempt.map(|attempt| attempt.job), Some(id.clone()));
        until(&kept, |stage| matches!(stage, DurableStage::Running { .. })).await;
        drop((queue, registration, session));
        until(&kept, |stage| matches!(stage, DurableStage::Away { .. })).await;
        let (_, queued) = submit().await;
        Self {
            id,
            log: kept.log(1, 0),
            kept,
            queued,
        }
    }

    /// Releases the jobs, so that they are cancelled if they have not ended. Returns a check of what is kept of them.
    pub(crate) fn release(self) -> Released {
        let Self {
            id,
            kept,
            queued,
            log,
        } = self;
        drop((kept, queued));
        Released { id, log }
    }
}

/// A job that was released.
pub(crate) struct Released {
    id: String,
    log: Answer<DurableLogChunk>,
}

impl Released {
    /// Checks that the job ends, and that what a client has seen of its log is still there.
    ///
    /// # Panics
    /// When that is not so, or takes too long.
    pub(crate) async fn check(self, submission: &Submission) {
        let Self { id, log } = self;
        let checked = async {
            let job = submission.observe_durable(&id).await;
            let job = job.expect("an accepted job is kept");
            until(&job, |stage| matches!(stage, DurableStage::Ended { .. })).await;
            if let Ok(seen) = log.await
                && !seen.bytes.is_empty()
            {
                let again = job.log(1, 0).await.expect("a log that was seen is kept");
                assert!(again.bytes.starts_with(&seen.bytes), "the log has changed");
            }
        };
        let checked = timeout(WAIT_LIMIT, checked).await;
        assert!(checked.is_ok(), "a released job does not end");
    }
}

async fn until(job: &DurableJob, is_reached: impl Fn(&DurableStage) -> bool) {
    let mut seen = 0;
    let reached = async {
        loop {
            let DurableStatus { version, stage } =
                job.watch(seen).await.expect("a job has a status");
            if is_reached(&stage) {
                break;
            }
            seen = version;
        }
    };
    let reached = timeout(WAIT_LIMIT, reached).await;
    assert!(reached.is_ok(), "a job does not go on");
}

/// A job that writes nothing, and does not end.
#[derive(Debug)]
struct EndlessJob;

impl ServeJob for EndlessJob {
    async fn log(self: Rc<Self>, _: i64) -> Result<LogChunk, RpcError> {
        pending().await
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        pending().await
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}
