//! Legal clients and operators of durable jobs, which make every call about them.

use std::time::Duration;

use cluster_api::{
    Admin, AdminJobQuery, AuditQuery, DurableJob, DurableStage, JobQuery, JobRequest, JobState,
    Label, ReturnTimeouts, Submission, Unwatched,
};

use crate::parties::{MAX_PIECES, POOLS, description};

/// Returns a job to submit. Nothing of it is left when its client has disconnected.
pub(crate) fn request(pool: &str, key: Option<&str>) -> JobRequest {
    let description = description().encode();
    JobRequest {
        pool: pool.to_owned(),
        description: description.expect("a legal job can be encoded"),
        urgent: false,
        key: key.map(str::to_owned),
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
    }
}

fn label() -> Label {
    Label {
        name: "branch".to_owned(),
        value: "main".to_owned(),
    }
}

/// Submits jobs, follows one of them to its end, finds it again, cancels another and submits that again.
pub(crate) async fn client(submission: &Submission) {
    // Here it is run at once, also if a change of the message lets it continue without its client.
    let request = request(POOLS[0], Some("fuzz-key"));
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
    drop(submission.list_durable(&query()).await);
    let other = JobRequest {
        key: None,
        ..request
    };
    let Ok((_, other)) = submission.submit_durable(&other).await else {
        return;
    };
    drop(futures::join!(other.cancel(), other.status()));
    let observed = submission.observe_durable(&id);
    drop(futures::join!(observed.describe(), observed.share()));
    drop(submission.find_with_id(&id, true).await);
    if let Ok((_, again)) = other.retry(None, false).await {
        drop(futures::join!(again.cancel(), again.describe()));
    }
}

/// Reads all of a job that was shared with it, and tries to change it.
pub(crate) async fn viewer(job: &DurableJob) {
    follow(job).await;
    drop(futures::join!(
        job.describe(),
        job.cancel(),
        job.retry(Some("fuzz-key"), true),
        job.share()
    ));
}

/// Lists the jobs of all clients, reads and cancels one of them, and reads what operators did.
pub(crate) async fn operator(admin: &Admin) {
    drop(admin.identify("fuzz-operator").await);
    let query = AdminJobQuery {
        jobs: query(),
        client: Some("bystander".to_owned()),
        pool: Some(POOLS[0].to_owned()),
    };
    let listed = admin.list_jobs(&query).await;
    let listed = listed.map(|page| page.jobs).unwrap_or_default();
    if let Some(job) = listed.first() {
        let id = &job.summary.id;
        drop(futures::join!(
            admin.job_details(id),
            admin.job_log(id, 1, 0),
            admin.cancel_job(id)
        ));
    }
    let query = AuditQuery {
        within: Some(Duration::from_secs(3600)),
        before: None,
        at_most: Some(2),
    };
    drop(admin.audit(&query).await);
}

fn query() -> JobQuery {
    JobQuery {
        labels: vec![label()],
        states: vec![JobState::Succeeded, JobState::Failed],
        submitted_within: Some(Duration::from_secs(3600)),
        before: None,
        at_most: Some(2),
    }
}

/// Reads the log and the statuses of a job until it has ended.
pub(crate) async fn follow(job: &DurableJob) {
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
