//! Jobs on a cluster where nothing is lost.

use cluster_api::{Presence, TicketStatus};
use cluster_client::{Cluster, JobError, Log, LogEvent, LogReader, Options, Urgency};
use futures::future::join_all;

use testkit::{BuildOutcome, MockBuilder, PIECE, Site, docker, story, until};

use crate::harness::{cluster, cluster_with, read, reconnecting_soon, worker};

#[test]
fn a_job_has_a_log_and_an_output() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;

        builder.end("image", BuildOutcome::Succeeded("repo@sha256:1"));
        let job = cluster.submit("pool", &docker("image"));
        assert_eq!(
            read(job.log()).await,
            "Building on w1\nBuilding image\nJob succeeded\n"
        );
        assert_eq!(job.await.unwrap(), "repo@sha256:1");
    });
}

#[test]
fn a_failed_build_is_not_retried() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;

        builder.end("image", BuildOutcome::Failed("oh no"));
        let job = cluster.submit("pool", &docker("image"));
        assert_eq!(
            read(job.log()).await,
            "Building on w1\nBuilding image\noh no\n"
        );
        let error = job.await.unwrap_err();
        assert!(matches!(&error, JobError::Failed(reason) if reason == "Build failed"));
        assert_eq!(builder.started(), ["w1 image"]);
    });
}

#[test]
fn a_job_for_an_unknown_pool_is_refused() {
    story(async {
        let site = Site::start_at_socket().await;
        let cluster = cluster(&site).await;
        let job = cluster.submit("nowhere", &docker("image"));
        assert_eq!(read(job.log()).await, "");
        let error = job.await.unwrap_err();
        assert!(matches!(error, JobError::Refused(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the scheduler refused the job: Pool ID \"nowhere\" not one of {pool}"
        );
    });
}

#[test]
fn a_client_that_is_removed_is_refused() {
    story(async {
        let site = Site::start_at_socket().await;
        let (admin, _connected) = site.admin().await;
        let cap = admin.add_client("ada").await.unwrap().save().await.unwrap();
        let cluster = Cluster::connect(cap.parse().unwrap(), Options::default())
            .await
            .unwrap();
        let job = cluster.submit("pool", &docker("image"));
        until("the job is queued", async || {
            site.show().await.contains("ada:")
        })
        .await;

        // The queued job is cancelled, and later ones are refused.
        admin.remove_client("ada").await.unwrap();
        assert_eq!(
            job.await.unwrap_err().to_string(),
            "the scheduler refused the job: Client removed (cancelled)"
        );
        let another = cluster.submit("pool", &docker("image"));
        assert_eq!(
            another.await.unwrap_err().to_string(),
            "the scheduler refused the job: Access has been revoked"
        );

        // A program that starts now gets the error at once, and so does one that waits for the scheduler.
        let refused = Cluster::connect(cap.parse().unwrap(), Options::default()).await;
        let reason = refused.unwrap_err().to_string();
        assert!(
            reason.starts_with("Unknown persistent service ID"),
            "{reason}"
        );
        let cluster = Cluster::new(cap.parse().unwrap(), reconnecting_soon(Options::default()));
        let error = cluster.submit("pool", &docker("image")).await.unwrap_err();
        assert!(matches!(error, JobError::NoConnection(_)), "{error:?}");
    });
}

#[test]
fn jobs_beyond_the_limit_wait_in_the_client() {
    story(async {
        let site = Site::start_at_socket().await;
        let cluster = cluster_with(
            &site,
            Options {
                max_waiting: 3,
                ..Options::default()
            },
        )
        .await;
        let jobs: Vec<_> = (0..8)
            .map(|_| cluster.submit("pool", &docker("image")))
            .collect();
        site.until_queued(3).await;

        // Urgent ones have a limit of their own.
        let urgent = cluster.with_urgency(Urgency::Always);
        let urgent = urgent.submit("pool", &docker("urgent"));
        site.until_queued(4).await;

        // Those that run do not count.
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 4, &builder).await;
        until("four run", async || builder.started().len() == 4).await;
        assert_eq!(builder.started()[0], "w1 urgent");
        site.until_queued(3).await;

        // One that is cancelled lets another one in.
        builder.end("urgent", BuildOutcome::Succeeded(""));
        urgent.await.unwrap();
        builder.end("image", BuildOutcome::Succeeded(""));
        for outcome in join_all(jobs).await {
            outcome.unwrap();
        }
    });
}

#[test]
fn the_program_decides_which_jobs_are_urgent() {
    story(async {
        let site = Site::start_at_socket().await;
        let cluster = cluster_with(
            &site,
            Options {
                urgency: Urgency::of(|pool, job| pool == "pool" && job.cache_hint == "release"),
                ..Options::default()
            },
        )
        .await;
        let mut release = docker("image");
        release.cache_hint = "release".to_owned();
        let _jobs = [
            cluster.submit("pool", &docker("image")),
            cluster.submit("pool", &release),
            cluster
                .with_urgency(Urgency::Never)
                .submit("pool", &release),
        ];
        site.until_queued(3).await;
        let show = site.show().await;
        assert_eq!(show.matches("+urgent").count(), 1, "{show}");
        let urgent = show
            .split_whitespace()
            .find(|word| word.contains("+urgent"));
        assert!(urgent.unwrap().contains("submission:release"), "{show}");
    });
}

#[test]
fn dropping_a_job_cancels_it_in_every_state() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster_with(
            &site,
            Options {
                max_waiting: 1,
                ..Options::default()
            },
        )
        .await;
        let running = cluster.submit("pool", &docker("running"));
        builder.starts("w1 running").await;
        let queued = cluster.submit("pool", &docker("queued"));
        site.until_queued(1).await;
        let here = cluster.submit("pool", &docker("here"));
        let last = cluster.submit("pool", &docker("last"));

        // A reader of its log does not keep it running.
        let log = running.log();
        drop(here);
        drop(queued);
        drop(running);
        builder.is_cancelled("w1 running").await;
        assert_eq!(
            read(log).await,
            "Building on w1\nBuilding running\nJob cancelled\n"
        );

        builder.end("last", BuildOutcome::Succeeded(""));
        last.await.unwrap();
        assert_eq!(builder.started(), ["w1 running", "w1 last"]);
    });
}

#[test]
fn a_cancelled_job_ends_as_cancelled() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        let mut job = cluster.submit("pool", &docker("image"));
        builder.starts("w1 image").await;
        job.cancel();
        let log = job.log();
        assert!(matches!(job.await, Err(JobError::Cancelled)));
        builder.is_cancelled("w1 image").await;
        assert_eq!(
            read(log).await,
            "Building on w1\nBuilding image\nJob cancelled\n"
        );
    });
}

#[test]
fn a_job_cancelled_by_an_operator_is_not_retried() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        let job = cluster.submit("pool", &docker("image"));
        let log = job.log();
        builder.starts("w1 image").await;
        let (pool, _connected) = site.pool_admin().await;
        let details = pool.worker_details("w1").await.unwrap();
        let Presence::Connected(w1) = details.presence else {
            panic!("{details:?}")
        };
        let cancelled = pool.cancel(w1.running[0].ticket, "ada").await;
        assert_eq!(cancelled, Ok(Some("w1".to_owned())));
        let error = job.await.unwrap_err();
        assert!(matches!(error, JobError::CancelledByOperator), "{error:?}");
        assert_eq!(
            read(log).await,
            "Building on w1\nBuilding image\nJob cancelled\n"
        );
        assert_eq!(builder.started(), ["w1 image"]);
    });
}

#[test]
fn a_queued_job_that_an_operator_cancels_ends_in_the_same_way() {
    story(async {
        let site = Site::start_at_socket().await;
        let cluster = cluster(&site).await;
        let job = cluster.submit("pool", &docker("image"));
        let log = job.log();
        site.until_queued(1).await;
        let number = job.attempt().expect("it is queued").number().await;
        let (pool, _connected) = site.pool_admin().await;
        let cancelled = pool.cancel(number.unwrap(), "ada").await;
        assert_eq!(cancelled, Ok(None));
        let error = job.await.unwrap_err();
        assert!(matches!(error, JobError::CancelledByOperator), "{error:?}");
        assert_eq!(read(log).await, "");
    });
}

#[test]
fn a_job_reports_its_state() {
    story(async {
        let site = Site::start_at_socket().await;
        let cluster = cluster(&site).await;
        let job = cluster.submit("pool", &docker("image"));
        assert!(job.attempt().is_none(), "it is not submitted yet");
        site.until_queued(1).await;
        let status = job.attempt().unwrap().status().await.unwrap();
        let queued = TicketStatus::Queued {
            ahead: 0,
            obstacle: Some(
                "no worker has ever registered in pool pool; ask an operator to start one, or use another pool"
                    .to_owned(),
            ),
        };
        assert_eq!(status, queued);

        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        builder.starts("w1 image").await;
        let status = job.attempt().unwrap().status().await.unwrap();
        let worker = "w1".to_owned();
        assert_eq!(status, TicketStatus::Running { worker });
        builder.end("image", BuildOutcome::Succeeded("done"));
        let attempt = job.attempt().unwrap();
        assert_eq!(job.await.unwrap(), "done");
        assert_eq!(attempt.output(), Some("done"));
    });
}

#[test]
fn an_unread_log_delays_nothing() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        let pieces = 40;
        builder.fill_logs(pieces * PIECE);
        let job = cluster.submit("pool", &docker("image"));
        let mut unread = job.log();
        let mut slow = job.log();
        builder.starts("w1 image").await;

        // One reader stops after two pieces.
        let mut taken = 0;
        for _ in 0..2 {
            let Some(LogEvent::Bytes(bytes)) = slow.next().await else {
                panic!("no log")
            };
            taken += bytes.len();
        }

        // The job ends, and only a few pieces are fetched.
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(job.await.unwrap(), "done");
        let fetched = builder.log_requests.get();
        assert!(
            fetched <= LogReader::WINDOW + 2,
            "{fetched} of {pieces} pieces"
        );

        // The rest can still be read.
        let size =
            "Building on w1\nBuilding image\n".len() + pieces * PIECE + "Job succeeded\n".len();
        assert_eq!(taken + length(&mut slow).await, size);
        assert_eq!(length(&mut unread).await, size);
    });
}

#[test]
fn a_thousand_jobs_succeed() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        builder.end("image", BuildOutcome::Succeeded("done"));
        let cluster = cluster(&site).await;
        let jobs: Vec<_> = (0..1000)
            .map(|_| cluster.submit("pool", &docker("image")))
            .collect();
        site.until_queued(200).await;

        let _w1 = worker(&site, "w1", 4, &builder).await;
        let _w2 = worker(&site, "w2", 4, &builder).await;
        for outcome in join_all(jobs).await {
            assert_eq!(outcome.unwrap(), "done");
        }
        assert_eq!(builder.started().len(), 1000);
        assert_eq!(site.count_queued().await, 0);
    });
}

async fn length(log: &mut Log) -> usize {
    let mut length = 0;
    while let Some(event) = log.next().await {
        let LogEvent::Bytes(bytes) = event else {
            panic!("{event:?}")
        };
        length += bytes.len();
    }
    length
}
