//! Unfit workers, and the jobs that they have taken.

use cluster_api::Outcome;

use super::*;
use crate::testing::{local_with_paused_time, wrapped};

fn dead_engine() -> Unfit {
    Unfit::NoEngine("is it running?".to_owned())
}

#[test]
fn a_job_that_fails_on_an_unfit_worker_can_be_resubmitted() {
    local(async {
        let cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        *cluster.builder.undetected.borrow_mut() = Some(dead_engine());
        cluster
            .builder
            .finish("example", Err(JobError::failed("no engine")));
        let error = job.result().await.unwrap_err();
        let unfit = Outcome::WorkerUnfit {
            problem: "the Docker engine cannot be reached: is it running?".to_owned(),
            had_begun: true,
        };
        assert_eq!(Outcome::of_error(&error), unfit, "{error}");
        assert_eq!(job.outcome().await, Ok(unfit));
        // The worker does not get the same job again.
        let events = cluster.scheduler.events.borrow().clone();
        assert!(events.contains(&"active: false".to_owned()), "{events:?}");
        expect![[r#"
            Building on worker-1
            Building example
            worker became unfit during the job: the Docker engine cannot be reached: is it running?; submit
                the job again
        "#]]
        .assert_eq(&wrapped(&read_log(&job).await));
        let worker = cluster.scheduler.worker().await;
        let metrics = worker.metrics(MetricsSource::Agent).await.unwrap();
        let line = "ocluster_worker_unfit{reason=\"docker\"} 1\n";
        assert!(metrics.data.contains(line), "{}", metrics.data);
        drop((job, worker));
        cluster.finish().await;
    });
}

#[test]
fn a_job_that_fails_on_a_fit_worker_has_failed() {
    local(async {
        let cluster = Cluster::new();
        cluster
            .builder
            .finish("example", Err(JobError::failed("no")));
        let job = cluster.scheduler.submit(&build("example")).await;
        let error = job.result().await.unwrap_err();
        assert_eq!(error.to_string(), "Failed: Build failed");
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn a_job_that_arrives_at_an_unfit_worker_does_not_begin() {
    local(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        cluster.builder.unfit.send_replace(Some(dead_engine()));
        let job = cluster.scheduler.submit(&build("example")).await;
        let error = job.result().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Disconnected: worker unfit: the Docker engine cannot be reached: is it running?"
        );
        drop(job);
        cluster.finish().await;
    });
}

#[test]
fn a_worker_whose_state_directory_is_full_takes_no_jobs() {
    local(async {
        let cluster = Cluster::with(|config| config.state_min_free = 1 << 60);
        cluster.scheduler.event("active: false").await;
        assert_eq!(cluster.scheduler.pops(), 0);
        let events = cluster.finish().await;
        assert!(
            events[1].starts_with("state-disk: the disk of the state directory "),
            "{events:?}"
        );
    });
}

#[test]
fn a_worker_is_fit_again_when_its_state_directory_is_back() {
    local_with_paused_time(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        let path = cluster.state_dir.path();
        let away = path.with_extension("away");
        std::fs::rename(path, &away).unwrap();
        cluster.scheduler.event("active: false").await;
        std::fs::rename(&away, path).unwrap();
        cluster.scheduler.event("active: true").await;
        cluster.finish().await;
    });
}

#[test]
fn an_unfit_worker_takes_no_jobs_until_it_is_fit_again() {
    local(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        // It has requested a job already, so it must pause itself.
        let reason = Unfit::Unhealthy("no runtime".into());
        cluster.builder.unfit.send_replace(Some(reason));
        cluster.scheduler.event("active: false").await;
        cluster.builder.unfit.send_replace(Some(Unfit::MakingRoom));
        cluster.builder.unfit.send_replace(None);
        cluster.scheduler.event("active: true").await;
        let events = cluster.finish().await;
        assert_eq!(
            events,
            [
                "registered worker-1 with 10",
                "pop",
                "obuilder: Health check failed: no runtime",
                "active: false",
                "active: true",
                "left"
            ]
        );
    });
}

#[test]
fn a_worker_that_is_unfit_when_it_registers_requests_no_job() {
    local(async {
        let scheduler = Rc::new(MockScheduler::default());
        scheduler.refusals.set(1);
        let cluster = Cluster::connected(|_| (), Rc::clone(&scheduler), Direct(scheduler));
        cluster.builder.unfit.send_replace(Some(Unfit::MakingRoom));
        cluster.scheduler.event("active: false").await;
        assert_eq!(cluster.scheduler.pops(), 0);
        cluster.builder.unfit.send_replace(None);
        cluster.scheduler.until_popping().await;
        let events = cluster.finish().await;
        assert_eq!(
            events[1..4],
            [
                "registered worker-1 with 10",
                "obuilder-store: Making room on the disk",
                "active: false"
            ]
        );
    });
}
