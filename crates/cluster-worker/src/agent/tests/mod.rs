//! A whole worker, with a mock scheduler and a mock executor.

mod ending;
mod fitness;
mod reconnecting;
mod rejoin;
mod secrets;
mod timeouts;
mod weights;

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    Action, CancelledBy, CustomJob, Description, MetricsSource, OBuilderBuild, Outcome,
    Registration, RpcErrorKind, Secret,
};
use expect_test::expect;
use futures::future::{FutureExt as _, LocalBoxFuture};
use testkit::MockScheduler;
use tokio::sync::oneshot;
use vat::{
    Address, Auth, Listener, Peer, Restore, RestoreError, Security, ServeOptions, ServiceId,
    SturdyRef,
};

use super::{AgentOptions, Ending, Exit};
use crate::config::WorkerConfig;
use crate::executor::{Executors, OBuilderRefusal, Unfit};
use crate::outcome::JobError;
use crate::process::Environment;
use crate::testing::cluster::{Direct, MockBuilder, build, read_log};
use crate::testing::git::WebServer;
use crate::testing::local;
use crate::uplink::{Network, Uplink};
use crate::worker::{Parts, WorkerError};

/// Returns options with short waits.
fn fast() -> AgentOptions {
    AgentOptions {
        reconnect_interval: Duration::from_millis(10),
        update_pause: Duration::ZERO,
        container: None,
    }
}

/// A running worker with its mocks.
struct Cluster {
    scheduler: Rc<MockScheduler>,
    builder: Rc<MockBuilder>,
    state_dir: tempfile::TempDir,
    shutdown: Option<oneshot::Sender<Ending>>,
    worker: tokio::task::JoinHandle<Exit>,
}

impl Cluster {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        let scheduler = Rc::new(MockScheduler::default());
        Self::connected(configure, Rc::clone(&scheduler), Direct(scheduler))
    }

    fn connected(
        configure: impl FnOnce(&mut WorkerConfig),
        scheduler: Rc<MockScheduler>,
        uplink: impl Uplink + 'static,
    ) -> Self {
        Self::with_options(configure, fast(), scheduler, uplink)
    }

    fn with_options(
        configure: impl FnOnce(&mut WorkerConfig),
        options: AgentOptions,
        scheduler: Rc<MockScheduler>,
        uplink: impl Uplink + 'static,
    ) -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let mut config = config(state_dir.path());
        configure(&mut config);
        let builder = Rc::new(MockBuilder::default());
        let parts = Parts::open(config).unwrap();
        let executors = Executors {
            docker: Rc::<MockBuilder>::clone(&builder),
            obuilder: Rc::new(OBuilderRefusal),
            custom: Rc::new(parts.custom_jobs()),
        };
        let agent = parts.agent(executors, None, options);
        let (shutdown, requested) = oneshot::channel();
        let worker = tokio::task::spawn_local(async move {
            agent
                .run(&uplink, async { requested.await.unwrap_or(Ending::AtOnce) })
                .await
        });
        Self {
            scheduler,
            builder,
            state_dir,
            shutdown: Some(shutdown),
            worker,
        }
    }

    /// Waits until a number of builds are running.
    async fn building(&self, count: usize) {
        self.builder
            .building
            .subscribe()
            .wait_for(|building| *building == count)
            .await
            .unwrap();
    }

    /// Stops the worker, and checks that it leaves nothing behind.
    async fn finish(self) -> Vec<String> {
        self.end(Ending::AtOnce).await
    }

    /// Asks the worker to end.
    fn shut_down(&mut self, ending: Ending) {
        let shutdown = self.shutdown.take().expect("one request to end");
        shutdown.send(ending).expect("the worker is running");
    }

    /// Ends the worker like this, unless it is ending already, and checks that it leaves nothing behind.
    async fn end(mut self, ending: Ending) -> Vec<String> {
        if self.shutdown.is_some() {
            self.shut_down(ending);
        }
        assert_eq!(self.worker.await.unwrap(), Exit::Shutdown);
        assert_eq!(*self.builder.building.borrow(), 0);
        for dir in ["tmp", "log"] {
            let left: Vec<_> = std::fs::read_dir(self.state_dir.path().join(dir))
                .unwrap()
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
        self.scheduler.events.take()
    }
}

fn config(state_dir: &std::path::Path) -> WorkerConfig {
    let environment = Environment::default().with("PATH", "/usr/bin:/bin");
    WorkerConfig::new("worker-1".parse().unwrap(), state_dir, environment)
}

#[test]
fn a_job_succeeds() {
    local(async {
        let cluster = Cluster::new();
        cluster
            .builder
            .finish("example", Ok("org/x@sha256:1".into()));
        let job = cluster.scheduler.submit(&build("example")).await;
        expect![[r#"
            Building on worker-1
            Building example
            Job succeeded
        "#]]
        .assert_eq(&read_log(&job).await);
        assert_eq!(job.result().await.unwrap(), "org/x@sha256:1");
        assert_eq!(
            job.result().await.unwrap(),
            "org/x@sha256:1",
            "as often as asked"
        );
        drop(job);
        cluster.scheduler.until_popping().await;
        let events = cluster.finish().await;
        assert_eq!(
            events,
            ["registered worker-1 with 10", "pop", "pop", "left"]
        );
    });
}

#[test]
fn a_job_fails() {
    local(async {
        let cluster = Cluster::new();
        cluster
            .builder
            .finish("example2", Err(JobError::failed("Build failed!")));
        let job = cluster.scheduler.submit(&build("example2")).await;
        expect![[r#"
            Building on worker-1
            Building example2
            Build failed!
        "#]]
        .assert_eq(&read_log(&job).await);
        assert_eq!(
            job.result().await.unwrap_err().to_string(),
            "Failed: Build failed"
        );
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn a_job_is_cancelled_by_its_client() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        job.cancel().await.unwrap();
        expect![[r#"
            Building on worker-1
            Building example
            Job cancelled
        "#]]
        .assert_eq(&read_log(&job).await);
        assert_eq!(
            job.result().await.unwrap_err().to_string(),
            "Failed: Build cancelled"
        );
        let cancelled = Outcome::Cancelled(CancelledBy::Client);
        assert_eq!(job.outcome().await, Ok(cancelled));
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn a_job_is_cancelled_by_its_number_without_the_others() {
    local(async {
        let cluster = Cluster::with(|config| config.capacity = "2".parse().unwrap());
        let one = cluster.scheduler.submit(&build("1")).await;
        let two = cluster.scheduler.submit(&build("2")).await;
        cluster.building(2).await;
        let worker = cluster.scheduler.worker().await;
        assert_eq!(worker.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
        worker.cancel_job(1).await.unwrap();
        assert_eq!(
            one.result().await.unwrap_err().to_string(),
            "Failed: Build cancelled"
        );
        let cancelled = Outcome::Cancelled(CancelledBy::Operator);
        assert_eq!(one.outcome().await, Ok(cancelled));
        cluster.building(1).await;
        for number in [0, 1, 3] {
            assert_eq!(
                worker.cancel_job(number).await.unwrap_err().reason,
                format!("job {number} of this connection is not running")
            );
        }
        cluster.builder.finish("2", Ok(String::new()));
        two.result().await.unwrap();
        drop((one, two, worker));
        cluster.finish().await;
    });
}

#[test]
fn a_released_job_is_cancelled() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        // The scheduler waits for its result, but holds no reference to it.
        let ended = futures::future::join(job.result(), job.outcome());
        drop(job);
        let (result, outcome) = ended.await;
        assert_eq!(result.unwrap_err().to_string(), "Failed: Build cancelled");
        assert_eq!(outcome, Ok(Outcome::Cancelled(CancelledBy::Client)));
        cluster.building(0).await;
        cluster.finish().await;
    });
}

#[test]
fn a_worker_runs_as_many_jobs_as_its_capacity() {
    local(async {
        let cluster = Cluster::with(|config| config.capacity = "2".parse().unwrap());
        let one = cluster.scheduler.submit(&build("1")).await;
        let two = cluster.scheduler.submit(&build("2")).await;
        cluster.building(2).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(cluster.scheduler.pops(), 0, "there is no room for a third");
        cluster.builder.finish("1", Ok(String::new()));
        one.result().await.unwrap();
        let three = cluster.scheduler.submit(&build("3")).await;
        cluster.builder.finish("2", Ok(String::new()));
        cluster.builder.finish("3", Ok(String::new()));
        two.result().await.unwrap();
        three.result().await.unwrap();
        let worker = cluster.scheduler.worker().await;
        let metrics = worker.metrics(MetricsSource::Agent).await.unwrap();
        assert_eq!(
            metrics.content_type,
            "text/plain; version=0.0.4; charset=utf-8"
        );
        for line in [
            "ocluster_worker_jobs_accepted_total 3\n",
            "ocluster_worker_running_jobs 0\n",
            "ocluster_worker_job_time_seconds_count{result=\"ok\"} 3\n",
        ] {
            assert!(metrics.data.contains(line), "{}", metrics.data);
        }
        drop((one, two, three, worker));
        cluster.finish().await;
    });
}

#[test]
fn a_refused_registration_is_retried() {
    local(async {
        let scheduler = Rc::new(MockScheduler::default());
        scheduler.refusals.set(2);
        let cluster = Cluster::connected(|_| {}, Rc::clone(&scheduler), Direct(scheduler));
        cluster.builder.finish("example", Ok(String::new()));
        let job = cluster.scheduler.submit(&build("example")).await;
        job.result().await.unwrap();
        drop(job);
        let events = cluster.finish().await;
        assert_eq!(
            events[..3],
            ["refused", "refused", "registered worker-1 with 10"]
        );
    });
}

#[test]
fn a_lost_connection_cancels_the_jobs() {
    local(async {
        let cluster = Cluster::with(|config| config.capacity = "1".parse().unwrap());
        cluster.builder.finish("example", Ok(String::new()));
        let running = cluster.scheduler.submit(&build("long")).await;
        cluster.building(1).await;
        cluster.scheduler.disconnect();
        drop(running);
        cluster.scheduler.event("left").await;
        // It is connected again, and has cancelled the job that has lost its client.
        let job = cluster.scheduler.submit(&build("example")).await;
        job.result().await.unwrap();
        cluster.building(0).await;
        drop(job);
        let events = cluster.finish().await;
        let registrations = events
            .iter()
            .filter(|event| event.starts_with("registered"));
        assert_eq!(registrations.count(), 2, "{events:?}");
    });
}

#[test]
fn a_scheduler_that_ends_the_pop_does_not_end_the_worker() {
    local(async {
        let cluster = Cluster::new();
        let refused = cluster
            .scheduler
            .submit_encoded(Err(cluster_api::RpcError::failed("no more")))
            .await;
        cluster.scheduler.event("left").await;
        cluster.builder.finish("example", Ok(String::new()));
        let job = cluster.scheduler.submit(&build("example")).await;
        job.result().await.unwrap();
        drop((job, refused));
        cluster.finish().await;
    });
}

#[test]
fn the_log_can_be_read_before_the_job_is_known() {
    local(async {
        let cluster = Cluster::new();
        cluster.builder.finish("example", Ok(String::new()));
        let job = cluster.scheduler.submit(&build("example")).await;
        let (log, result) = (job.log(0), job.result());
        assert!(
            log.await
                .unwrap()
                .bytes
                .starts_with(b"Building on worker-1\n")
        );
        result.await.unwrap();
        let error = job.log(500).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Failed: log offset 500 is beyond the end (52 bytes)"
        );
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn jobs_that_cannot_be_run_fail() {
    local(async {
        let cluster = Cluster::new();
        let custom = Action::Custom(CustomJob::default());
        let obuilder = Action::OBuilder(OBuilderBuild {
            spec: "((from x))".into(),
        });
        let mut bad_commit = build("example");
        bad_commit.repository = "https://bob:s3cret@example.com/x".into();
        bad_commit.commits = vec!["abc".into()];
        let mut bad_url = bad_commit.clone();
        bad_url.repository = "file:///etc".into();
        bad_url.commits = vec!["a".repeat(40)];
        let mut shown = String::new();
        for job in [
            Description::new(custom),
            Description::new(obuilder),
            bad_commit,
            bad_url,
        ] {
            let job = cluster.scheduler.submit(&job).await;
            shown += &read_log(&job).await;
            shown += &format!("=> {}\n", job.result().await.unwrap_err());
        }
        expect![[r#"
            Building on worker-1
            Unsupported custom job
            => Failed: Build failed
            Building on worker-1
            This worker is not configured for use with OBuilder!
            => Failed: Build failed
            Building on worker-1
            commit "abc" is not a full 40-digit hexadecimal id
            => Failed: Build failed
            Building on worker-1
            Unsupported scheme "file" in URL file:///etc: the worker fetches from http, https and git URLs
            => Failed: Build failed
        "#]].assert_eq(&shown);
        cluster.finish().await;
    });
}

#[test]
fn a_bug_ends_one_job_and_not_the_others() {
    local(async {
        let cluster = Cluster::new();
        let good = cluster.scheduler.submit(&build("good")).await;
        // The mock builder panics on a Dockerfile in the source.
        let mut job = build("");
        let Action::Docker(docker) = &mut job.action else {
            unreachable!()
        };
        docker.dockerfile = cluster_api::Dockerfile::Path("s3cret".into());
        job.secrets = vec![Secret {
            id: "x".into(),
            value: "s3cret".into(),
        }];
        let bad = cluster.scheduler.submit(&job).await;
        expect![[r#"
            Building on worker-1
            Internal error: this is a bug in the worker; see the worker's log
        "#]]
        .assert_eq(&read_log(&bad).await);
        assert_eq!(
            bad.result().await.unwrap_err().to_string(),
            "Failed: Internal error"
        );
        cluster.builder.finish("good", Ok(String::new()));
        good.result().await.unwrap();
        drop((good, bad));
        cluster.finish().await;
    });
}

#[test]
fn a_job_that_prints_too_much_fails() {
    local(async {
        let cluster = Cluster::with(|config| config.log_limit = 30);
        let job = cluster.scheduler.submit(&build("a long text")).await;
        expect![[r#"
            Building on worker-1
            Building 
            the job's log is larger than this worker allows (30 bytes)
        "#]]
        .assert_eq(&read_log(&job).await);
        assert_eq!(
            job.result().await.unwrap_err().to_string(),
            "Failed: Build failed"
        );
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn low_disk_space_pauses_and_prunes() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("1")).await;
        // The disk is checked before each request. One has been sent already.
        cluster.scheduler.until_popping().await;
        cluster.builder.is_full.set(true);
        let second = cluster.scheduler.submit(&build("2")).await;
        cluster.scheduler.event("active: false").await;
        cluster.builder.finish("1", Ok(String::new()));
        cluster.builder.finish("2", Ok(String::new()));
        job.result().await.unwrap();
        cluster.scheduler.event("active: true").await;
        drop((job, second));
        cluster.scheduler.submit(&build("1")).await;
        cluster.scheduler.until_popping().await;
        let events = cluster.finish().await;
        assert_eq!(
            events[1..],
            [
                "pop",
                "pop",
                "docker-disk: Docker's disk is nearly full; it will be pruned when the running jobs have ended",
                "active: false",
                "active: true",
                "pop",
                "pop",
                "left"
            ]
        );
    });
}

#[test]
fn a_disk_that_stays_full_does_not_make_the_worker_unresponsive() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("1")).await;
        cluster.scheduler.until_popping().await;
        cluster.builder.cannot_prune.set(true);
        cluster.builder.is_full.set(true);
        let second = cluster.scheduler.submit(&build("2")).await;
        cluster.scheduler.event("active: false").await;
        drop((job, second));
        cluster.building(0).await;
        let worker = cluster.scheduler.worker().await;
        assert!(worker.metrics(MetricsSource::Agent).await.is_ok());
        drop(worker);
        cluster.finish().await;
    });
}

#[test]
fn an_update_waits_for_the_jobs() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        let worker = cluster.scheduler.worker().await;
        let update = tokio::task::spawn_local(worker.self_update());
        // Enough time for an update that does not wait.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let building = *cluster.builder.building.borrow();
        assert_eq!(building, 1, "the job continues");
        cluster.builder.finish("example", Ok(String::new()));
        job.result().await.unwrap();
        assert_eq!(cluster.worker.await.unwrap(), Exit::Updated);
        assert!(
            !update.is_finished(),
            "the end of the connection is the answer"
        );
        update.abort();
    });
}

#[test]
fn shutdown_cancels_the_running_jobs() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        let client = async move { (read_log(&job).await, job.result().await) };
        let ((log, result), _events) = tokio::join!(client, cluster.finish());
        let last = "Job cancelled: the worker is shutting down; submit it again\n";
        assert!(log.ends_with(last), "{log}");
        assert_eq!(
            result.unwrap_err().to_string(),
            "Disconnected: the worker is shutting down"
        );
    });
}

#[test]
fn metrics_of_other_programs_are_forwarded() {
    local(async {
        let server = WebServer::new();
        let url = format!("http://{}/metrics", server.address());
        let cluster = Cluster::with(|config| {
            config
                .additional_metrics
                .insert("disks".into(), url.parse().unwrap());
        });
        let worker = cluster.scheduler.worker().await;
        assert_eq!(worker.additional_metric("nosuch").await, Ok(None));
        let error = worker.additional_metric("disks").await.unwrap_err();
        assert_eq!(error.to_string(), "Failed: disks: 404 Not Found");
        drop(worker);
        cluster.finish().await;
    });
}

#[test]
fn a_state_directory_has_only_one_worker() {
    let dir = tempfile::tempdir().unwrap();
    let first = Parts::open(config(dir.path())).unwrap();
    assert!(matches!(
        Parts::open(config(dir.path())),
        Err(WorkerError::InUse(_))
    ));
    drop(first);
    assert!(Parts::open(config(dir.path())).is_ok());
    assert!(matches!(
        Parts::open(config(&dir.path().join("a,b"))),
        Err(WorkerError::BadStateDir(_))
    ));
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(
        Parts::open(config(&dir.path().join("file"))),
        Err(WorkerError::StateDir { .. })
    ));
}

/// Serves a scheduler's registration.
struct Service(Rc<MockScheduler>);

impl Restore for Service {
    fn restore(
        &self,
        _id: &ServiceId,
        _peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<capnp::capability::Client, RestoreError>> {
        let registration = Registration::serve(Rc::clone(&self.0)).into_client();
        async move { Ok(registration) }.boxed_local()
    }
}

#[test]
fn a_worker_works_over_the_network() {
    local(async {
        let scheduler = Rc::new(MockScheduler::default());
        let any = Address::Tcp {
            host: "127.0.0.1".into(),
            port: 0,
        };
        let listener = Listener::bind(&any, Security::Plaintext).unwrap();
        let address = listener.local_address();
        let serve = |listener: Listener| {
            let service = Rc::new(Service(Rc::clone(&scheduler)));
            tokio::task::spawn_local(listener.serve(service, ServeOptions::default()))
        };
        let server = serve(listener);
        let service = ServiceId::from_bytes(b"pool".to_vec());
        let sturdy_ref = SturdyRef {
            auth: Auth::Insecure,
            address: address.clone(),
            service,
        };
        let cluster = Cluster::connected(
            |_| {},
            Rc::clone(&scheduler),
            Network::new(sturdy_ref, vat::DialOptions::default()),
        );
        cluster.builder.finish("example", Ok(String::new()));
        let job = scheduler.submit(&build("example")).await;
        assert_eq!(
            read_log(&job).await,
            "Building on worker-1\nBuilding example\nJob succeeded\n"
        );
        drop(job);

        // The scheduler restarts while a job is running.
        let job = scheduler.submit(&build("long")).await;
        cluster.building(1).await;
        server.abort();
        drop(server.await);
        let error = job.result().await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Disconnected, "{error}");
        cluster.building(0).await;
        scheduler.disconnect();
        let server = serve(Listener::bind(&address, Security::Plaintext).unwrap());
        let job = scheduler.submit(&build("example")).await;
        job.result().await.unwrap();
        drop(job);
        cluster.finish().await;
        server.abort();
    });
}
