//! Durable jobs, from a program that is restarted, with workers and schedulers that are lost.

use std::time::Duration;

use cluster_api::{
    DurableOutcome, DurableStage, JobQuery, JobRequest, Outcome, ReturnTimeouts, Unwatched,
};
use cluster_client::{Cluster, DurableError, DurableJob, DurableLog, LogEvent, Options};
use testkit::{BuildOutcome, MockBuilder, PIECE, Site, docker, story, until};

use crate::harness::{cluster, reconnecting_soon, worker};

fn request(dockerfile: &str) -> JobRequest {
    JobRequest {
        unwatched: Unwatched::Continues,
        ..JobRequest::new("pool", docker(dockerfile).encode().unwrap())
    }
}

fn success(output: &str) -> DurableOutcome {
    DurableOutcome::Done(Outcome::Succeeded(output.to_owned()))
}

/// Reads a log to its end, as a person would see it.
async fn read(mut log: DurableLog) -> String {
    let mut text = String::new();
    while let Some(event) = log.next().await.unwrap() {
        text += &match event {
            LogEvent::Bytes(_) => event.to_string(),
            event => format!("[{event}]\n"),
        };
    }
    text
}

fn id(job: &DurableJob) -> String {
    job.id().unwrap().to_owned()
}

#[test]
fn another_program_finds_the_job_again_and_reads_on() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let first = cluster(&site).await;
        let job = first.submit_durable(&request("image")).await.unwrap();
        builder.starts("image").await;
        let mut log = job.log();
        let Some(LogEvent::Bytes(begin)) = log.next().await.unwrap() else {
            panic!("a log begins with bytes")
        };
        let (id, (attempt, offset)) = (id(&job), log.position());
        assert_eq!((attempt, offset), (1, begin.len() as u64));
        drop((log, job, first));

        let second = cluster(&site).await;
        let job = second.find_durable(&id[..6]).await.unwrap();
        assert_eq!(job.id(), Some(id.as_str()));
        let details = job.describe().await.unwrap();
        assert_eq!(
            (details.summary.id, details.attempts.len()),
            (id.clone(), 1)
        );
        let rest = tokio::task::spawn_local(read(job.log_from(attempt, offset)));
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(job.ended().await.unwrap(), (1, success("done")));
        let begin = String::from_utf8(begin).unwrap();
        assert_eq!(
            begin + &rest.await.unwrap(),
            "Building on w1\nBuilding image\nJob succeeded\n"
        );
        let jobs = second
            .list_durable(&JobQuery::default())
            .await
            .unwrap()
            .jobs;
        assert_eq!(jobs[0].id, id);
        let unknown = second.find_durable("u").await.unwrap_err();
        assert!(matches!(unknown, DurableError::Refused(_)), "{unknown}");
    });
}

#[test]
fn the_log_has_no_gap_and_no_repetition_when_the_scheduler_restarts() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        builder.fill_logs(20 * PIECE);
        let first = worker(&site, "w1", 1, &builder).await;
        let cluster = cluster(&site).await;
        let job = cluster.submit_durable(&request("image")).await.unwrap();
        builder.starts("w1 image").await;
        let followed = tokio::task::spawn_local(read(job.log()));
        until("its log is kept", async || {
            let details = job.describe().await.unwrap();
            details
                .attempts
                .iter()
                .any(|attempt| attempt.log_length >= 20 * PIECE as u64)
        })
        .await;
        site.restart().await;
        drop(first);
        let _second = worker(&site, "w2", 1, &builder).await;
        builder.starts("w2 image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(job.ended().await.unwrap(), (2, success("done")));
        let text = followed.await.unwrap();
        let (one, two) = (whole(&job, 1).await, whole(&job, 2).await);
        let (before, after) = text.split_once("[lost: worker \"w1\"").unwrap();
        assert!(before == one, "{} and {} bytes", before.len(), one.len());
        let (_, after) = after.split_once("]\n").unwrap();
        assert!(after == two, "{} and {} bytes", after.len(), two.len());
    });
}

/// Returns the log of an attempt as it is kept.
async fn whole(job: &DurableJob, attempt: u32) -> String {
    let (mut bytes, mut offset) = (Vec::new(), 0);
    loop {
        let piece = job.log_piece(attempt, offset).await.unwrap();
        if piece.bytes.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        bytes.extend(piece.bytes);
        offset = piece.next;
    }
}

#[test]
fn a_submission_whose_answer_was_lost_makes_one_job() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let cluster = cluster(&site).await;
        // One that is sent while there is no scheduler.
        site.stop().await;
        let submitting = {
            let cluster = cluster.clone();
            tokio::task::spawn_local(async move { cluster.submit_durable(&request("image")).await })
        };
        site.start_again().await;
        let job = submitting.await.unwrap().unwrap();
        let jobs = cluster
            .list_durable(&JobQuery::default())
            .await
            .unwrap()
            .jobs;
        assert_eq!(jobs.len(), 1);
        // A key that its program has chosen does the same for two programs.
        let keyed = JobRequest {
            key: Some("build 1".to_owned()),
            ..request("image")
        };
        let first = cluster.submit_durable(&keyed).await.unwrap();
        let second = cluster.submit_durable(&keyed).await.unwrap();
        assert_eq!(first.id(), second.id());
        assert_ne!(first.id(), job.id());
    });
}

#[test]
fn statuses_are_seen_across_restarts() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let cluster = cluster(&site).await;
        let job = cluster.submit_durable(&request("image")).await.unwrap();
        let mut changes = job.changes();
        let is_queued = |stage| matches!(stage, DurableStage::Queued { .. });
        assert!(is_queued(changes.next().await.unwrap().stage));
        let next = tokio::task::spawn_local(async move { changes.next().await.unwrap().stage });
        site.restart().await;
        let other = cluster_with_another_client(&site).await;
        let same = other.observe_durable(&id(&job)).await.unwrap();
        same.cancel().await.unwrap();
        // A restart may show the same stage again.
        let seen = next.await.unwrap();
        assert!(
            is_queued(seen.clone()) || matches!(seen, DurableStage::Ended { .. }),
            "{seen:?}"
        );
        let expected = (0, DurableOutcome::CancelledByClient);
        assert_eq!(job.ended().await.unwrap(), expected);
        let error = job.cancel().await.unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
    });
}

/// Connects as another program of the same client would.
async fn cluster_with_another_client(site: &Site) -> Cluster {
    let options = reconnecting_soon(Options::default());
    Cluster::connect(site.cap("submission.cap"), options)
        .await
        .unwrap()
}

#[test]
fn a_job_goes_on_while_its_client_is_gone_if_it_returns_in_time() {
    story(async {
        let site = Site::start().await;
        let first = cluster(&site).await;
        let gone_for = |closed| JobRequest {
            unwatched: Unwatched::Cancelled(ReturnTimeouts {
                closed: Some(closed),
                ..ReturnTimeouts::default()
            }),
            ..request("image")
        };
        let patient = first
            .submit_durable(&gone_for(Duration::from_secs(3600)))
            .await
            .unwrap();
        let hasty = first
            .submit_durable(&gone_for(Duration::from_millis(20)))
            .await
            .unwrap();
        let (patient_id, hasty_id) = (id(&patient), id(&hasty));
        drop((patient, hasty, first));
        let second = cluster(&site).await;
        let hasty = second.observe_durable(&hasty_id).await.unwrap();
        assert_eq!(
            hasty.ended().await.unwrap(),
            (0, DurableOutcome::CancelledUnwatched)
        );
        let patient = second.find_durable(&patient_id).await.unwrap();
        let stage = patient.status().await.unwrap().stage;
        assert!(matches!(stage, DurableStage::Queued { .. }), "{stage:?}");
        // A new job from the description of one that did not succeed.
        let again = hasty.retry(true).await.unwrap();
        assert_ne!(again.id(), hasty.id());
        again.cancel().await.unwrap();
    });
}

#[test]
fn a_shared_job_is_read_with_its_cap_file_alone() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let _worker = worker(&site, "w1", 1, &builder).await;
        let mine = cluster(&site).await;
        let job = mine.submit_durable(&request("image")).await.unwrap();
        let uri = job.share().await.unwrap();
        builder.starts("image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        let options = reconnecting_soon(Options::default());
        let theirs = Cluster::connect(uri.parse().unwrap(), options)
            .await
            .unwrap();
        let shared = theirs.shared_durable();
        assert!(read(shared.log()).await.contains("Building image"));
        assert_eq!(shared.ended().await.unwrap(), (1, success("done")));
        shared.cancel().await.unwrap_err();
        let error = theirs.list_durable(&JobQuery::default()).await.unwrap_err();
        assert!(matches!(error, DurableError::Unsupported), "{error}");
    });
}
