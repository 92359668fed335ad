//! Shutdown of a worker while jobs are running.

use tokio::time::Instant;

use super::*;
use crate::testing::local_with_paused_time;

/// Longer than everything but a job.
const MINUTE: Ending = Ending::Drain {
    within: Duration::from_secs(60),
};

#[test]
fn draining_waits_for_the_running_jobs_and_requests_no_more() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        cluster.scheduler.until_popping().await;
        cluster.shut_down(MINUTE);
        cluster.scheduler.event("active: false").await;
        cluster.builder.finish("example", Ok(String::new()));
        assert!(read_log(&job).await.ends_with("Job succeeded\n"));
        job.result().await.unwrap();
        drop(job);
        let events = cluster.end(MINUTE).await;
        assert_eq!(
            events,
            [
                "registered worker-1 with 10",
                "pop",
                "pop",
                "shutting-down: the worker is shutting down",
                "active: false",
                "left"
            ]
        );
    });
}

#[test]
fn a_job_that_was_sent_before_the_pause_is_run() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        // Sent before the scheduler receives the pause.
        *cluster.scheduler.late_job.borrow_mut() = Some(build("example"));
        cluster.shut_down(MINUTE);
        cluster.building(1).await;
        cluster.builder.finish("example", Ok(String::new()));
        let job = cluster.scheduler.sent_late_job.take().expect("it was sent");
        job.result().await.unwrap();
        drop(job);
        cluster.end(MINUTE).await;
    });
}

#[test]
fn a_job_that_takes_too_long_is_cancelled_with_the_reason() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        let requested = Instant::now();
        cluster.shut_down(MINUTE);
        let client = async move {
            let result = job.result().await;
            (read_log(&job).await, result, requested.elapsed())
        };
        let ((log, result, time), _events) = tokio::join!(client, cluster.end(MINUTE));
        expect![[r#"
            Building on worker-1
            Building example
            Job cancelled: the worker is shutting down; submit it again
        "#]]
        .assert_eq(&log);
        assert_eq!(
            result.unwrap_err().to_string(),
            "Disconnected: the worker is shutting down"
        );
        // The time is simulated.
        assert_eq!(time.as_secs(), 60);
    });
}

#[test]
fn a_worker_without_jobs_ends_at_once() {
    local_with_paused_time(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        let requested = Instant::now();
        cluster.end(MINUTE).await;
        assert_eq!(requested.elapsed().as_secs(), 0);
    });
}

#[test]
fn a_draining_worker_that_loses_its_scheduler_does_not_reconnect() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        cluster.shut_down(MINUTE);
        cluster.scheduler.event("active: false").await;
        cluster.scheduler.disconnect();
        drop(job);
        let events = cluster.end(MINUTE).await;
        let registered = events
            .iter()
            .filter(|event| event.starts_with("registered"));
        assert_eq!(registered.count(), 1, "{events:?}");
    });
}

#[test]
fn all_data_is_sent_before_the_connection_is_closed() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        cluster.scheduler.stalls.send_replace(true);
        let requested = Instant::now();
        cluster.shut_down(MINUTE);
        let scheduler = Rc::clone(&cluster.scheduler);
        let slow = async {
            scheduler.event("stalling").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            scheduler.stalls.send_replace(false);
        };
        let ended = async {
            cluster.end(MINUTE).await;
            requested.elapsed()
        };
        let ((), time) = tokio::join!(slow, ended);
        assert_eq!(time.as_secs(), 5);
    });
}

#[test]
fn a_scheduler_that_receives_nothing_does_not_delay_the_end() {
    local_with_paused_time(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        cluster.scheduler.stalls.send_replace(true);
        let requested = Instant::now();
        cluster.end(MINUTE).await;
        assert_eq!(requested.elapsed().as_secs(), 15);
    });
}
