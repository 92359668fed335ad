//! What a killed scheduler leaves behind of durable jobs.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story, until};

use crate::durable::{connect, ended, log, request, submit, success};

/// A job that has ended, and the scheduler that has stopped with it.
struct Stopped {
    site: Site,
    id: String,
    /// The log of its attempt.
    text: String,
}

impl Stopped {
    /// Has a job done, and stops the scheduler when its log is compressed and counted.
    async fn new() -> Self {
        let site = Site::start_at_socket().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&job).await, (1, success("done")));
        let text = log(&job, 1).await;
        drop((job, client, connected, worker));
        let mut stopped = Self { site, id, text };
        stopped.is_counted().await;
        stopped.site.stop().await;
        stopped
    }

    fn database(&self) -> Connection {
        Connection::open(self.site.database().with_file_name("jobs.db")).unwrap()
    }

    /// Changes the database as if the scheduler had been killed at another moment.
    fn change(&self, sql: &str) {
        assert_eq!(self.database().execute(sql, []).unwrap(), 1);
    }

    /// Waits until its log is counted among those that are whole.
    async fn is_counted(&self) {
        until("its log is counted", async || {
            let count = "SELECT count(*) FROM logs WHERE bytes > 0";
            let count: i64 = self
                .database()
                .query_row(count, [], |row| row.get(0))
                .unwrap();
            count == 1
        })
        .await;
    }

    /// Returns the path of a file of a log.
    fn file(&self, id: &str, extension: &str) -> PathBuf {
        let logs = self.site.database().with_file_name("job-logs");
        logs.join(&self.id[..2]).join(format!("{id}.1.{extension}"))
    }

    /// Returns what a client reads of its log.
    async fn read(&self) -> Result<String, String> {
        let (client, _connected) = connect(&self.site).await;
        let job = client.find_durable(&self.id).await.unwrap();
        match job.log(1, 0).await {
            Ok(_) => Ok(log(&job, 1).await),
            Err(error) => Err(error.reason),
        }
    }
}

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
        let mut stopped = Stopped::new().await;
        // As if the scheduler had been killed after it had removed a job, and before its log.
        let other = format!("{}zzzzzzzzzz", &stopped.id[..2]);
        let left = stopped.file(&other, "zst");
        fs::copy(stopped.file(&stopped.id, "zst"), &left).unwrap();
        stopped.site.start_again().await;
        until("it is removed", async || !left.exists()).await;
        assert_eq!(stopped.read().await.as_ref(), Ok(&stopped.text));
    });
}

#[test]
fn an_expired_log_is_removed_at_the_next_start() {
    story(async {
        let mut stopped = Stopped::new().await;
        let file = stopped.file(&stopped.id, "zst");
        // As if the scheduler had been killed after the log had expired, and before its file was removed.
        stopped.change("UPDATE logs SET bytes = NULL");
        assert!(file.exists());
        stopped.site.start_again().await;
        until("it is removed", async || !file.exists()).await;
        let error = stopped.read().await.unwrap_err();
        assert!(error.contains("is not kept any more"), "{error}");
    });
}

#[test]
fn a_log_that_was_compressed_and_not_counted_is_counted_after_the_next_start() {
    story(async {
        let mut stopped = Stopped::new().await;
        stopped.change("DELETE FROM logs");
        stopped.site.start_again().await;
        stopped.is_counted().await;
        assert_eq!(stopped.read().await.as_ref(), Ok(&stopped.text));
    });
}

#[test]
fn a_log_that_was_being_compressed_is_compressed_after_the_next_start() {
    story(async {
        let mut stopped = Stopped::new().await;
        let file = |extension| stopped.file(&stopped.id, extension);
        let (log, archive, draft) = (file("log"), file("zst"), file("zst.draft"));
        fs::rename(&archive, &draft).unwrap();
        fs::write(&log, &stopped.text).unwrap();
        stopped.change("DELETE FROM logs");
        stopped.site.start_again().await;
        stopped.is_counted().await;
        assert!(archive.exists() && !log.exists() && !draft.exists());
        assert_eq!(stopped.read().await.as_ref(), Ok(&stopped.text));
    });
}
