//! Attempts on their own, without the retries of a cluster.

use cluster_api::{Outcome, TicketStatus};
use cluster_client::{Attempt, Cancellation, LostPart};
use testkit::{BuildOutcome, MockBuilder, Site, docker, story, until};
use vat::{DialOptions, Dialer, Session};

use crate::harness::worker;

async fn connect(site: &Site) -> Session {
    let dialer = Dialer::new(DialOptions::default());
    let session = dialer.connect(&site.cap("submission.cap")).await;
    session.unwrap()
}

async fn submit(site: &Site, name: &str) -> Attempt {
    Attempt::submit(connect(site).await, "pool", &docker(name), false)
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
        let site = Site::start_at_socket().await;
        let attempt = submit(&site, "image").await;
        let status = attempt.status().await.unwrap();
        assert!(
            matches!(status, TicketStatus::Queued { ahead: 0, .. }),
            "{status:?}"
        );
        assert_eq!(attempt.number().await, Ok(1));
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        attempt.taken().await.unwrap();
        builder.end("image", BuildOutcome::Succeeded("repo@sha256:1"));
        assert_eq!(
            log(&attempt).await,
            "Building on w1\nBuilding image\nJob succeeded\n"
        );
        assert_eq!(attempt.ended().await.unwrap(), "repo@sha256:1");
        assert_eq!(attempt.output(), Some("repo@sha256:1"));
    });
}

#[test]
fn a_failure_has_an_outcome_and_the_text_of_the_worker() {
    story(async {
        let site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        builder.end("image", BuildOutcome::Failed("oh no"));
        let error = submit(&site, "image").await.ended().await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Failed { .. }));
        assert_eq!(error.to_string(), "Failed: Build failed");
    });
}

#[test]
fn a_cancelled_attempt_has_ended() {
    story(async {
        let site = Site::start_at_socket().await;
        let queued = submit(&site, "queued").await;
        site.until_queued(1).await;
        assert_eq!(queued.cancel().await, Cancellation::Done);
        site.until_queued(0).await;
        let error = queued.ended().await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Cancelled(_)), "{error:?}");

        let builder = MockBuilder::allowing_repeats();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let running = submit(&site, "running").await;
        builder.starts("w1 running").await;
        assert_eq!(running.cancel().await, Cancellation::Done);
        builder.is_cancelled("w1 running").await;
        assert_eq!(
            log(&running).await,
            "Building on w1\nBuilding running\nJob cancelled\n"
        );
    });
}

#[test]
fn a_lost_attempt_knows_what_was_lost() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let first = worker(&site, "w1", 1, &builder).await;
        let attempt = submit(&site, "image").await;
        builder.starts("w1 image").await;
        first.crash();
        let error = attempt.ended().await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Lost { .. }), "{error:?}");
        assert_eq!(attempt.lost_part().await, LostPart::Worker);

        let attempt = submit(&site, "image").await;
        until("it waits", async || attempt.status().await.is_ok()).await;
        site.terminate().await;
        let error = attempt.ended().await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Lost { .. }), "{error:?}");
        let scheduler = site.cap("submission.cap").address;
        assert_eq!(attempt.lost_part().await, LostPart::Scheduler(scheduler));
    });
}
