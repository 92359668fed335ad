//! Attempts on their own, without the retries of a cluster.

use cluster_api::{Outcome as WireOutcome, TicketStatus};
use cluster_client::{Attempt, Cancellation, LostPart};
use vat::{DialOptions, Dialer, Session};

use crate::harness::{Builds, Outcome, Site, build, story, until};

async fn connect(site: &Site) -> Session {
    let dialer = Dialer::new(DialOptions::default());
    let session = dialer.connect(&site.cap("submission.cap")).await;
    session.unwrap()
}

async fn submit(site: &Site, name: &str) -> Attempt {
    Attempt::submit(connect(site).await, "pool", &build(name), false)
}

async fn log(attempt: &Attempt) -> String {
    let (mut reader, mut log) = (attempt.log(), Vec::new());
    while let Some(piece) = reader.next().await.unwrap() {
        log.extend(piece);
    }
    String::from_utf8(log).unwrap()
}

#[test]
fn an_attempt_has_a_state_a_log_and_an_output() {
    story(async {
        let site = Site::start().await;
        let attempt = submit(&site, "image").await;
        let status = attempt.status().await.unwrap();
        assert!(
            matches!(status, TicketStatus::Queued { ahead: 0, .. }),
            "{status:?}"
        );
        assert_eq!(attempt.number().await, Ok(1));
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        attempt.taken().await.unwrap();
        builds.end("image", Outcome::Output("repo@sha256:1"));
        assert_eq!(log(&attempt).await, "Building on w1\nJob succeeded\n");
        assert_eq!(attempt.ended().await.unwrap(), "repo@sha256:1");
        assert_eq!(attempt.output(), Some("repo@sha256:1"));
    });
}

#[test]
fn a_failure_has_an_outcome_and_the_text_of_the_worker() {
    story(async {
        let site = Site::start().await;
        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        builds.end("image", Outcome::Failed);
        let error = submit(&site, "image").await.ended().await.unwrap_err();
        assert!(matches!(error.outcome, WireOutcome::Failed { .. }));
        assert_eq!(error.to_string(), "Failed: Build failed");
    });
}

#[test]
fn a_cancelled_attempt_has_ended() {
    story(async {
        let site = Site::start().await;
        let queued = submit(&site, "queued").await;
        site.until_waiting(1).await;
        assert_eq!(queued.cancel().await, Cancellation::Done);
        site.until_waiting(0).await;
        let error = queued.ended().await.unwrap_err();
        assert!(
            matches!(error.outcome, WireOutcome::Cancelled(_)),
            "{error:?}"
        );

        let builds = Builds::new();
        let _worker = site.worker("w1", 1, &builds).await;
        let running = submit(&site, "running").await;
        builds.starts("w1 running").await;
        assert_eq!(running.cancel().await, Cancellation::Done);
        builds.is_cancelled("w1 running").await;
        assert_eq!(log(&running).await, "Building on w1\nJob cancelled\n");
    });
}

#[test]
fn a_lost_attempt_knows_what_was_lost() {
    story(async {
        let mut site = Site::start().await;
        let builds = Builds::new();
        let worker = site.worker("w1", 1, &builds).await;
        let attempt = submit(&site, "image").await;
        builds.starts("w1 image").await;
        worker.burn_down();
        let error = attempt.ended().await.unwrap_err();
        assert!(
            matches!(error.outcome, WireOutcome::Lost { .. }),
            "{error:?}"
        );
        assert_eq!(attempt.lost_part().await, LostPart::Worker);

        let attempt = submit(&site, "image").await;
        until("it waits", async || attempt.status().await.is_ok()).await;
        site.stop().await;
        let error = attempt.ended().await.unwrap_err();
        assert!(
            matches!(error.outcome, WireOutcome::Lost { .. }),
            "{error:?}"
        );
        let scheduler = site.cap("submission.cap").address;
        assert_eq!(attempt.lost_part().await, LostPart::Scheduler(scheduler));
    });
}
