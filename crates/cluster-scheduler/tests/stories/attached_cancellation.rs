//! Operators cancel jobs that clients are attached to.

use cluster_api::{DurableOutcome, JobState};
use testkit::{MockBuilder, MockWorker, Site, follow_ticket, story};

use crate::attached::{latest, list, submit};
use crate::durable::{connect, ended};

#[test]
fn an_operator_cancels_an_attached_job_by_its_id() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (admin, _admin_connected) = site.admin().await;
        let by_operator = DurableOutcome::CancelledByOperator;
        let queued = submit(&client, "queued").await;
        let job = latest(&client, 1, JobState::Queued).await;
        let id = list(&client).await.swap_remove(0).id;
        assert_eq!(admin.cancel_job(&id[..10]).await.as_ref(), Ok(&id));
        assert_eq!(ended(&job).await, (0, by_operator.clone()));
        follow_ticket(&queued).await.result.unwrap_err();

        // Its worker does not report who cancelled a job.
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&client, "running").await;
        let job = latest(&client, 2, JobState::Running).await;
        let id = list(&client).await.swap_remove(0).id;
        assert_eq!(admin.cancel_job(&id).await.as_ref(), Ok(&id));
        builder.is_cancelled("running").await;
        assert_eq!(ended(&job).await, (1, by_operator));
        follow_ticket(&running).await.result.unwrap_err();
        let error = admin.cancel_job(&id).await.unwrap_err();
        assert_eq!(error.reason, "the job has ended");
    });
}

#[test]
fn a_job_that_an_operator_could_not_cancel_is_cancelled_by_its_client() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        // It does not cancel by number, and the ticket is released: the operator has no way to the job.
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let ticket = submit(&client, "image").await;
        builder.starts("image").await;
        let number = ticket.number().await.unwrap();
        let running = ticket.job();
        drop(ticket);
        latest(&client, 1, JobState::Running).await;
        let (pool, _pool_connected) = site.pool_admin().await;
        let error = pool.cancel(number, "ann").await.unwrap_err();
        assert!(error.reason.contains("released the ticket"), "{error:?}");
        running.cancel().await.unwrap();
        let job = latest(&client, 1, JobState::Cancelled).await;
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledByClient));
    });
}
