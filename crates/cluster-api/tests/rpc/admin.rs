//! Every method of the operators' and workers' interfaces, and what becomes of its arguments.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    Admin, ClientDetails, ConnectedWorker, EncodedDescription, InactiveReason, Metric,
    MetricsSource, PauseReason, PoolAdmin, PoolDetails, Presence, Progress, RpcError, RunningJob,
    ServeAdmin, ServePoolAdmin, ServeProgress, ServeSubmission, ServeWorker, Submission, Ticket,
    Worker, WorkerDetails, WorkerInfo,
};

use crate::support::{Events, run, through_connection};

/// A cluster that writes down what it is asked.
pub(crate) struct FakeAdmin {
    events: Events,
}

impl FakeAdmin {
    pub(crate) fn new(events: &Events) -> Rc<Self> {
        Rc::new(Self {
            events: events.clone(),
        })
    }
}

impl ServeAdmin for FakeAdmin {
    async fn pools(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }

    async fn pool(self: Rc<Self>, name: String) -> Result<PoolAdmin, RpcError> {
        if name == "nosuch" {
            return Ok(PoolAdmin::broken(RpcError::failed("No such pool")));
        }
        Ok(PoolAdmin::serve(Rc::new(FakePool {
            name,
            events: self.events.clone(),
        })))
    }

    async fn add_client(self: Rc<Self>, id: String) -> Result<Submission, RpcError> {
        Ok(Submission::serve(Rc::new(SavedSubmission { id })))
    }

    async fn remove_client(self: Rc<Self>, id: String) -> Result<(), RpcError> {
        self.events.add(format!("remove {id}"));
        Ok(())
    }

    async fn list_clients(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(vec!["carol".to_owned()])
    }
}

/// A submission that is on file.
struct SavedSubmission {
    id: String,
}

impl ServeSubmission for SavedSubmission {
    async fn submit(
        self: Rc<Self>,
        _pool: String,
        _description: EncodedDescription,
        _urgent: bool,
    ) -> Result<Ticket, RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn save(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(format!("capnp://{}", self.id))
    }
}

/// A pool that writes down what it is asked.
struct FakePool {
    name: String,
    events: Events,
}

impl FakePool {
    async fn report(
        &self,
        what: &str,
        worker: &str,
        progress: Option<Progress>,
    ) -> Result<(), RpcError> {
        self.events.add(format!(
            "{what} {worker}, with progress: {}",
            progress.is_some()
        ));
        match progress {
            Some(progress) => progress.report(&format!("{worker} is busy")).await,
            None => Ok(()),
        }
    }
}

impl ServePoolAdmin for FakePool {
    async fn show(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(format!("the state of {}", self.name))
    }

    async fn workers(self: Rc<Self>) -> Result<Vec<WorkerInfo>, RpcError> {
        Ok(workers())
    }

    async fn set_active(
        self: Rc<Self>,
        worker: String,
        active: bool,
        auto_create: bool,
    ) -> Result<(), RpcError> {
        self.events.add(format!(
            "set {worker} active: {active}, auto-create: {auto_create}"
        ));
        Ok(())
    }

    async fn pause_worker(self: Rc<Self>, worker: String, paused: bool) -> Result<(), RpcError> {
        self.events.add(format!("pause {worker}: {paused}"));
        Ok(())
    }

    async fn details(self: Rc<Self>) -> Result<PoolDetails, RpcError> {
        Ok(details())
    }

    async fn worker_details(self: Rc<Self>, worker: String) -> Result<WorkerDetails, RpcError> {
        let found = details().workers.into_iter().find(|w| w.name == worker);
        found.ok_or_else(|| RpcError::failed("Unknown worker"))
    }

    async fn worker(self: Rc<Self>, name: String) -> Result<Worker, RpcError> {
        match name.as_str() {
            "w1" => Ok(Worker::serve(Rc::new(FakeWorker))),
            _ => Err(RpcError::failed("Unknown worker")),
        }
    }

    async fn update(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> Result<(), RpcError> {
        self.report("update", &worker, progress).await
    }

    async fn set_rate(self: Rc<Self>, client: String, rate: f64) -> Result<(), RpcError> {
        self.events.add(format!("rate of {client}: {rate}"));
        Ok(())
    }

    async fn forget(self: Rc<Self>, worker: String) -> Result<(), RpcError> {
        self.events.add(format!("forget {worker}"));
        Ok(())
    }

    async fn drain(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> Result<(), RpcError> {
        self.report("drain", &worker, progress).await
    }
}

fn workers() -> Vec<WorkerInfo> {
    vec![
        WorkerInfo {
            name: "w1".to_owned(),
            active: true,
            connected: false,
        },
        WorkerInfo {
            name: String::new(),
            active: false,
            connected: true,
        },
    ]
}

/// A pool in which everything is different from its default.
fn details() -> PoolDetails {
    let worker = |name: &str, presence| WorkerDetails {
        name: name.to_owned(),
        paused: true,
        registrations: 3,
        presence,
    };
    let connected = ConnectedWorker {
        registered_for: Duration::from_secs(90),
        address: "10.0.0.7:4711".to_owned(),
        capacity: 8,
        inactive: vec![
            InactiveReason::WorkerPause,
            InactiveReason::AdminPause,
            InactiveReason::TemporaryPause,
            InactiveReason::ShuttingDown,
            InactiveReason::NotAnswering,
        ],
        silent_for: Duration::from_millis(1_500),
        queued: 2,
        workload: Duration::from_secs(20),
        finished: 5,
        running: vec![RunningJob {
            ticket: 1 << 40,
            client: "carol".to_owned(),
            cache_hint: "git\nhub".to_owned(),
            urgent: true,
            running_for: Duration::from_secs(7),
        }],
        pause_reasons: vec![PauseReason {
            kind: "docker".to_owned(),
            problem: "Docker does not answer".to_owned(),
            advice: "start it".to_owned(),
        }],
    };
    PoolDetails {
        workers: vec![
            worker("w1", Presence::Connected(connected)),
            worker("w2", Presence::Left(Duration::from_secs(3))),
            worker("w3", Presence::NeverSeen),
        ],
        backlog: 7,
        oldest_wait: Duration::from_secs(60),
        clients: vec![ClientDetails {
            id: "carol".to_owned(),
            rate: 2.5,
            queued: 9,
            urgent: 4,
        }],
    }
}

struct FakeWorker;

impl ServeWorker for FakeWorker {
    async fn metrics(self: Rc<Self>, source: MetricsSource) -> Result<Metric, RpcError> {
        Ok(metric(&format!("{source:?}")))
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::disconnected("restarting"))
    }

    async fn additional_metric(self: Rc<Self>, source: String) -> Result<Option<Metric>, RpcError> {
        Ok((source == "gpu").then(|| metric("gpu")))
    }
}

fn metric(data: &str) -> Metric {
    Metric {
        content_type: "text/plain".to_owned(),
        data: data.to_owned(),
    }
}

struct FakeProgress(Events);

impl ServeProgress for FakeProgress {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        self.0.add(format!("progress: {status}"));
        Ok(())
    }
}

fn admin(events: &Events) -> Admin {
    let admin = Admin::serve(FakeAdmin::new(events));
    Admin::from_client(through_connection(admin.into_client()))
}

#[test]
fn a_cluster_is_administered() {
    run(async {
        let events = Events::default();
        let admin = admin(&events);
        assert_eq!(admin.pools().await.unwrap(), ["a", "b"]);
        assert_eq!(admin.list_clients().await.unwrap(), ["carol"]);
        admin.remove_client("carol").await.unwrap();
        assert_eq!(events.take(), ["remove carol"]);
        let submission = admin.add_client("dave").await.unwrap();
        assert_eq!(submission.save().await.unwrap(), "capnp://dave");
    });
}

#[test]
fn a_pool_is_administered() {
    run(async {
        let events = Events::default();
        let pool = admin(&events).pool("p").await.unwrap();
        assert_eq!(pool.show().await.unwrap(), "the state of p");
        assert_eq!(pool.workers().await.unwrap(), workers());
        assert_eq!(pool.details().await.unwrap(), details());
        for worker in details().workers {
            let details = pool.worker_details(&worker.name).await.unwrap();
            assert_eq!(details, worker);
        }
        assert_eq!(
            pool.worker_details("w4").await,
            Err(RpcError::failed("Unknown worker"))
        );
        pool.set_active("w1", false, true).await.unwrap();
        pool.set_active("w1", true, false).await.unwrap();
        pool.pause_worker("w1", true).await.unwrap();
        pool.set_rate("carol", 2.5).await.unwrap();
        pool.forget("w2").await.unwrap();
        assert_eq!(
            events.take(),
            [
                "set w1 active: false, auto-create: true",
                "set w1 active: true, auto-create: false",
                "pause w1: true",
                "rate of carol: 2.5",
                "forget w2"
            ]
        );
    });
}

#[test]
fn long_requests_report_their_progress() {
    run(async {
        let events = Events::default();
        let pool = admin(&events).pool("p");
        let progress = Progress::serve(Rc::new(FakeProgress(events.clone())));
        pool.update("w1", progress.clone()).await.unwrap();
        pool.drain("w2", progress).await.unwrap();
        pool.update("w3", None).await.unwrap();
        pool.drain("w4", None).await.unwrap();
        assert_eq!(
            events.take(),
            [
                "update w1, with progress: true",
                "progress: w1 is busy",
                "drain w2, with progress: true",
                "progress: w2 is busy",
                "update w3, with progress: false",
                "drain w4, with progress: false"
            ]
        );
    });
}

#[test]
fn a_worker_answers_its_scheduler() {
    run(async {
        let pool = admin(&Events::default()).pool("p");
        let worker = pool.worker("w1");
        assert_eq!(
            worker.metrics(MetricsSource::Agent).await,
            Ok(metric("Agent"))
        );
        assert_eq!(
            worker.metrics(MetricsSource::Host).await,
            Ok(metric("Host"))
        );
        assert_eq!(
            worker.additional_metric("gpu").await,
            Ok(Some(metric("gpu")))
        );
        assert_eq!(worker.additional_metric("tpu").await, Ok(None));
        assert_eq!(
            worker.self_update().await,
            Err(RpcError::disconnected("restarting"))
        );
        let error = pool.worker("w2").await.unwrap_err();
        assert_eq!(error, RpcError::failed("Unknown worker"));
    });
}
