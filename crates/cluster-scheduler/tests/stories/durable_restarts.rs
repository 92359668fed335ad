//! What a killed scheduler leaves behind of durable jobs.

use testkit::{MockBuilder, MockWorker, Site, story};

use crate::durable::{connect, log, request, submit};

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
