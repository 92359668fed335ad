//! How a worker ends while jobs are running.

use tokio::time::Instant;

use super::*;
use crate::testing::local_with_paused_time;

/// Long enough for anything but a job.
const MINUTE: Ending = Ending::Drain {
    within: Duration::from_secs(60),
};

#[test]
fn draining_waits_for_what_is_running_and_asks_for_no_more() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        cluster.scheduler.until_popping().await;
        cluster.tell(MINUTE);
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
fn a_job_that_was_on_its_way_is_still_done() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        // Sent before the scheduler hears that none is wanted any more.
        *cluster.scheduler.late_job.borrow_mut() = Some(build("example"));
        cluster.tell(MINUTE);
        cluster.building(1).await;
        cluster.builder.finish("example", Ok(String::new()));
        let job = cluster.scheduler.sent_late_job.take().expect("it was sent");
        job.result().await.unwrap();
        drop(job);
        cluster.end(MINUTE).await;
    });
}

#[test]
fn a_job_that_takes_too_long_is_cancelled_and_told_why() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        let told = Instant::now();
        cluster.tell(MINUTE);
        let client = async move {
            let result = job.result().await;
            (read_log(&job).await, result, told.elapsed())
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
        // No real time has passed.
        assert_eq!(time.as_secs(), 60);
    });
}

#[test]
fn a_worker_without_jobs_ends_at_once() {
    local_with_paused_time(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        let told = Instant::now();
        cluster.end(MINUTE).await;
        assert_eq!(told.elapsed().as_secs(), 0);
    });
}

#[test]
fn a_worker_that_loses_its_scheduler_while_it_drains_does_not_come_back() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        let job = cluster.scheduler.submit(&build("example")).await;
        cluster.building(1).await;
        cluster.tell(MINUTE);
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
fn what_was_said_is_sent_before_the_connection_is_closed() {
    local_with_paused_time(async {
        let mut cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        cluster.scheduler.stalls.send_replace(true);
        let told = Instant::now();
        cluster.tell(MINUTE);
        let scheduler = Rc::clone(&cluster.scheduler);
        let slow = async {
            scheduler.event("stalling").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            scheduler.stalls.send_replace(false);
        };
        let ended = async {
            cluster.end(MINUTE).await;
            told.elapsed()
        };
        let ((), time) = tokio::join!(slow, ended);
        assert_eq!(time.as_secs(), 5);
    });
}

#[test]
fn a_scheduler_that_takes_nothing_does_not_keep_the_worker() {
    local_with_paused_time(async {
        let cluster = Cluster::new();
        cluster.scheduler.until_popping().await;
        cluster.scheduler.stalls.send_replace(true);
        let told = Instant::now();
        cluster.end(MINUTE).await;
        assert_eq!(told.elapsed().as_secs(), 15);
    });
}
