//! Durable jobs that are submitted again.

use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableOutcome, JobQuery, JobRequest, JobState, Outcome, ReturnTimeouts,
    Unwatched,
};
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story, until};

use crate::durable::{connect, ended, request, submit, success};

#[test]
fn a_job_that_failed_is_a_new_job_with_the_same_description() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("w1 image").await;
        let error = job.retry(None, true).await.unwrap_err();
        assert!(error.reason.contains("it has not ended"), "{error:?}");
        builder.end("image", BuildOutcome::Failed("boom"));
        let (_, outcome) = ended(&job).await;
        assert!(
            matches!(outcome, DurableOutcome::Done(Outcome::Failed { .. })),
            "{outcome:?}"
        );
        assert!(job.describe().await.unwrap().retryable);
        drop((job, client, connected, worker));
        site.restart().await;

        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w2", 1, &builder).await;
        let (client, _connected) = connect(&site).await;
        let job = client.observe_durable(&id).await.unwrap();
        let (again, first) = job.retry(Some("key"), true).await.unwrap();
        assert_ne!(again, id);
        let (same, second) = job.retry(Some("key"), true).await.unwrap();
        assert_eq!(same, again, "the same key is the same job");
        // It continues when it is not watched.
        drop((first, second));
        builder.starts("image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        let found = client.observe_durable(&again).await.unwrap();
        assert_eq!(ended(&found).await, (1, success("done")));
        let details = found.describe().await.unwrap();
        assert_eq!(details.summary.labels, request("image").labels);
        assert_eq!(details.key.as_deref(), Some("key"));
        assert!(!details.retryable);
        let error = found.retry(None, true).await.unwrap_err();
        let wanted = format!(
            "cannot retry job {again}: it succeeded, so its description is not kept; submit it again"
        );
        assert_eq!(error.reason, wanted);
    });
}

#[test]
fn a_description_is_wiped_when_it_was_kept_for_long_enough() {
    story(async {
        let site = Site::start_with(|config| config.jobs.retry_for = Duration::ZERO).await;
        let (client, _connected) = connect(&site).await;
        let (id, job) = submit(&client, &request("image")).await;
        job.cancel().await.unwrap();
        until("the description is wiped", async || {
            !job.describe().await.unwrap().retryable
        })
        .await;
        let error = job.retry(None, true).await.unwrap_err();
        let wanted =
            format!("cannot retry job {id}: its description was kept for 0.0 s after its end");
        assert!(error.reason.starts_with(&wanted), "{error:?}");
    });
}

#[test]
fn a_retried_job_that_is_not_to_continue_is_cancelled_without_a_client() {
    story(async {
        let site = Site::start().await;
        let (client, connected) = connect(&site).await;
        let timeouts = ReturnTimeouts {
            closed: Some(Duration::from_millis(50)),
            ..ReturnTimeouts::default()
        };
        let request = JobRequest {
            unwatched: Unwatched::Cancelled(timeouts),
            ..request("image")
        };
        let (_, job) = submit(&client, &request).await;
        job.cancel().await.unwrap();
        let (again, watched) = job.retry(None, false).await.unwrap();
        drop((job, watched, client, connected));
        let (client, _connected) = connect(&site).await;
        // To observe it is not to watch it.
        let observed = client.observe_durable(&again).await.unwrap();
        assert_eq!(
            ended(&observed).await,
            (0, DurableOutcome::CancelledUnwatched)
        );
    });
}

#[test]
fn a_job_is_described_with_its_attempts() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let first = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("w1 image").await;
        let _second = MockWorker::start(&site, "w2", 1, &builder).await;
        first.crash();
        builder.starts("w2 image").await;
        until("its log is kept", async || {
            let details = job.describe().await.unwrap();
            details
                .attempts
                .iter()
                .all(|attempt| attempt.log_length > 0)
        })
        .await;
        let details = job.describe().await.unwrap();
        let listed = client
            .list_durable(&JobQuery::default())
            .await
            .unwrap()
            .jobs;
        assert_eq!((listed.len(), listed[0].id.as_str()), (1, id.as_str()));
        assert_eq!(details.summary.state, JobState::Running);
        let attempts: Vec<_> = details
            .attempts
            .iter()
            .map(|attempt| (attempt.number, attempt.worker.as_str()))
            .collect();
        assert_eq!(attempts, [(1, "w1"), (2, "w2")]);
        let results = details.attempts.iter();
        let results: Vec<_> = results
            .map(|attempt| attempt.end.as_ref().map(|end| end.result))
            .collect();
        assert_eq!(results, [Some(AttemptResult::Lost), None]);
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&job).await, (2, success("done")));
    });
}
