//! Durable jobs that their clients share.

use cluster_api::{DurableJob, DurableOutcome, Submission};
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story};

use crate::durable::{connect, ended, log, request, submit, success};

#[test]
fn a_shared_job_is_seen_and_not_changed() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("image").await;
        let shared = job.share().await.unwrap().parse().unwrap();

        // Who has the cap file sees the job while it runs,
        let seen = site.connect(&shared).await;
        let seen_job = DurableJob::from_client(seen.client.clone());
        assert_eq!(seen_job.describe().await.unwrap().summary.id, id);
        // cannot change it,
        for refused in [
            seen_job.cancel().await.unwrap_err(),
            seen_job.share().await.unwrap_err(),
            seen_job.retry(None, true).await.unwrap_err(),
        ] {
            assert!(refused.reason.contains("only shows it"), "{refused:?}");
        }
        // and cannot submit others.
        let submission = Submission::from_client(seen.client.clone());
        submission
            .submit_durable(&request("other"))
            .await
            .unwrap_err();
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&seen_job).await, (1, success("done")));

        // It stays valid, whatever is restarted, for that one job.
        let (_, _other) = submit(&client, &request("other")).await;
        drop((seen_job, submission, seen, job, client, connected, worker));
        site.restart().await;
        let seen = site.connect(&shared).await;
        let seen_job = DurableJob::from_client(seen.client.clone());
        assert!(log(&seen_job, 1).await.contains("Building image"));
        assert_eq!(seen_job.describe().await.unwrap().summary.id, id);
    });
}

#[test]
fn a_client_that_was_removed_neither_shares_its_job_nor_retries_it() {
    story(async {
        let site = Site::start().await;
        let (alice, _connected) = site.client("alice").await;
        let (_, job) = submit(&alice, &request("image")).await;
        let (admin, _admin_connected) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        // It learns how its job ended.
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByOperator));
        // Another client with its name is not this one.
        admin.add_client("alice").await.unwrap();
        for refused in [
            job.share().await.unwrap_err(),
            job.retry(None, true).await.unwrap_err(),
        ] {
            assert!(refused.reason.contains("revoked"), "{refused:?}");
        }
    });
}
