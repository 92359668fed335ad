//! Legal clients, workers and operators, each of which makes every call once.

use std::convert::Infallible;
use std::rc::Rc;

use cluster_api::{
    Action, Admin, Description, Job, LogChunk, Metric, MetricsSource, NewPause, OBuilderBuild,
    Outcome, PauseReason, PopError, Progress, Registration, RpcError, ServeJob, ServeProgress,
    ServeWorker, Submission, Worker,
};
use cluster_client::LogReader;

/// The pool that clients use, and one for workers.
pub(crate) const POOLS: [&str; 2] = ["pool", "workers"];

/// The most pieces to read of a log, which may be endless.
pub(crate) const MAX_PIECES: usize = 200;

/// The worker that a legal operator administers, and that a legal worker registers as.
pub(crate) const WORKER: &str = "fuzz-worker";

/// Returns a job to submit.
pub(crate) fn description() -> Description {
    Description {
        cache_hint: "hint".to_owned(),
        ..Description::new(Action::OBuilder(OBuilderBuild {
            spec: "((from busybox))".to_owned(),
        }))
    }
}

/// Submits jobs, follows one of them to its end, and cancels another.
pub(crate) async fn client(submission: Submission) {
    let ticket = submission.submit(POOLS[0], &description(), false);
    let job = ticket.job();
    let result = job.result();
    let outcome = job.outcome();
    let (status, number) = (ticket.status(), ticket.number());
    let mut log = LogReader::new((*job).clone(), LogReader::WINDOW);
    let read = async {
        for _ in 0..MAX_PIECES {
            if !matches!(log.next().await, Ok(Some(_))) {
                break;
            }
        }
    };
    drop(futures::join!(read, result, outcome, status, number));
    let other = submission.submit(POOLS[0], &description(), true);
    let cancelled = other.cancel();
    drop(futures::join!(
        cancelled,
        other.job().result(),
        submission.save()
    ));
    drop(
        submission
            .submit("no-such-pool", &description(), false)
            .await,
    );
}

/// How the jobs of a worker end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    Success,
    Failure,
}

/// Registers a worker, and runs this many jobs.
pub(crate) async fn worker(registration: Registration, name: &str, jobs: usize, end: JobEnd) {
    let queue = registration.register(name, Worker::serve(Rc::new(LegalPeer)), 1);
    let reason = PauseReason::new("disk", "the disk is full", "remove files");
    drop(queue.set_pause_reasons(&[reason]).await);
    drop(queue.set_pause_reasons(&[]).await);
    drop(queue.set_active(true).await);
    for _ in 0..jobs {
        // A description that cannot be read is the fault of its client, so the worker continues.
        let popped = queue.pop(Job::serve(Rc::new(PartyJob(end)))).await;
        if matches!(popped, Err(PopError::NoJob(_))) {
            break;
        }
    }
    drop(queue.set_active(false).await);
}

/// Reads everything and changes everything.
pub(crate) async fn operator(admin: Admin) {
    drop(futures::join!(admin.pools(), admin.list_clients()));
    let added = admin.add_client("fuzz-client");
    drop(added.save().await);
    let pool = admin.pool(POOLS[1]);
    drop(futures::join!(
        pool.show(),
        pool.workers(),
        pool.details(),
        pool.overview(2),
        pool.explain(2),
        pool.job_ids(&[1, 2]),
        pool.worker_details(WORKER)
    ));
    drop(pool.set_active(WORKER, false, true).await);
    drop(pool.pause_worker(WORKER, false).await);
    drop(pool.set_rate("fuzz-client", 2.0).await);
    let worker = pool.worker(WORKER);
    drop(futures::join!(
        worker.metrics(MetricsSource::Agent),
        worker.version(),
        worker.cancel_job(1)
    ));
    let pause = NewPause {
        by: "fuzz-operator".to_owned(),
        note: "a note".to_owned(),
        ..NewPause::default()
    };
    drop(pool.pause(WORKER, &pause).await);
    drop(pool.cancel(1, "fuzz-operator").await);
    drop(
        pool.drain(WORKER, Progress::serve(Rc::new(LegalPeer)))
            .await,
    );
    drop(
        pool.update(WORKER, Progress::serve(Rc::new(LegalPeer)))
            .await,
    );
    drop(pool.forget(WORKER).await);
    drop(admin.remove_client("fuzz-client").await);
}

/// A job that ends at once.
#[derive(Debug)]
struct PartyJob(JobEnd);

impl ServeJob for PartyJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let bytes = if start == 0 {
            b"built\n".to_vec()
        } else {
            Vec::new()
        };
        let next = start.saturating_add(bytes.len() as i64);
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        match self.0 {
            JobEnd::Success => Ok("output".to_owned()),
            JobEnd::Failure => Err(RpcError::failed("Build failed")),
        }
    }

    async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
        Ok(match self.0 {
            JobEnd::Success => Outcome::Succeeded("output".to_owned()),
            JobEnd::Failure => Outcome::Failed {
                detail: "too long".to_owned(),
                exit_code: Some(3),
            },
        })
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

/// A worker and a reader of progress, which answer at once.
#[derive(Debug)]
pub(crate) struct LegalPeer;

impl ServeWorker for LegalPeer {
    async fn metrics(self: Rc<Self>, _: MetricsSource) -> Result<Metric, RpcError> {
        Ok(Metric {
            content_type: "text/plain".to_owned(),
            data: "up 1\n".to_owned(),
        })
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("cannot update"))
    }

    async fn additional_metric(self: Rc<Self>, _: String) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }

    async fn version(self: Rc<Self>) -> Result<String, RpcError> {
        Ok("1.2.3".to_owned())
    }

    async fn cancel_job(self: Rc<Self>, nth: u64) -> Result<(), RpcError> {
        Err(RpcError::failed(format!("job {nth} is not running")))
    }
}

impl ServeProgress for LegalPeer {
    async fn report(self: Rc<Self>, _: String) -> Result<(), RpcError> {
        Ok(())
    }
}
