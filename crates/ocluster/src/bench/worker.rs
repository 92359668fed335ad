//! The mock workers of the benchmark, and their jobs.
//!
//! They are not `testkit`'s, which are for tests: those panic when something unexpected happens, keep logs in memory
//! and record what they do. Here an error ends the measurement, and nothing may take time or memory that a scheduler
//! is charged for. The program is published, so it cannot depend on what is for developers only.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use cluster_api::{
    Action, Description, DockerBuild, Dockerfile, Job, JobRequest, LogChunk, Metric, MetricsSource,
    Queue, RpcError, ServeJob, ServeWorker, Unwatched, Worker,
};
use tokio::sync::watch;

use super::rig::{Connected, Rig, broken};
use cli::error::CommandError;

/// A registered worker.
pub(super) struct BenchWorker {
    queue: Queue,
    _connected: Connected<cluster_api::Registration>,
}

impl BenchWorker {
    /// Connects and registers it.
    pub(super) async fn register(
        rig: &Rig,
        name: &str,
        capacity: u32,
    ) -> Result<Self, CommandError> {
        let connected = rig.worker().await?;
        let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
        let queue =
            connected
                .service
                .register(name, Worker::serve(Rc::new(SilentWorker)), capacity);
        let queue = queue
            .await
            .map_err(broken("cannot register a mock worker"))?;
        Ok(Self {
            queue,
            _connected: connected,
        })
    }

    /// Takes one job, and returns it with the label in its description.
    pub(super) async fn pop(
        &self,
        log: UniformLog,
    ) -> Result<(Rc<BenchJob>, String), CommandError> {
        let job = Rc::new(BenchJob {
            log,
            done: watch::Sender::new(false),
            served: Cell::new(0),
        });
        let description = self.queue.pop(Job::serve(Rc::clone(&job))).await;
        let description = description.map_err(|error| {
            CommandError::failed(format_args!("a mock worker got no job: {error}"))
        })?;
        Ok((job, label(&description).to_owned()))
    }

    /// Takes jobs and completes them at once, forever.
    pub(super) async fn complete_all(&self) -> Result<Infallible, CommandError> {
        loop {
            let (job, _) = self.pop(UniformLog::default()).await?;
            job.finish();
        }
    }
}

/// A worker that reports nothing and refuses to update itself.
struct SilentWorker;

impl ServeWorker for SilentWorker {
    async fn metrics(self: Rc<Self>, _source: MetricsSource) -> Result<Metric, RpcError> {
        Err(RpcError::failed("a mock worker has no metrics"))
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("a mock worker cannot be updated"))
    }

    async fn additional_metric(
        self: Rc<Self>,
        _source: String,
    ) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }
}

/// A log of one repeated byte, with a given size, returned in pieces of limited size.
///
/// With lines, each has so many bytes, its end included; 0 is for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UniformLog {
    pub(super) size: u64,
    pub(super) piece: u64,
    pub(super) line: u64,
}

impl UniformLog {
    fn bytes(&self, start: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![b'.'; usize::try_from(length).unwrap_or(0)];
        if let Some(before) = start.checked_rem(self.line) {
            let line = usize::try_from(self.line).unwrap_or(usize::MAX);
            let first = usize::try_from(self.line - before - 1).unwrap_or(usize::MAX);
            let ends = bytes.iter_mut().skip(first).step_by(line);
            ends.for_each(|end| *end = b'\n');
        }
        bytes
    }
}

/// A job that succeeds on [`finish`](Self::finish).
pub(super) struct BenchJob {
    log: UniformLog,
    done: watch::Sender<bool>,
    served: Cell<u64>,
}

impl BenchJob {
    /// Ends it.
    pub(super) fn finish(&self) {
        self.done.send_replace(true);
    }

    /// Returns how many bytes of its log were asked for, those that were asked for again included.
    pub(super) fn served(&self) -> u64 {
        self.served.get()
    }

    /// Waits for its end, by success or cancellation.
    async fn finished(&self) {
        // It cannot fail: the sender is in `self`.
        drop(self.done.subscribe().wait_for(|done| *done).await);
    }
}

impl ServeJob for BenchJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let start = u64::try_from(start).unwrap_or(0);
        let Some(left) = self.log.size.checked_sub(start) else {
            return Err(RpcError::failed("Start value out of range!"));
        };
        let length = left.min(self.log.piece);
        if length == 0 {
            self.finished().await;
        }
        self.served.set(self.served.get().saturating_add(length));
        let next = i64::try_from(start.saturating_add(length)).unwrap_or(i64::MAX);
        Ok(LogChunk {
            bytes: self.log.bytes(start, length),
            next,
        })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        self.finished().await;
        Ok(String::new())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.finish();
        Ok(())
    }

    fn released(&self) {
        self.finish();
    }
}

/// Returns a durable job that carries `label`, and goes on without its client.
pub(super) fn durable(rig: &Rig, label: impl ToString) -> Result<JobRequest, CommandError> {
    let description = labelled(label).encode();
    Ok(JobRequest {
        pool: rig.pool.clone(),
        description: description.map_err(broken("cannot write a description"))?,
        urgent: false,
        key: None,
        labels: Vec::new(),
        attempts: None,
        queue_limit: None,
        run_limit: None,
        silence_limit: None,
        unwatched: Unwatched::Continues,
    })
}

/// Returns a description that carries `label`.
pub(super) fn labelled(label: impl ToString) -> Description {
    let dockerfile = Dockerfile::Contents(label.to_string());
    Description::new(Action::Docker(DockerBuild {
        dockerfile,
        ..DockerBuild::default()
    }))
}

fn label(description: &Description) -> &str {
    match &description.action {
        Action::Docker(DockerBuild {
            dockerfile: Dockerfile::Contents(label),
            ..
        }) => label,
        Action::Docker(_) | Action::OBuilder(_) | Action::Custom(_) => "",
    }
}
