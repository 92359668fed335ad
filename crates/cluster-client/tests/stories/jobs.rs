//! Jobs on a cluster where nothing is lost.

use cluster_api::{Presence, TicketStatus};
use cluster_client::{Cluster, JobError, Log, LogEvent, LogReader, Options, Urgency};
use futures::future::join_all;

use crate::harness::{Builds, Outcome, PIECE, Site, build, read, reconnecting_soon, story, until};

#[test]
fn a_job_gives_its_log_and_its_output() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;

        builds.end("image", Outcome::Output("repo@sha256:1"));
        let job = cluster.submit("pool", &build("image"));
        assert_eq!(read(job.log()).await, "Building on w1\nJob succeeded\n");
        assert_eq!(job.await.unwrap(), "repo@sha256:1");
    });
}

#[test]
fn a_build_that_fails_is_not_retried() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;

        builds.end("image", Outcome::Failed);
        let job = cluster.submit("pool", &build("image"));
        assert_eq!(read(job.log()).await, "Building on w1\noh no\n");
        let error = job.await.unwrap_err();
        assert!(matches!(&error, JobError::Failed(reason) if reason == "Build failed"));
        assert_eq!(builds.started(), ["w1 image"]);
    });
}

#[test]
fn a_job_for_an_unknown_pool_is_refused() {
    story(async {
        let site = Site::start().await;
        let cluster = site.cluster().await;
        let job = cluster.submit("nowhere", &build("image"));
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
        let site = Site::start().await;
        let cap = site
            .as_admin(async |admin| admin.add_client("ada").await.unwrap().save().await.unwrap())
            .await;
        let cluster = Cluster::connect(cap.parse().unwrap(), Options::default())
            .await
            .unwrap();
        let job = cluster.submit("pool", &build("image"));
        until("it waits", async || site.show().await.contains("ada:")).await;

        // What waits is cancelled, and what comes later is refused.
        site.as_admin(async |admin| admin.remove_client("ada").await.unwrap())
            .await;
        assert_eq!(
            job.await.unwrap_err().to_string(),
            "the scheduler refused the job: Client removed (cancelled)"
        );
        let another = cluster.submit("pool", &build("image"));
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
        let error = cluster.submit("pool", &build("image")).await.unwrap_err();
        assert!(matches!(error, JobError::NoConnection(_)), "{error:?}");
    });
}

#[test]
fn a_limited_number_of_jobs_waits_at_the_scheduler() {
    story(async {
        let site = Site::start().await;
        let cluster = site
            .cluster_with(Options {
                max_waiting: 3,
                ..Options::default()
            })
            .await;
        let jobs: Vec<_> = (0..8)
            .map(|_| cluster.submit("pool", &build("image")))
            .collect();
        site.until_waiting(3).await;

        // Urgent ones have a limit of their own.
        let urgent = cluster.with_urgency(Urgency::Always);
        let urgent = urgent.submit("pool", &build("urgent"));
        site.until_waiting(4).await;

        // Those that run do not count.
        let builds = Builds::new();
        let _worker = site.worker("w1", 4, &builds).await;
        until("four run", async || builds.started().len() == 4).await;
        assert_eq!(builds.started()[0], "w1 urgent");
        site.until_waiting(3).await;

        // One that is cancelled lets another one in.
        builds.end("urgent", Outcome::Output(""));
        urgent.await.unwrap();
        builds.end("image", Outcome::Output(""));
        for outcome in join_all(jobs).await {
            outcome.unwrap();
        }
    });
}

#[test]
fn which_jobs_are_urgent_is_the_programs_decision() {
    story(async {
        let site = Site::start().await;
        let cluster = site
            .cluster_with(Options {
                urgency: Urgency::of(|pool, job| pool == "pool" && job.cache_hint == "release"),
                ..Options::default()
            })
            .await;
        let mut release = build("image");
        release.cache_hint = "release".to_owned();
        let _jobs = [
            cluster.submit("pool", &build("image")),
            cluster.submit("pool", &release),
            cluster
                .with_urgency(Urgency::Never)
                .submit("pool", &release),
        ];
        site.until_waiting(3).await;
        let show = site.show().await;
        assert_eq!(show.matches("+urgent").count(), 1, "{show}");
        let urgent = show
            .split_whitespace()
            .find(|word| word.contains("+urgent"));
        assert!(urgent.unwrap().contains("submission:release"), "{show}");
    });
}

#[test]
fn dropping_a_job_cancels_it_wherever_it_is() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site
            .cluster_with(Options {
                max_waiting: 1,
                ..Options::default()
            })
            .await;
        let running = cluster.submit("pool", &build("running"));
        builds.starts("w1 running").await;
        let queued = cluster.submit("pool", &build("queued"));
        site.until_waiting(1).await;
        let here = cluster.submit("pool", &build("here"));
        let last = cluster.submit("pool", &build("last"));

        // Reading its log does not keep it.
        let log = running.log();
        drop(here);
        drop(queued);
        drop(running);
        builds.is_cancelled("w1 running").await;
        assert_eq!(read(log).await, "Building on w1\nJob cancelled\n");

        builds.end("last", Outcome::Output(""));
        last.await.unwrap();
        assert_eq!(builds.started(), ["w1 running", "w1 last"]);
    });
}

#[test]
fn a_cancelled_job_is_reported_when_it_has_ended() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;
        let mut job = cluster.submit("pool", &build("image"));
        builds.starts("w1 image").await;
        job.cancel();
        let log = job.log();
        assert!(matches!(job.await, Err(JobError::Cancelled)));
        builds.is_cancelled("w1 image").await;
        assert_eq!(read(log).await, "Building on w1\nJob cancelled\n");
    });
}

#[test]
fn a_job_that_an_operator_cancels_is_not_retried() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;
        let job = cluster.submit("pool", &build("image"));
        let log = job.log();
        builds.starts("w1 image").await;
        site.as_admin(async |admin| {
            let pool = admin.pool("pool");
            let details = pool.worker_details("w1").await.unwrap();
            let Presence::Connected(w1) = details.presence else {
                panic!("{details:?}")
            };
            let cancelled = pool.cancel(w1.running[0].ticket, "ada").await;
            assert_eq!(cancelled, Ok(Some("w1".to_owned())));
        })
        .await;
        let error = job.await.unwrap_err();
        assert!(matches!(error, JobError::CancelledByOperator), "{error:?}");
        assert_eq!(read(log).await, "Building on w1\nJob cancelled\n");
        assert_eq!(builds.started(), ["w1 image"]);
    });
}

#[test]
fn a_queued_job_that_an_operator_cancels_ends_in_the_same_way() {
    story(async {
        let site = Site::start().await;
        let cluster = site.cluster().await;
        let job = cluster.submit("pool", &build("image"));
        let log = job.log();
        site.until_waiting(1).await;
        let number = job.attempt().expect("it is queued").number().await;
        let cancelled = site
            .as_admin(async |admin| admin.pool("pool").cancel(number.unwrap(), "ada").await)
            .await;
        assert_eq!(cancelled, Ok(None));
        let error = job.await.unwrap_err();
        assert!(matches!(error, JobError::CancelledByOperator), "{error:?}");
        assert_eq!(read(log).await, "");
    });
}

#[test]
fn a_job_reports_its_state() {
    story(async {
        let site = Site::start().await;
        let cluster = site.cluster().await;
        let job = cluster.submit("pool", &build("image"));
        assert!(job.attempt().is_none(), "it is not submitted yet");
        site.until_waiting(1).await;
        let status = job.attempt().unwrap().status().await.unwrap();
        let queued = TicketStatus::Queued {
            ahead: 0,
            obstacle: Some("no worker has ever registered in pool pool".to_owned()),
        };
        assert_eq!(status, queued);

        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        builds.starts("w1 image").await;
        let status = job.attempt().unwrap().status().await.unwrap();
        let worker = "w1".to_owned();
        assert_eq!(status, TicketStatus::Running { worker });
        builds.end("image", Outcome::Output("done"));
        let attempt = job.attempt().unwrap();
        assert_eq!(job.await.unwrap(), "done");
        assert_eq!(attempt.output(), Some("done"));
    });
}

#[test]
fn an_unread_log_delays_nothing() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let cluster = site.cluster().await;
        let pieces = 40;
        builds.log_size.set(pieces * PIECE);
        let job = cluster.submit("pool", &build("image"));
        let mut unread = job.log();
        let mut slow = job.log();
        builds.starts("w1 image").await;

        // One reader reads a little, and then no more.
        let mut taken = 0;
        for _ in 0..2 {
            let Some(LogEvent::Bytes(bytes)) = slow.next().await else {
                panic!("no log")
            };
            taken += bytes.len();
        }

        // The job ends all the same, and no more is fetched than a few pieces.
        builds.end("image", Outcome::Output("done"));
        assert_eq!(job.await.unwrap(), "done");
        let fetched = builds.pieces.get();
        assert!(
            fetched <= LogReader::WINDOW + 2,
            "{fetched} of {pieces} pieces"
        );

        // What was not read is still there.
        let size = "Building on w1\n".len() + pieces * PIECE + "Job succeeded\n".len();
        assert_eq!(taken + length(&mut slow).await, size);
        assert_eq!(length(&mut unread).await, size);
    });
}

#[test]
fn a_thousand_jobs_succeed() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        builds.end("image", Outcome::Output("done"));
        let cluster = site.cluster().await;
        let jobs: Vec<_> = (0..1000)
            .map(|_| cluster.submit("pool", &build("image")))
            .collect();
        site.until_waiting(200).await;

        let _w1 = site.worker("w1", 4, &builds).await;
        let _w2 = site.worker("w2", 4, &builds).await;
        for outcome in join_all(jobs).await {
            assert_eq!(outcome.unwrap(), "done");
        }
        assert_eq!(builds.started().len(), 1000);
        assert_eq!(site.waiting().await, 0);
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
