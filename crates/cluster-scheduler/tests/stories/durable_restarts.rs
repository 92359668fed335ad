//! What a killed scheduler leaves behind of durable jobs.

use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story, until};

use crate::durable::{connect, ended, log, request, submit, success};

#[test]
fn the_log_of_a_lost_attempt_can_be_read_after_a_restart() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("w1 image").await;
        let begin = job.log(1, 0).await.unwrap();
        drop((job, client, connected, worker));
        site.restart().await;
        // The job waits for another worker. What the lost one wrote is all there will be of that attempt.
        let (client, _connected) = connect(&site).await;
        let job = client.find_durable(&id).await.unwrap();
        assert!(log(&job, 1).await.as_bytes().starts_with(&begin.bytes));
    });
}

#[test]
fn a_log_whose_job_is_not_kept_is_removed_at_the_next_start() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("image").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&job).await, (1, success("done")));
        let text = log(&job, 1).await;
        drop((job, client, connected, worker));
        let logs = site.database().with_file_name("job-logs");
        let log_of = |id: &str| logs.join(&id[..2]).join(format!("{id}.1.zst"));
        until("its log is compressed", async || log_of(&id).exists()).await;
        site.stop().await;
        // As if the scheduler had been killed after it had removed a job, and before its log.
        let left = log_of(&format!("{}zzzzzzzzzz", &id[..2]));
        std::fs::copy(log_of(&id), &left).unwrap();
        site.start_again().await;
        until("it is removed", async || !left.exists()).await;
        let (client, _connected) = connect(&site).await;
        let job = client.find_durable(&id).await.unwrap();
        assert_eq!(log(&job, 1).await, text);
    });
}
