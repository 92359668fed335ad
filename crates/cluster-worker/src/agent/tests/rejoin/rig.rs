//! A worker with a cable that can be cut, jobs that do what the test says, and a client.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU8;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster_api::{
    Action, CustomJob, CustomPayload, Description, DurableJob, DurableOutcome, DurableStage,
    JobRequest, LogTime, Phase, Registration, RpcError, Submission, Unwatched,
};
use futures::future::{FutureExt as _, LocalBoxFuture};
use testkit::{Connected, Site, until};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, LocalSet};
use vat::{DialOptions, Dialer, Failure, Session, SturdyRef};

use crate::agent::tests::{config, fast};
use crate::agent::{Ending, Exit};
use crate::executor::{CustomExecutor, Executors, OBuilderRefusal, RunningJob};
use crate::outcome::JobError;
use crate::testing::cluster::MockBuilder;
use crate::uplink::{Connection, NoConnection, Uplink};
use crate::worker::Parts;

/// Returns the attempts that a worker keeps in its directory.
pub(super) fn kept_in(state_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state_dir.join("attempts")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// What all jobs of a worker do: they print the lines so far and to come, until they are to end.
#[derive(Default)]
pub(super) struct Script {
    lines: RefCell<Vec<String>>,
    output: RefCell<Option<String>>,
    runs: Cell<u32>,
    /// How many lines the latest run has printed.
    printed: Cell<usize>,
    cancelled: Cell<u32>,
    changed: Notify,
}

impl Script {
    pub(super) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Has the job print a line, and waits until it has.
    pub(super) async fn prints(&self, line: &str) {
        self.adds(line);
        let lines = self.lines.borrow().len();
        until(&format!("the job prints {line:?}"), async || {
            self.printed.get() == lines
        })
        .await;
    }

    /// Has the job print a line, if it can.
    pub(super) fn adds(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
        self.changed.notify_waiters();
    }

    /// Has the jobs succeed with this output.
    pub(super) fn ends_with(&self, output: &str) {
        self.output.replace(Some(output.to_owned()));
        self.changed.notify_waiters();
    }

    pub(super) fn runs(&self) -> u32 {
        self.runs.get()
    }

    pub(super) fn cancelled(&self) -> u32 {
        self.cancelled.get()
    }
}

impl CustomExecutor for Rc<Script> {
    async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
        self.runs.set(self.runs.get() + 1);
        job.log.line(format_args!("run {}", self.runs.get()))?;
        let mut printed = 0;
        loop {
            let changed = self.changed.notified();
            let lines: Vec<String> = self.lines.borrow()[printed..].to_vec();
            for line in &lines {
                job.log.line(line)?;
            }
            printed += lines.len();
            self.printed.set(printed);
            if let Some(output) = self.output.borrow().clone() {
                return Ok(output);
            }
            tokio::select! {
                () = changed => {}
                () = job.cancel.cancelled() => {
                    self.cancelled.set(self.cancelled.get() + 1);
                    return Err(JobError::Cancelled);
                }
            }
        }
    }
}

/// The network between a worker and its scheduler.
#[derive(Clone)]
pub(super) struct Cable(Rc<CableState>);

struct CableState {
    cap: SturdyRef,
    is_cut: Cell<bool>,
    session: RefCell<Option<Rc<Session>>>,
}

impl Cable {
    /// Breaks the connection. There is no other until [`plug`](Self::plug).
    pub(super) fn cut(&self) {
        self.0.is_cut.set(true);
        if let Some(session) = self.0.session.take() {
            session.close("the cable was cut");
        }
    }

    pub(super) fn plug(&self) {
        self.0.is_cut.set(false);
    }
}

impl Uplink for Cable {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>> {
        async move {
            if self.0.is_cut.get() {
                return Err(NoConnection {
                    failure: Failure::NotConnected,
                    reason: "the cable is cut".to_owned(),
                });
            }
            let session = Dialer::new(DialOptions::default())
                .connect(&self.0.cap)
                .await?;
            let session = Rc::new(session);
            self.0.session.replace(Some(Rc::clone(&session)));
            let registration = Registration::from_client(session.bootstrap());
            let peer = session.peer();
            let lost = async move { session.closed().await.extra };
            Ok(Connection {
                registration,
                lost: lost.boxed_local(),
                flushed: async move { peer.flushed().await }.boxed_local(),
            })
        }
        .boxed_local()
    }
}

/// A real worker, with all its tasks apart from those of others.
pub(super) struct TestWorker {
    pub(super) cable: Cable,
    shutdown: Option<oneshot::Sender<Ending>>,
    task: JoinHandle<Exit>,
}

impl TestWorker {
    pub(super) fn start(site: &Site, name: &str, state_dir: &Path, script: &Rc<Script>) -> Self {
        let cable = Cable(Rc::new(CableState {
            cap: site.cap("pool-pool.cap"),
            is_cut: Cell::default(),
            session: RefCell::default(),
        }));
        let mut config = config(state_dir);
        config.name = name.parse().unwrap();
        config.custom.add("script", Rc::clone(script)).unwrap();
        let (shutdown, requested) = oneshot::channel();
        let uplink = cable.clone();
        let task = tokio::task::spawn_local(async move {
            let tasks = LocalSet::new();
            let worker = async {
                let parts = Parts::open(config).unwrap();
                let executors = Executors {
                    docker: Rc::new(MockBuilder::default()),
                    obuilder: Rc::new(OBuilderRefusal),
                    custom: Rc::new(parts.custom_jobs()),
                };
                let agent = parts.agent(executors, None, fast());
                let ending = async { requested.await.unwrap_or(Ending::AtOnce) };
                agent.run(&uplink, ending).await
            };
            tasks.run_until(worker).await
        });
        Self {
            cable,
            shutdown: Some(shutdown),
            task,
        }
    }

    pub(super) fn shut_down(&mut self, ending: Ending) {
        let shutdown = self.shutdown.take().expect("one request to end");
        shutdown.send(ending).expect("the worker is running");
    }

    pub(super) async fn ended(self) {
        assert_eq!(self.task.await.unwrap(), Exit::Shutdown);
    }

    pub(super) async fn end(mut self, ending: Ending) {
        self.shut_down(ending);
        self.ended().await;
    }

    /// Ends it between any two steps, with all its tasks and connections.
    pub(super) async fn kill(self) {
        self.cable.0.session.take();
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A client of the cluster.
pub(super) struct Client {
    submission: Submission,
    _connected: Connected,
}

/// A durable job, as a client has it.
pub(super) struct ClientJob {
    pub(super) id: String,
    job: DurableJob,
}

impl Client {
    pub(super) async fn new(site: &Site) -> Self {
        let connected = site.connect(&site.cap("submission.cap")).await;
        Self {
            submission: Submission::from_client(connected.client.clone()),
            _connected: connected,
        }
    }

    pub(super) async fn submit(&self) -> ClientJob {
        self.submit_with_attempts(3).await
    }

    pub(super) async fn submit_with_attempts(&self, attempts: u8) -> ClientJob {
        let job = CustomJob {
            kind: "script".to_owned(),
            payload: CustomPayload::from_text("").unwrap(),
        };
        let description = Description::new(Action::Custom(job)).encode().unwrap();
        let request = JobRequest {
            attempts: NonZeroU8::new(attempts),
            unwatched: Unwatched::Continues,
            ..JobRequest::new("pool", description)
        };
        let (id, job) = self.submission.submit_durable(&request).await.unwrap();
        ClientJob { id, job }
    }

    pub(super) async fn find(&self, id: &str) -> ClientJob {
        ClientJob {
            id: id.to_owned(),
            job: self.submission.find_durable(id).await.unwrap(),
        }
    }
}

impl ClientJob {
    /// Waits until the job has reached a stage.
    pub(super) async fn reaches(&self, is_it: impl Fn(&DurableStage) -> bool) -> DurableStage {
        let mut version = 0;
        loop {
            let status = self.job.watch(version).await.unwrap();
            if is_it(&status.stage) {
                return status.stage;
            }
            version = status.version;
        }
    }

    /// Waits until the job has ended, and returns the number of its attempts, and its outcome.
    pub(super) async fn ended(&self) -> (u32, DurableOutcome) {
        let ended = |stage: &DurableStage| matches!(stage, DurableStage::Ended { .. });
        match self.reaches(ended).await {
            DurableStage::Ended { attempt, outcome } => (attempt, outcome),
            other => panic!("{other:?} is no end"),
        }
    }

    /// Waits until a line is in the log of its first attempt.
    pub(super) async fn log_has(&self, line: &str) {
        let mut text = String::new();
        while !text.contains(line) {
            let chunk = self.job.log(1, text.len() as u64).await.unwrap();
            assert!(!chunk.bytes.is_empty(), "{text:?} has no {line:?}");
            text += std::str::from_utf8(&chunk.bytes).unwrap();
        }
    }

    /// Returns the log of an attempt that has ended.
    pub(super) async fn log(&self, attempt: u32) -> String {
        let mut text = String::new();
        loop {
            let chunk = self.job.log(attempt, text.len() as u64).await.unwrap();
            if chunk.bytes.is_empty() {
                return text;
            }
            text += std::str::from_utf8(&chunk.bytes).unwrap();
        }
    }

    /// Waits for a piece of the log of an attempt; none at its end. The call is made at once.
    pub(super) fn log_from(&self, attempt: u32, start: usize) -> impl Future<Output = String> {
        let chunk = self.job.log(attempt, start as u64);
        async move { String::from_utf8(chunk.await.unwrap().bytes).unwrap() }
    }

    /// Returns the phases of an attempt.
    pub(super) async fn phases(&self, attempt: u32) -> Vec<Phase> {
        self.job.phases(attempt).await.unwrap()
    }

    /// Returns the times of a part of the log of an attempt.
    pub(super) async fn log_times(&self, attempt: u32, part: Range<u64>) -> Vec<LogTime> {
        let page = self.job.log_times(attempt, part.start, part.end);
        page.await.unwrap().times
    }

    pub(super) async fn cancel(&self) {
        self.job.cancel().await.unwrap();
    }
}

/// A client that follows the log of a job's first attempt, and connects again whenever it must.
pub(super) struct Follower {
    text: Rc<RefCell<String>>,
    task: JoinHandle<()>,
}

impl Follower {
    pub(super) fn start(site: &Site, id: &str) -> Self {
        let (cap, id) = (site.cap("submission.cap"), id.to_owned());
        let text = Rc::<RefCell<String>>::default();
        let followed = Rc::clone(&text);
        let task = tokio::task::spawn_local(async move {
            // An error means that the scheduler is away. The story ends this, if it never returns.
            while follow(&cap, &id, &followed).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        Self { text, task }
    }

    /// Waits until it has read a line.
    pub(super) async fn has(&self, line: &str) {
        until(&format!("the log has {line:?}"), async || {
            self.text.borrow().contains(&format!("{line}\n"))
        })
        .await;
    }

    /// Waits until the log has ended, and returns it.
    pub(super) async fn end(self) -> String {
        self.task.await.unwrap();
        self.text.take()
    }
}

/// Reads on from what was read before, to the end of the log.
async fn follow(cap: &SturdyRef, id: &str, text: &RefCell<String>) -> Result<(), RpcError> {
    let connected = Connected::to(cap).await;
    let connected = connected.map_err(|error| RpcError::disconnected(error.to_string()))?;
    let submission = Submission::from_client(connected.client.clone());
    let job = submission.find_durable(id).await?;
    loop {
        let start = text.borrow().len() as u64;
        let chunk = job.log(1, start).await?;
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        text.borrow_mut()
            .push_str(std::str::from_utf8(&chunk.bytes).unwrap());
    }
}
