//! Jobs with a weight of more than 1.

use cluster_api::{Action, CustomJob, Description, Job, MetricsSource};
use expect_test::expect;

use super::Cluster;
use crate::testing::cluster::{build, read_log};
use crate::testing::local;

/// Returns a worker on which jobs with `heavy` in their hint weigh 2.
fn cluster(capacity: &str) -> Cluster {
    Cluster::with(|config| {
        config.capacity = capacity.parse().unwrap();
        config.job_weights = [("huge", 9), ("heavy", 2)]
            .map(|(pattern, weight)| format!("{pattern}={weight}").parse().unwrap())
            .into_iter()
            .collect();
    })
}

fn with_hint(hint: &str, job: Description) -> Description {
    Description {
        cache_hint: hint.into(),
        ..job
    }
}

/// Waits until all tasks wait for something outside of the worker.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Reads the log until it has `text`.
async fn log_until(job: &Job, text: &str) -> String {
    let (mut log, mut start) = (String::new(), 0);
    while !log.contains(text) {
        let chunk = job.log(start).await.unwrap();
        assert!(!chunk.bytes.is_empty(), "no {text:?} in {log:?}");
        log.push_str(str::from_utf8(&chunk.bytes).unwrap());
        start = chunk.next;
    }
    log
}

#[test]
fn a_job_that_does_not_fit_waits_and_no_other_is_requested() {
    local(async {
        let cluster = cluster("3");
        let one = cluster
            .scheduler
            .submit(&with_hint("heavy-1", build("1")))
            .await;
        cluster.building(1).await;
        let two = cluster
            .scheduler
            .submit(&with_hint("heavy-2", build("2")))
            .await;
        expect![[r#"
            Building on worker-1
            Waiting for other jobs on this worker: they take 2 of its capacity of 3, and this one takes 2
        "#]]
        .assert_eq(&log_until(&two, "Waiting for").await);
        settle().await;
        cluster.building(1).await;
        assert_eq!(cluster.scheduler.pops(), 0, "a light one would go first");
        let worker = cluster.scheduler.worker().await;
        let metrics = worker.metrics(MetricsSource::Agent).await.unwrap().data;
        for line in [
            "ocluster_worker_running_jobs 2\n",
            "ocluster_worker_jobs{state=\"running\"} 1\n",
            "ocluster_worker_jobs{state=\"waiting\"} 1\n",
            "ocluster_worker_capacity 3\n",
        ] {
            assert!(metrics.contains(line), "no {line} in {metrics}");
        }
        cluster.builder.finish("1", Ok(String::new()));
        cluster.builder.finish("2", Ok(String::new()));
        one.result().await.unwrap();
        two.result().await.unwrap();
        drop((one, two, worker));
        cluster.finish().await;
    });
}

#[test]
fn a_job_that_is_cancelled_while_it_waits_frees_its_slot() {
    local(async {
        let cluster = cluster("2");
        let one = cluster.scheduler.submit(&build("1")).await;
        cluster.building(1).await;
        let heavy = cluster
            .scheduler
            .submit(&with_hint("heavy", build("2")))
            .await;
        log_until(&heavy, "Waiting for").await;
        heavy.cancel().await.unwrap();
        let log = read_log(&heavy).await;
        assert!(log.ends_with("Job cancelled\n"), "{log}");
        let light = cluster.scheduler.submit(&build("3")).await;
        cluster.building(2).await;
        drop((one, heavy, light));
        cluster.finish().await;
    });
}

#[test]
fn a_job_heavier_than_the_capacity_takes_all_of_it() {
    local(async {
        let cluster = cluster("2");
        let huge = cluster
            .scheduler
            .submit(&with_hint("huge", build("1")))
            .await;
        cluster.building(1).await;
        settle().await;
        assert_eq!(cluster.scheduler.pops(), 0);
        drop(huge);
        cluster.finish().await;
    });
}

#[test]
fn a_job_that_is_refused_need_not_wait() {
    local(async {
        let cluster = cluster("2");
        let one = cluster.scheduler.submit(&build("1")).await;
        cluster.building(1).await;
        let refused = Description::new(Action::Custom(CustomJob::default()));
        let refused = cluster.scheduler.submit(&with_hint("heavy", refused)).await;
        expect![[r#"
            Building on worker-1
            Unsupported custom job
        "#]]
        .assert_eq(&read_log(&refused).await);
        drop((one, refused));
        cluster.finish().await;
    });
}
