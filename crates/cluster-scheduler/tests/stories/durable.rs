//! Jobs that outlive connections: those of their clients, of their workers and of the scheduler.

use std::time::Duration;

use cluster_api::{
    DurableJob, DurableOutcome, DurableStage, JobQuery, JobRequest, JobState, Label, Outcome,
    ReturnTimeouts, Submission, Unwatched,
};
use testkit::{
    BuildOutcome, Connected, MockBuilder, MockWorker, Site, custom, job_request, story, until,
};

pub(crate) fn request(dockerfile: &str) -> JobRequest {
    JobRequest {
        labels: vec![Label {
            name: "branch".to_owned(),
            value: "main".to_owned(),
        }],
        ..job_request(dockerfile)
    }
}

/// Connects a client, with the same access each time.
pub(crate) async fn connect(site: &Site) -> (Submission, Connected) {
    let connected = site.connect(&site.cap("submission.cap")).await;
    (Submission::from_client(connected.client.clone()), connected)
}

pub(crate) async fn submit(client: &Submission, request: &JobRequest) -> (String, DurableJob) {
    client.submit_durable(request).await.unwrap()
}

/// Returns how a job ended, when it has.
pub(crate) async fn ended(job: &DurableJob) -> (u32, DurableOutcome) {
    let mut version = 0;
    loop {
        let status = job.watch(version).await.unwrap();
        match status.stage {
            DurableStage::Ended { attempt, outcome } => return (attempt, outcome),
            _ => version = status.version,
        }
    }
}

pub(crate) async fn log(job: &DurableJob, attempt: u32) -> String {
    let (mut bytes, mut offset) = (Vec::new(), 0);
    loop {
        let chunk = job.log(attempt, offset).await.unwrap();
        if chunk.bytes.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        bytes.extend(chunk.bytes);
        offset = chunk.next;
    }
}

pub(crate) fn success(output: &str) -> DurableOutcome {
    DurableOutcome::Done(Outcome::Succeeded(output.to_owned()))
}

#[test]
fn a_job_is_done_and_its_log_is_kept() {
    story(async {
        let site = Site::start().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("image").await;
        builder.end("image", BuildOutcome::Succeeded("repo@sha256:1"));
        assert_eq!(ended(&job).await, (1, success("repo@sha256:1")));
        let text = log(&job, 1).await;
        assert!(text.contains("Building image"), "{text}");
        // Its worker has left, and so has its client.
        drop((worker, job, connected));
        let (again, _connected) = connect(&site).await;
        let found = again.find_durable(&id).await.unwrap();
        assert_eq!(ended(&found).await, (1, success("repo@sha256:1")));
        assert_eq!(log(&found, 1).await, text);
    });
}

#[test]
fn a_queued_job_outlives_its_client_and_the_scheduler() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let (id, job) = submit(&client, &request("image")).await;
        drop((job, client, connected));
        site.restart().await;

        let builder = MockBuilder::new();
        builder.end("image", BuildOutcome::Succeeded("done"));
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (client, _connected) = connect(&site).await;
        let job = client.find_durable(&id).await.unwrap();
        assert_eq!(ended(&job).await, (1, success("done")));
    });
}

#[test]
fn a_running_job_that_loses_its_worker_is_tried_again_on_another() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let first = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, job) = submit(&client, &request("image")).await;
        builder.starts("w1 image").await;
        let _second = MockWorker::start(&site, "w2", 1, &builder).await;
        first.crash();
        builder.starts("w2 image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&job).await, (2, success("done")));
        assert!(log(&job, 1).await.contains("w1"));
        assert!(log(&job, 2).await.contains("w2"));
    });
}

#[test]
fn a_job_whose_workers_are_all_lost_ends_as_lost() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let request = JobRequest {
            attempts: std::num::NonZeroU8::new(2),
            ..request("image")
        };
        let (_, job) = submit(&client, &request).await;
        for name in ["w1", "w2"] {
            let worker = MockWorker::start(&site, name, 1, &builder).await;
            builder.starts(&format!("{name} image")).await;
            worker.crash();
            site.shows("registered:\n").await;
        }
        let (attempts, DurableOutcome::Lost(lost)) = ended(&job).await else {
            panic!("it was not lost")
        };
        let lost: Vec<_> = lost
            .iter()
            .map(|lost| (lost.attempt, lost.worker.as_str()))
            .collect();
        assert_eq!((attempts, lost), (2, vec![(1, "w1"), (2, "w2")]));
    });
}

#[test]
fn a_cancelled_job_does_not_come_back() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let (_, queued) = submit(&client, &request("queued")).await;
        queued.cancel().await.unwrap();
        assert_eq!(ended(&queued).await, (0, DurableOutcome::CancelledByClient));

        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, running) = submit(&client, &request("running")).await;
        builder.starts("w1 running").await;
        running.cancel().await.unwrap();
        builder.is_cancelled("w1 running").await;
        drop((queued, running, client, connected, worker));
        site.restart().await;
        let (client, _connected) = connect(&site).await;
        let job = client.find_durable(&id).await.unwrap();
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledByClient));
        job.cancel().await.unwrap_err();
    });
}

#[test]
fn a_job_of_a_removed_client_is_not_tried_again() {
    story(async {
        let site = Site::start().await;
        let (alice, _connected) = site.client("alice").await;
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, running) = submit(&alice, &request("running")).await;
        builder.starts("w1 running").await;
        let (_, queued) = submit(&alice, &request("queued")).await;
        let (admin, _admin_connected) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        assert_eq!(
            ended(&queued).await,
            (0, DurableOutcome::CancelledByOperator)
        );
        worker.crash();
        assert_eq!(
            ended(&running).await,
            (1, DurableOutcome::CancelledByOperator)
        );
    });
}

#[test]
fn the_same_key_is_the_same_job_whatever_was_restarted() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let request = JobRequest {
            key: Some("build-1".to_owned()),
            ..request("image")
        };
        let (id, first) = submit(&client, &request).await;
        let (again, second) = submit(&client, &request).await;
        assert_eq!(again, id);
        drop((first, second, client, connected));
        site.restart().await;
        let (client, _connected) = connect(&site).await;
        let (again, job) = submit(&client, &request).await;
        assert_eq!(again, id);
        job.cancel().await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByClient));
        let (again, _job) = submit(&client, &request).await;
        assert_eq!(again, id, "also when it has ended");
    });
}

#[test]
fn a_job_that_nobody_watches_is_cancelled_if_that_was_asked_for() {
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
        let (id, job) = submit(&client, &request).await;
        drop((job, client, connected));
        let (client, _connected) = connect(&site).await;
        // A list does not watch what it lists.
        until("the job is cancelled", async || {
            let page = client.list_durable(&JobQuery::default()).await.unwrap();
            page.jobs.iter().all(|job| job.state == JobState::Cancelled)
        })
        .await;
        let job = client.find_durable(&id).await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledUnwatched));
    });
}

#[test]
fn a_client_sees_its_own_jobs_and_no_others() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (other, _other_connected) = site.client("other").await;
        let (id, _job) = submit(&client, &request("image")).await;
        let (_, cancelled) = submit(&client, &request("image")).await;
        cancelled.cancel().await.unwrap();
        let mine = client
            .list_durable(&JobQuery::default())
            .await
            .unwrap()
            .jobs;
        let states: Vec<_> = mine.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Cancelled, JobState::Queued]);
        assert_eq!(
            (mine[1].id.as_str(), mine[1].kind.as_str()),
            (id.as_str(), "docker")
        );
        let query = JobQuery {
            states: vec![JobState::Queued],
            ..JobQuery::default()
        };
        assert_eq!(client.list_durable(&query).await.unwrap().jobs.len(), 1);
        assert!(
            other
                .list_durable(&JobQuery::default())
                .await
                .unwrap()
                .jobs
                .is_empty()
        );
        let beginning = &id[..8];
        client.find_durable(beginning).await.unwrap();
        // No id has this letter.
        let error = client.find_durable("u").await.unwrap_err();
        assert!(error.reason.contains("you have no job \"u\""), "{error:?}");
        let error = other.find_durable(&id).await.unwrap_err();
        assert!(error.reason.contains("you have no job"), "{error:?}");
    });
}

#[test]
fn a_limit_of_the_request_ends_the_job() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let limit = Some(Duration::from_millis(50));
        let (_, queued) = submit(
            &client,
            &JobRequest {
                queue_limit: limit,
                ..request("queued")
            },
        )
        .await;
        assert_eq!(ended(&queued).await, (0, DurableOutcome::QueueLimit));
        let builder = MockBuilder::allowing_repeats();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, running) = submit(
            &client,
            &JobRequest {
                run_limit: limit,
                ..request("running")
            },
        )
        .await;
        assert_eq!(ended(&running).await, (1, DurableOutcome::RunLimit));
        builder.is_cancelled("w1 running").await;
    });
}

#[test]
fn what_cannot_be_kept_is_refused_and_disturbs_no_other_job() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let label = request("image").labels[0].clone();
        let twice = JobRequest {
            labels: vec![label.clone(), label],
            ..request("image")
        };
        let elsewhere = JobRequest {
            pool: "other".to_owned(),
            ..request("image")
        };
        let of_a_long_kind = JobRequest {
            description: custom(&"k".repeat(256), "").encode().unwrap(),
            ..request("image")
        };
        for (refused, why) in [
            (twice, "given twice"),
            (elsewhere, "other"),
            (of_a_long_kind, "custom.kind"),
        ] {
            let error = client.submit_durable(&refused).await.unwrap_err();
            assert!(error.reason.contains(why), "{error:?}");
        }
        let (_, job) = submit(&client, &request("image")).await;
        job.cancel().await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByClient));
    });
}
