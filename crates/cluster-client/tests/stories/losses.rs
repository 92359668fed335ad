//! Jobs on a cluster where workers, connections and schedulers are lost.

use std::time::Duration;

use cluster_client::{Cluster, JobError, LogEvent, Options};
use futures::future::join_all;

use testkit::{BuildOutcome, MockBuilder, PIECE, Site, docker, story, until};

use crate::harness::{cluster, cluster_with, read, reconnecting_soon, worker};

#[test]
fn a_job_whose_worker_crashes_starts_again_on_another() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let first = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        let job = cluster.submit("pool", &docker("image"));
        let log = job.log();
        builder.starts("w1 image").await;
        let followed = tokio::task::spawn_local(read(log));
        until("its log is read", async || builder.log_requests.get() > 1).await;

        let _second = worker(&site, "w2", 1, &builder).await;
        first.crash();
        builder.starts("w2 image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(job.await.unwrap(), "done");
        assert_eq!(
            followed.await.unwrap(),
            "Building on w1\nBuilding image\n\
             [lost: worker \"w1\" disconnected (aborted by the other side: machine lost); \
             attempt 2 starts from the beginning]\n\
             Building on w2\nBuilding image\nJob succeeded\n"
        );
    });
}

#[test]
fn a_job_that_its_worker_stops_starts_again_on_another() {
    story(async {
        let site = Site::start_at_socket().await;
        let (stopping, builder) = (
            MockBuilder::allowing_repeats(),
            MockBuilder::allowing_repeats(),
        );
        let first = worker(&site, "w1", 1, &stopping).await;
        // A stop by the worker does not count as a loss.
        let cluster = cluster_with(
            &site,
            Options {
                max_lost: 1,
                ..Options::default()
            },
        )
        .await;
        let job = cluster.submit("pool", &docker("image"));
        stopping.starts("w1 image").await;

        let _second = worker(&site, "w2", 1, &builder).await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        let log = job.log();
        first.stop_taking_jobs().await;
        stopping.end("image", BuildOutcome::Stopped);
        assert_eq!(job.await.unwrap(), "done");
        let seen = read(log).await;
        assert!(seen.contains("it is shutting down; attempt 2"), "{seen}");
        assert!(
            seen.ends_with("Building on w2\nBuilding image\nJob succeeded\n"),
            "{seen}"
        );
    });
}

#[test]
fn a_job_that_crashes_its_workers_is_given_up() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let cluster = cluster_with(
            &site,
            Options {
                max_lost: 2,
                ..Options::default()
            },
        )
        .await;
        let job = cluster.submit("pool", &docker("bomb"));
        for name in ["w1", "w2"] {
            let worker = worker(&site, name, 1, &builder).await;
            builder.starts(&format!("{name} bomb")).await;
            // It has a log, so its worker has started it.
            until("its log is there", async || {
                let mut log = job.log();
                matches!(log.next().await, Some(LogEvent::Bytes(_)))
            })
            .await;
            worker.crash();
        }
        let error = job.await.unwrap_err();
        assert!(
            matches!(error, JobError::Lost { workers: 2, .. }),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            "given up after 2 lost workers that had the job, the last one with: worker \"w2\" disconnected (aborted \
             by the other side: machine lost); the job may be crashing its workers"
        );
    });
}

#[test]
fn a_restarted_scheduler_gets_all_jobs_again() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let first = worker(&site, "w1", 1, &builder).await;
        // Losses of the scheduler do not count, however many.
        let cluster = cluster_with(
            &site,
            Options {
                max_lost: 2,
                ..Options::default()
            },
        )
        .await;
        let jobs: Vec<_> = (0..3)
            .map(|_| cluster.submit("pool", &docker("image")))
            .collect();
        builder.starts("w1 image").await;
        site.until_queued(2).await;

        site.terminate().await;
        first.crash();
        builder.is_cancelled("w1 image").await;
        for _ in 0..3 {
            site.start_again().await;
            site.until_queued(3).await;
            site.terminate().await;
        }
        site.start_again().await;
        site.until_queued(3).await;

        builder.end("image", BuildOutcome::Succeeded("done"));
        let _second = worker(&site, "w2", 3, &builder).await;
        let logs = join_all(jobs.iter().map(|job| read(job.log()))).await;
        for outcome in join_all(jobs).await {
            assert_eq!(outcome.unwrap(), "done");
        }
        assert!(
            logs.iter().all(|log| log.contains("Building on w2")),
            "{logs:?}"
        );
    });
}

#[test]
fn the_client_waits_for_a_scheduler_that_is_not_running_yet() {
    story(async {
        let mut site = Site::start_at_socket().await;
        site.terminate().await;
        let sturdy_ref = site.cap("submission.cap");
        let failed =
            Cluster::connect(sturdy_ref.clone(), reconnecting_soon(Options::default())).await;
        let reason = failed.unwrap_err().to_string();
        assert!(reason.contains("check that the server runs"), "{reason}");

        let cluster = Cluster::new(sturdy_ref, reconnecting_soon(Options::default()));
        let job = cluster.submit("pool", &docker("image"));
        site.start_again().await;
        let builder = MockBuilder::allowing_repeats();
        builder.end("image", BuildOutcome::Succeeded("done"));
        let _worker = worker(&site, "w1", 1, &builder).await;
        assert_eq!(job.await.unwrap(), "done");
    });
}

#[test]
fn the_client_gives_up_on_a_scheduler_that_never_starts() {
    story(async {
        let mut site = Site::start_at_socket().await;
        site.terminate().await;
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let options = Options::default();
        let cluster = Cluster::new(site.cap("submission.cap"), options.clone());
        let jobs: Vec<_> = (0..300)
            .map(|_| cluster.submit("pool", &docker("image")))
            .collect();
        let logs = join_all(jobs.iter().map(|job| read(job.log()))).await;
        assert!(logs.iter().all(String::is_empty));
        for outcome in join_all(jobs).await {
            let error = outcome.unwrap_err();
            assert!(matches!(error, JobError::NoConnection(_)), "{error:?}");
        }
        // They share one time limit, although not all of them are submitted at once.
        let waited = start.elapsed();
        assert!(waited >= options.reconnect_timeout, "{waited:?}");
        assert!(
            waited < options.reconnect_timeout + Duration::from_secs(1),
            "{waited:?}"
        );
    });
}

#[test]
fn a_log_lost_after_the_end_of_its_job_is_cut_off() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        builder.fill_logs(100 * PIECE);
        builder.end("image", BuildOutcome::Succeeded("done"));
        let job = cluster.submit("pool", &docker("image"));
        let mut log = job.log();
        assert!(matches!(log.next().await, Some(LogEvent::Bytes(_))));
        assert_eq!(job.await.unwrap(), "done");

        worker.crash();
        let mut last = None;
        while let Some(event) = log.next().await {
            last = Some(event);
        }
        let reason =
            "worker \"w1\" disconnected (aborted by the other side: machine lost)".to_owned();
        assert_eq!(last, Some(LogEvent::CutOff(reason)));
    });
}
