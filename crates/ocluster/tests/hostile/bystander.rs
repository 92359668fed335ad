//! Somebody who has nothing to do with an attack, and wants to get on with it.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster_api::{
    Action, Admin, Description, DockerBuild, Dockerfile, Job, LogChunk, Metric, MetricsSource,
    Registration, RpcError, ServeJob, ServeWorker, Submission, Worker,
};
use vat::{DialOptions, Dialer, Session, SturdyRef};

use crate::harness::{Target, run};

/// How many bytes the scheduler logs for one job of a bystander, and more.
const LOGGED_FOR_A_JOB: u64 = 2000;

/// An admin, a client and a worker of a cluster, on a thread of their own.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Waiting>,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The longest that an answer took.
    pub(crate) longest: Duration,
    /// How many jobs were done.
    pub(crate) jobs: u32,
    /// How many bytes the scheduler may have logged for them.
    pub(crate) logged: u64,
}

impl Bystander {
    /// Starts one; when this returns, it is at work.
    pub(crate) fn start(target: &Target) -> Self {
        let caps = ["admin", "submission", "pool-p"].map(|name| target.cap(name));
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            run(async move {
                let peers = Peers::connect(caps).await;
                // The first round is not counted: connections are new, and so is the database.
                peers.round(&mut Waiting::default()).await;
                ready.send(()).expect("the test waits");
                let mut waiting = Waiting::default();
                while !stopped.load(Ordering::Relaxed) {
                    peers.round(&mut waiting).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // And one afterwards: everything still works.
                peers.round(&mut waiting).await;
                waiting.logged = u64::from(waiting.jobs + 1) * LOGGED_FOR_A_JOB;
                waiting
            })
        });
        is_ready.recv().expect("a bystander at work");
        Self { stop, thread }
    }

    /// Ends it, and returns how it went. It must not have failed.
    pub(crate) fn finish(self) -> Waiting {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .expect("a bystander could go on with its work")
    }
}

struct Peers {
    admin: Admin,
    submission: Submission,
    queue: cluster_api::Queue,
    _sessions: [Session; 3],
}

impl Peers {
    async fn connect(caps: [SturdyRef; 3]) -> Self {
        let [admin, submission, pool] = caps;
        let admin = connect(&admin).await;
        let submission = connect(&submission).await;
        let pool = connect(&pool).await;
        let registration = Registration::from_client(pool.bootstrap());
        let worker = Worker::serve(Rc::new(Idle));
        let queue = registration.register("bystander", worker, 1);
        Self {
            queue: queue.await.expect("registered"),
            admin: Admin::from_client(admin.bootstrap()),
            submission: Submission::from_client(submission.bootstrap()),
            _sessions: [admin, submission, pool],
        }
    }

    /// Asks the scheduler something, and then has a job done.
    async fn round(&self, waiting: &mut Waiting) {
        let start = Instant::now();
        self.admin.pools().await.expect("an answer");
        waiting.longest = waiting.longest.max(start.elapsed());

        // Jobs of others may be before it: then this is one of theirs, and does no harm.
        let start = Instant::now();
        let ticket = self.submission.submit("p", &description(), true);
        let job = ticket.job();
        let result = job.result();
        let done = async {
            loop {
                let popped = self.queue.pop(Job::serve(Rc::new(Done))).await;
                drop(popped.expect("a job"));
            }
        };
        let outcome = tokio::select! {
            outcome = result => outcome,
            () = done => unreachable!("it never ends"),
        };
        assert_eq!(outcome.expect("a result"), "done");
        waiting.longest = waiting.longest.max(start.elapsed());
        waiting.jobs += 1;
    }
}

/// Connects, with patience: what is measured is how long answers take, and that one can connect at all.
pub(crate) async fn connect(sturdy_ref: &SturdyRef) -> Session {
    let dialer = Dialer::new(DialOptions::default());
    dialer.connect(sturdy_ref).await.expect("connected")
}

fn description() -> Description {
    Description {
        action: Action::Docker(DockerBuild {
            dockerfile: Dockerfile::Contents("FROM scratch".to_owned()),
            ..DockerBuild::default()
        }),
        cache_hint: "bystander".to_owned(),
        repository: String::new(),
        commits: Vec::new(),
        secrets: Vec::new(),
    }
}

/// A worker that has nothing to report.
pub(crate) struct Idle;

impl ServeWorker for Idle {
    async fn metrics(self: Rc<Self>, _source: MetricsSource) -> Result<Metric, RpcError> {
        Err(RpcError::failed("no metrics"))
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("no updates"))
    }

    async fn additional_metric(
        self: Rc<Self>,
        _source: String,
    ) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }
}

/// A job that is done.
struct Done;

impl ServeJob for Done {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let bytes = Vec::new();
        Ok(LogChunk { bytes, next: start })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Ok("done".to_owned())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}
