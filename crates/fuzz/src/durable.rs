//! A legal client of durable jobs, which makes every call about them.

use std::time::Duration;

use cluster_api::{
    DurableJob, DurableStage, JobQuery, JobRequest, JobState, Label, ReturnTimeouts, Submission,
    Unwatched,
};

use crate::parties::{MAX_PIECES, POOLS, description};

/// Returns a job to submit. Nothing of it is left when its client has disconnected.
fn request() -> Option<JobRequest> {
    Some(JobRequest {
        // Here it is run at once, also if a change of the message lets it continue without its client.
        pool: POOLS[0].to_owned(),
        description: description().encode().ok()?,
        urgent: false,
        key: Some("fuzz-key".to_owned()),
        labels: vec![label()],
        attempts: std::num::NonZeroU8::new(2),
        queue_limit: Some(Duration::from_secs(3)),
        run_limit: Some(Duration::from_secs(2)),
        silence_limit: Some(Duration::from_secs(1)),
        unwatched: Unwatched::Cancelled(ReturnTimeouts {
            closed: Some(Duration::from_millis(1)),
            silent: Some(Duration::from_millis(1)),
            restarted: None,
        }),
    })
}

fn label() -> Label {
    Label {
        name: "branch".to_owned(),
        value: "main".to_owned(),
    }
}

/// Submits jobs, follows one of them to its end, finds it again, and cancels another.
pub(crate) async fn client(submission: &Submission) {
    let Some(request) = request() else { return };
    let twice = (
        submission.submit_durable(&request),
        submission.submit_durable(&request),
    );
    let (submitted, again) = futures::join!(twice.0, twice.1);
    drop(again);
    let Ok((id, job)) = submitted else { return };
    follow(&job).await;
    let found = submission.find_durable(&id);
    drop(futures::join!(
        found.status(),
        found.log(1, 2),
        found.cancel()
    ));
    let query = JobQuery {
        labels: vec![label()],
        states: vec![JobState::Succeeded, JobState::Failed],
        submitted_within: Some(Duration::from_secs(3600)),
        before: None,
        at_most: Some(2),
    };
    drop(submission.list_durable(&query).await);
    let other = JobRequest {
        key: None,
        ..request
    };
    if let Ok((_, other)) = submission.submit_durable(&other).await {
        drop(futures::join!(other.cancel(), other.status()));
    }
}

async fn follow(job: &DurableJob) {
    drop(job.status().await);
    let mut offset = 0;
    for _ in 0..MAX_PIECES {
        match job.log(1, offset).await {
            Ok(chunk) if !chunk.bytes.is_empty() => offset = chunk.next,
            Ok(_) | Err(_) => break,
        }
    }
    let mut version = 1;
    for _ in 0..MAX_PIECES {
        match job.watch(version).await {
            Ok(status) if !matches!(status.stage, DurableStage::Ended { .. }) => {
                version = status.version;
            }
            Ok(_) | Err(_) => break,
        }
    }
}
