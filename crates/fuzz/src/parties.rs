//! Legal clients, workers and operators, who do once all that there is to do.

use std::convert::Infallible;
use std::rc::Rc;

use cluster_api::{
    Action, Admin, Description, Job, LogChunk, Metric, MetricsSource, OBuilderBuild, PopError,
    Progress, Registration, RpcError, ServeJob, ServeProgress, ServeWorker, Submission, Worker,
};
use cluster_client::LogReader;

/// The pool that clients use, and one for workers.
pub(crate) const POOLS: [&str; 2] = ["pool", "workers"];

/// The most pieces that are read of a log: one may go on for ever.
const PIECES: usize = 200;

/// Returns a job to submit.
pub(crate) fn description() -> Description {
    Description {
        cache_hint: "hint".to_owned(),
        ..Description::new(Action::OBuilder(OBuilderBuild {
            spec: "((from busybox))".to_owned(),
        }))
    }
}

/// Submits jobs, reads a log, and takes one back.
pub(crate) async fn client(submission: Submission) {
    let ticket = submission.submit(POOLS[0], &description(), false);
    let job = ticket.job();
    let result = job.result();
    let status = ticket.status();
    let mut log = LogReader::new((*job).clone(), LogReader::WINDOW);
    let read = async {
        for _ in 0..PIECES {
            if !matches!(log.next().await, Ok(Some(_))) {
                break;
            }
        }
    };
    drop(futures::join!(read, result, status));
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

/// Registers a worker, and does what it is given, this many times.
pub(crate) async fn worker(registration: Registration, name: &str, jobs: usize) {
    let queue = registration.register(name, Worker::serve(Rc::new(Party)), 1);
    drop(queue.set_active(true).await);
    for _ in 0..jobs {
        // A description that makes no sense is its client's fault; a worker goes on.
        let popped = queue.pop(Job::serve(Rc::new(Party))).await;
        if matches!(popped, Err(PopError::NoJob(_))) {
            break;
        }
    }
    drop(queue.set_active(false).await);
}

/// Looks at everything and changes everything.
pub(crate) async fn operator(admin: Admin) {
    drop(futures::join!(admin.pools(), admin.list_clients()));
    let added = admin.add_client("fuzz-client");
    drop(added.save().await);
    let pool = admin.pool(POOLS[1]);
    drop(futures::join!(
        pool.show(),
        pool.workers(),
        pool.details(),
        pool.worker_details("fuzz-worker")
    ));
    drop(pool.set_active("fuzz-worker", false, true).await);
    drop(pool.pause_worker("fuzz-worker", false).await);
    drop(pool.set_rate("fuzz-client", 2.0).await);
    drop(
        pool.worker("fuzz-worker")
            .metrics(MetricsSource::Agent)
            .await,
    );
    drop(
        pool.drain("fuzz-worker", Progress::serve(Rc::new(Party)))
            .await,
    );
    drop(
        pool.update("fuzz-worker", Progress::serve(Rc::new(Party)))
            .await,
    );
    drop(pool.forget("fuzz-worker").await);
    drop(admin.remove_client("fuzz-client").await);
}

/// Serves whatever others may call, and answers at once.
#[derive(Debug)]
struct Party;

impl ServeJob for Party {
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
        Ok("output".to_owned())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

impl ServeWorker for Party {
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
}

impl ServeProgress for Party {
    async fn report(self: Rc<Self>, _: String) -> Result<(), RpcError> {
        Ok(())
    }
}
