//! Jobs of clients that know no durable ones, in the history.

use cluster_api::{
    DurableJob, DurableOutcome, DurableStage, JobQuery, JobState, JobSummary, Submission, Ticket,
};
use testkit::{
    BuildOutcome, MockBuilder, MockWorker, PIECE, Site, custom, docker, follow_ticket, story, until,
};

use crate::durable::{connect, ended, log, request, success};

/// Submits a job as a client of upstream's does.
pub(crate) async fn submit(client: &Submission, dockerfile: &str) -> Ticket {
    let ticket = client.submit("pool", &docker(dockerfile), false).await;
    ticket.unwrap()
}

pub(crate) async fn list(client: &Submission) -> Vec<JobSummary> {
    let page = client.list_durable(&JobQuery::default()).await;
    page.unwrap().jobs
}

/// Waits until the history has so many jobs in these states, the latest first.
async fn listed(client: &Submission, states: &[JobState]) -> Vec<JobSummary> {
    until(&format!("the jobs are {states:?}"), async || {
        let listed = list(client).await;
        listed
            .iter()
            .map(|job| job.state)
            .eq(states.iter().copied())
    })
    .await;
    list(client).await
}

/// Finds the latest of so many jobs, once it is in this state.
pub(crate) async fn latest(client: &Submission, count: usize, state: JobState) -> DurableJob {
    until(&format!("job {count} is {state}"), async || {
        let listed = list(client).await;
        listed.len() == count && listed.first().is_some_and(|job| job.state == state)
    })
    .await;
    let id = list(client).await.swap_remove(0).id;
    client.find_durable(&id).await.unwrap()
}

/// Returns the attempt, the worker and the reason of the loss of a job that was lost.
async fn lost(job: &DurableJob) -> (u32, String, String) {
    let (_, DurableOutcome::Lost(mut lost)) = ended(job).await else {
        panic!("it was not lost")
    };
    assert_eq!(lost.len(), 1);
    let lost = lost.swap_remove(0);
    (lost.attempt, lost.worker, lost.reason)
}

#[test]
fn attached_jobs_stand_beside_durable_ones_and_their_logs_are_kept() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 2, &builder).await;
        let (client, connected) = connect(&site).await;
        builder.end("durable", BuildOutcome::Succeeded("1"));
        builder.end("attached", BuildOutcome::Succeeded("2"));
        let (_, job) = client.submit_durable(&request("durable")).await.unwrap();
        ended(&job).await;
        let ticket = submit(&client, "attached").await;
        let transcript = follow_ticket(&ticket).await;
        drop((ticket, job, client, connected));

        let (client, _connected) = connect(&site).await;
        let jobs = listed(&client, &[JobState::Succeeded, JobState::Succeeded]).await;
        let seen: Vec<_> = jobs
            .iter()
            .map(|job| {
                (
                    job.attached,
                    job.kind.as_str(),
                    job.worker.as_deref(),
                    job.attempts,
                )
            })
            .collect();
        let w1 = Some("w1");
        assert_eq!(seen, [(true, "docker", w1, 1), (false, "docker", w1, 1)]);
        let job = client.find_durable(&jobs[0].id).await.unwrap();
        assert_eq!(ended(&job).await, (1, success("2")));
        assert_eq!(log(&job, 1).await, transcript.log);
        let (other, other_connected) = site.client("other").await;
        assert!(list(&other).await.is_empty());
        drop((worker, job, other, other_connected));
        site.finish().await;
    });
}

#[test]
fn an_attached_job_is_seen_while_it_waits_and_runs_and_can_be_cancelled() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let ticket = submit(&client, "image").await;
        let job = latest(&client, 1, JobState::Queued).await;
        let status = job.status().await.unwrap();
        assert!(
            matches!(
                &status.stage,
                DurableStage::Queued {
                    ahead: 0,
                    obstacle: Some(_)
                }
            ),
            "{status:?}"
        );
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let first = job.log(1, 0).await.unwrap();
        assert!(first.bytes.starts_with(b"Building on w1"), "{first:?}");
        let running = DurableStage::Running {
            attempt: 1,
            worker: "w1".to_owned(),
        };
        assert_eq!(job.watch(status.version).await.unwrap().stage, running);
        job.log(2, 0).await.unwrap_err();
        job.cancel().await.unwrap();
        builder.is_cancelled("image").await;
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledByClient));
        assert!(follow_ticket(&ticket).await.result.is_err());
        job.cancel().await.unwrap_err();

        let _running = submit(&client, "another").await;
        builder.starts("another").await;
        let _waiting = submit(&client, "a third").await;
        let job = latest(&client, 3, JobState::Queued).await;
        job.cancel().await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByClient));
    });
}

#[test]
fn a_job_whose_log_is_kept_ends_with_its_client() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (client, _connected) = connect(&site).await;
        let (leaving, connected) = connect(&site).await;
        let ticket = submit(&leaving, "image").await;
        let job = latest(&client, 1, JobState::Running).await;
        let first = job.log(1, 0).await.unwrap();
        drop((ticket, leaving, connected));
        builder.is_cancelled("image").await;
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledUnwatched));
        assert!(log(&job, 1).await.as_bytes().starts_with(&first.bytes));
    });
}

#[test]
fn a_log_is_kept_whole_though_its_client_releases_the_job_at_once() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::allowing_repeats();
        builder.fill_logs(5 * PIECE);
        builder.end("image", BuildOutcome::Succeeded("done"));
        let worker = MockWorker::start(&site, "w1", 4, &builder).await;
        let (client, connected) = connect(&site).await;
        for _ in 0..8 {
            let ticket = submit(&client, "image").await;
            ticket.job().result().await.unwrap();
            drop(ticket);
        }
        for summary in listed(&client, &[JobState::Succeeded; 8]).await {
            let job = client.find_durable(&summary.id).await.unwrap();
            let kept = log(&job, 1).await;
            assert!(kept.len() > 5 * PIECE && kept.ends_with("Job succeeded\n"));
        }
        drop((worker, client, connected));
        site.finish().await;
    });
}

#[test]
fn who_ended_an_attached_job_is_known() {
    story(async {
        let site = Site::start().await;
        let (alice, _connected) = site.client("alice").await;
        // In the queue.
        let ticket = submit(&alice, "cancelled").await;
        ticket.cancel().await.unwrap();
        let job = latest(&alice, 1, JobState::Cancelled).await;
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByClient));
        let released = submit(&alice, "released").await;
        latest(&alice, 2, JobState::Queued).await;
        drop(released);
        let job = latest(&alice, 2, JobState::Cancelled).await;
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledUnwatched));
        // On a worker.
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        worker.enable_cancellation();
        let ticket = submit(&alice, "image").await;
        builder.starts("image").await;
        let number = ticket.number().await.unwrap();
        let (pool, _pool_connected) = site.pool_admin().await;
        pool.cancel(number, "ann").await.unwrap();
        let job = latest(&alice, 3, JobState::Cancelled).await;
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledByOperator));
        let failed = submit(&alice, "failed").await;
        builder.end("failed", BuildOutcome::Failed("no such file"));
        let job = latest(&alice, 4, JobState::Failed).await;
        assert!(log(&job, 1).await.ends_with("no such file\n"));
        let ran = submit(&alice, "lost").await;
        builder.starts("lost").await;
        worker.crash();
        let job = latest(&alice, 5, JobState::Lost).await;
        let (attempt, worker, _) = lost(&job).await;
        assert_eq!((attempt, worker.as_str()), (1, "w1"));
        // By the removal of its client.
        let ticket = submit(&alice, "removed").await;
        let job = latest(&alice, 6, JobState::Queued).await;
        let (admin, _admin_connected) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByOperator));
        drop((failed, ran, ticket));
    });
}

#[test]
fn attached_jobs_end_with_their_scheduler_and_durable_ones_do_not() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (client, connected) = connect(&site).await;
        let running = submit(&client, "running").await;
        builder.starts("w1 running").await;
        let (id, job) = client.submit_durable(&request("durable")).await.unwrap();
        let kind = "k".repeat(300);
        let custom = custom(&kind, "");
        let queued = client.submit("pool", &custom, true).await.unwrap();
        // They need not be in the store yet: they are saved at the end.
        site.restart().await;
        drop((running, queued, job, client, connected, worker));

        let (client, _connected) = connect(&site).await;
        let jobs = list(&client).await;
        let restarted = "its scheduler was restarted".to_owned();
        let mut attempts = Vec::new();
        for summary in jobs.iter().filter(|job| job.attached) {
            attempts.push(summary.attempts);
            assert_eq!(summary.state, JobState::Lost);
            let job = client.find_durable(&summary.id).await.unwrap();
            let expected = match summary.attempts {
                0 => (0, String::new(), restarted.clone()),
                _ => (1, "w1".to_owned(), restarted.clone()),
            };
            assert_eq!(lost(&job).await, expected);
            job.cancel().await.unwrap_err();
        }
        attempts.sort_unstable();
        assert_eq!((jobs.len(), attempts), (3, vec![0, 1]));
        let builder = MockBuilder::new();
        builder.end("durable", BuildOutcome::Succeeded("done"));
        let _worker = MockWorker::start(&site, "w2", 1, &builder).await;
        let job = client.find_durable(&id).await.unwrap();
        assert_eq!(ended(&job).await, (1, success("done")));
    });
}
