//! Jobs on a cluster where workers, connections and schedulers are lost.

use std::time::Duration;

use cluster_client::{Cluster, JobError, LogEvent, Options};
use futures::future::join_all;

use crate::harness::{Builds, Outcome, PIECE, Site, build, hasty, read, story, until};

#[test]
fn a_job_whose_worker_burns_down_begins_again_on_another() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let first = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;
        let job = cluster.submit("pool", &build("image"));
        let log = job.log();
        builds.starts("w1 image").await;
        let followed = tokio::task::spawn_local(read(log));
        until("its log is read", async || builds.pieces.get() > 1).await;

        let _second = site.worker("w2", 1, &builds).await;
        first.burn_down();
        builds.starts("w2 image").await;
        builds.end("image", Outcome::Output("done"));
        assert_eq!(job.await.unwrap(), "done");
        assert_eq!(
            followed.await.unwrap(),
            "Building on w1\n\
             [lost: worker \"w1\" disconnected (aborted by the other side: fire); attempt 2 begins from nothing]\n\
             Building on w2\nJob succeeded\n"
        );
    });
}

#[test]
fn a_job_that_its_worker_stops_begins_again_on_another() {
    story(async {
        let site = Site::start().await;
        let (stopping, builds) = (Builds::new(), Builds::new());
        let first = site.worker("w1", 1, &stopping).await;
        // Which is not the job's fault.
        let cluster = site
            .cluster_with(Options {
                max_lost: 1,
                ..Options::default()
            })
            .await;
        let job = cluster.submit("pool", &build("image"));
        stopping.starts("w1 image").await;

        let _second = site.worker("w2", 1, &builds).await;
        builds.end("image", Outcome::Output("done"));
        let log = job.log();
        first.take_no_more();
        stopping.end("image", Outcome::Stopped);
        assert_eq!(job.await.unwrap(), "done");
        let seen = read(log).await;
        assert!(seen.contains("it is told to end; attempt 2"), "{seen}");
        assert!(seen.ends_with("Building on w2\nJob succeeded\n"), "{seen}");
    });
}

#[test]
fn a_job_that_takes_its_workers_down_is_given_up() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let cluster = site
            .cluster_with(Options {
                max_lost: 2,
                ..Options::default()
            })
            .await;
        let job = cluster.submit("pool", &build("bomb"));
        for name in ["w1", "w2"] {
            let worker = site.worker(name, 1, &builds).await;
            builds.starts(&format!("{name} bomb")).await;
            // Some of its log is there, so the job has been heard of.
            until("its log is there", async || {
                let mut log = job.log();
                matches!(log.next().await, Some(LogEvent::Bytes(_)))
            })
            .await;
            worker.burn_down();
        }
        let error = job.await.unwrap_err();
        assert!(
            matches!(error, JobError::Lost { workers: 2, .. }),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            "given up after 2 workers that had the job were lost, the last one like this: worker \"w2\" disconnected \
             (aborted by the other side: fire); see whether the job takes its machine down"
        );
    });
}

#[test]
fn a_scheduler_that_is_started_again_gets_all_jobs_again() {
    story(async {
        let mut site = Site::start().await;
        let builds = Builds::new();
        let first = site.worker("w1", 1, &builds).await;
        // However often: what only waits is not to blame.
        let cluster = site
            .cluster_with(Options {
                max_lost: 2,
                ..Options::default()
            })
            .await;
        let jobs: Vec<_> = (0..3)
            .map(|_| cluster.submit("pool", &build("image")))
            .collect();
        builds.starts("w1 image").await;
        site.until_waiting(2).await;

        site.stop().await;
        first.burn_down();
        builds.is_cancelled("w1 image").await;
        for _ in 0..3 {
            site.start_again().await;
            site.until_waiting(3).await;
            site.stop().await;
        }
        site.start_again().await;
        site.until_waiting(3).await;

        builds.end("image", Outcome::Output("done"));
        let _second = site.worker("w2", 3, &builds).await;
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
fn a_scheduler_that_is_not_there_yet_is_waited_for() {
    story(async {
        let mut site = Site::start().await;
        site.stop().await;
        let sturdy_ref = site.cap("submission.cap");
        let failed = Cluster::connect(sturdy_ref.clone(), hasty(Options::default())).await;
        let reason = failed.unwrap_err().to_string();
        assert!(reason.contains("check that the server runs"), "{reason}");

        let cluster = Cluster::new(sturdy_ref, hasty(Options::default()));
        let job = cluster.submit("pool", &build("image"));
        site.start_again().await;
        let builds = Builds::new();
        builds.end("image", Outcome::Output("done"));
        let _worker = site.worker("w1", 1, &builds).await;
        assert_eq!(job.await.unwrap(), "done");
    });
}

#[test]
fn a_scheduler_that_never_comes_is_given_up() {
    story(async {
        let mut site = Site::start().await;
        site.stop().await;
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let options = Options::default();
        let cluster = Cluster::new(site.cap("submission.cap"), options.clone());
        let jobs: Vec<_> = (0..300)
            .map(|_| cluster.submit("pool", &build("image")))
            .collect();
        let logs = join_all(jobs.iter().map(|job| read(job.log()))).await;
        assert!(logs.iter().all(String::is_empty));
        for outcome in join_all(jobs).await {
            let error = outcome.unwrap_err();
            assert!(matches!(error, JobError::NoConnection(_)), "{error:?}");
        }
        // All together, although not all of them had a place.
        let waited = start.elapsed();
        assert!(waited >= options.patience, "{waited:?}");
        assert!(
            waited < options.patience + Duration::from_secs(1),
            "{waited:?}"
        );
    });
}

#[test]
fn a_log_that_is_lost_after_the_end_says_so() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;
        builds.log_size.set(100 * PIECE);
        builds.end("image", Outcome::Output("done"));
        let job = cluster.submit("pool", &build("image"));
        let mut log = job.log();
        assert!(matches!(log.next().await, Some(LogEvent::Bytes(_))));
        assert_eq!(job.await.unwrap(), "done");

        worker.burn_down();
        let mut last = None;
        while let Some(event) = log.next().await {
            last = Some(event);
        }
        let reason = "worker \"w1\" disconnected (aborted by the other side: fire)".to_owned();
        assert_eq!(last, Some(LogEvent::CutOff(reason)));
    });
}
