//! Logs in an object store: a real S3 server, which is away, refuses access, or has other bytes than it was given.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cluster_api::DurableJob;
use cluster_scheduler::{
    Acknowledge, LogStoreAddress, LogStoreCredentials, LogStoreSettings, SchedulerConfig,
};
use job_store::log_store::{LogStore, LogStoreError};
use jobs::{AttemptId, JobId};
use rig::S3Server;
use rusqlite::Connection;
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story, story_with_paused_time, until};
use tokio::net::TcpListener;

use crate::durable::{connect, ended, log, request, submit, success};
use crate::metrics::shows;

/// A scheduler that keeps logs in an S3 server, and removes them from its disk at once.
struct StoreSite {
    site: Site,
    server: Option<S3Server>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

fn settings(address: &str, secret: &str) -> LogStoreSettings {
    let address: LogStoreAddress = address.parse().unwrap();
    let variables = [
        ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    LogStoreSettings {
        address,
        credentials: LogStoreCredentials::new(variables),
        cache_bytes: 0,
        acknowledge: Acknowledge::OnDisk,
    }
}

impl StoreSite {
    async fn start(adjust: impl FnOnce(&mut SchedulerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = S3Server::start(folder.path()).unwrap();
        let settings = settings(&server.log_store(), S3Server::SECRET_KEY);
        let site = Site::start_with(|config| {
            config.log_store = Some(settings);
            config.metrics = Some("127.0.0.1:0".parse().unwrap());
            adjust(config);
        })
        .await;
        Self {
            site,
            address: server.address(),
            server: Some(server),
            folder,
        }
    }

    /// Stops the server.
    fn go_away(&mut self) {
        self.server = None;
    }

    fn come_back(&mut self) {
        self.server = Some(S3Server::start_at(self.address, self.folder.path()).unwrap());
    }

    /// Returns the files of the objects.
    fn objects(&self) -> Vec<PathBuf> {
        archives_in(&self.folder.path().join("logs"))
    }

    /// Returns the logs on the scheduler's disk.
    fn on_disk(&self) -> Vec<PathBuf> {
        archives_in(&self.site.config.state_dir.join("job-logs"))
    }

    /// Waits until so many logs are in the store, and none is on disk any more.
    async fn until_stored(&self, logs: usize) {
        until("the logs are in the store", async || {
            self.objects().len() == logs && self.on_disk().is_empty() && self.counted() == logs
        })
        .await;
    }

    fn database(&self) -> Connection {
        Connection::open(self.site.config.state_dir.join("jobs.db")).unwrap()
    }

    fn counted(&self) -> usize {
        let count = "SELECT count(*) FROM logs WHERE bytes > 0";
        self.database()
            .query_row(count, [], |row| row.get(0))
            .unwrap()
    }

    /// Has a job done, and returns its id and its log, as it is shown then.
    async fn has_done(&self, builder: &MockBuilder, name: &str) -> (String, String) {
        let (client, _connected) = connect(&self.site).await;
        let (id, job) = submit(&client, &request(name)).await;
        builder.end(name, BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&job).await, (1, success("done")));
        let text = log(&job, 1).await;
        assert!(text.contains(name), "{text}");
        (id, text)
    }

    /// Returns what a client reads of a log from an offset.
    async fn reads(&self, id: &str, offset: u64) -> Result<String, String> {
        let (client, _connected) = connect(&self.site).await;
        let job = client.find_durable(id).await.unwrap();
        read(&job, offset).await
    }
}

async fn read(job: &DurableJob, offset: u64) -> Result<String, String> {
    let (mut bytes, mut offset) = (Vec::new(), offset);
    loop {
        let chunk = job.log(1, offset).await.map_err(|error| error.reason)?;
        if chunk.bytes.is_empty() {
            return Ok(String::from_utf8(bytes).unwrap());
        }
        bytes.extend(chunk.bytes);
        offset = chunk.next;
    }
}

/// Returns how many requests to the store have failed.
async fn failures(metrics: SocketAddr) -> u64 {
    let page = crate::metrics::get(metrics, "/metrics").await.2;
    let name = "ocluster_log_store_failures_total ";
    let value = page.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}

fn archives_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    let found = entries.flat_map(|path| match path.is_dir() {
        true => archives_in(&path),
        false => vec![path],
    });
    found
        .filter(|path| path.to_str().unwrap().ends_with("zst"))
        .collect()
}

#[test]
fn a_log_that_is_only_in_the_store_is_read_at_any_offset_by_any_scheduler() {
    story(async {
        let mut s = StoreSite::start(|_| {}).await;
        let builder = MockBuilder::new();
        builder.fill_logs(700_000);
        let worker = MockWorker::start(&s.site, "w1", 1, &builder).await;
        let (id, text) = s.has_done(&builder, "image").await;
        assert!(text.len() > 600_000);
        s.until_stored(1).await;
        assert!(s.reads(&id, 0).await.unwrap() == text);
        for offset in [1, 262_143, 262_144, 500_000, text.len() - 1, text.len()] {
            let read = s.reads(&id, offset as u64).await.unwrap();
            assert!(read == text[offset..], "at {offset}");
        }
        // How long it is is known without the store.
        let (client, connected) = connect(&s.site).await;
        let described = client.find_durable(&id).await.unwrap().describe().await;
        assert_eq!(described.unwrap().attempts[0].log_length, text.len() as u64);
        drop((client, connected, worker));

        // Another machine has the key, the database and the store, and no file of a log.
        s.site.stop().await;
        fs::remove_dir_all(s.site.config.state_dir.join("job-logs")).unwrap();
        s.site.start_again().await;
        assert!(s.reads(&id, 123_456).await.unwrap() == text[123_456..]);
        // Without the store, it is said where the log may be.
        s.site.stop().await;
        let settings = s.site.config.log_store.take();
        s.site.start_again().await;
        let error = s.reads(&id, 0).await.unwrap_err();
        assert!(
            error.contains("the scheduler needs its --log-store again"),
            "{error}"
        );
        drop(settings);
    });
}

#[test]
fn while_the_store_is_away_logs_wait_on_disk_and_none_is_lost() {
    story(async {
        let mut s = StoreSite::start(|_| {}).await;
        let metrics = s.site.scheduler().metrics_address().unwrap();
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&s.site, "w1", 4, &builder).await;
        let (before, text) = s.has_done(&builder, "before").await;
        s.until_stored(1).await;
        s.go_away();
        let mut jobs = vec![(before.clone(), text)];
        for number in 0..20 {
            jobs.push(s.has_done(&builder, &format!("job {number}")).await);
        }
        shows(
            metrics,
            &["ocluster_log_store_waiting 20", "ocluster_log_store_away 1"],
        )
        .await;
        // What is on disk is read as ever.
        assert_eq!(s.reads(&jobs[20].0, 0).await.as_ref(), Ok(&jobs[20].1));
        let error = s.reads(&before, 0).await;
        // It was read lately, or it is said that it cannot be read now.
        if let Err(error) = error {
            assert!(
                error.contains("is in the log store, which has not answered for "),
                "{error}"
            );
        }
        s.come_back();
        s.until_stored(21).await;
        shows(
            metrics,
            &["ocluster_log_store_waiting 0", "ocluster_log_store_away 0"],
        )
        .await;
        for (id, text) in &jobs {
            assert_eq!(s.reads(id, 0).await.as_ref(), Ok(text));
        }
    });
}

#[test]
fn an_outcome_is_acknowledged_when_its_log_is_in_the_store_if_that_is_asked_for() {
    story(async {
        let mut s = StoreSite::start(|config| {
            let store = config.log_store.as_mut().unwrap();
            store.acknowledge = Acknowledge::InStore;
        })
        .await;
        let metrics = s.site.scheduler().metrics_address().unwrap();
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&s.site, "w1", 1, &builder).await;
        s.go_away();
        // Its client need not wait.
        s.has_done(&builder, "image").await;
        shows(metrics, &["ocluster_log_store_waiting 1"]).await;
        let page = crate::metrics::get(metrics, "/metrics").await.2;
        let acknowledged = "ocluster_durable_oldest_unacknowledged_seconds 0\n";
        assert!(!page.contains(acknowledged), "{page}");
        s.come_back();
        s.until_stored(1).await;
        shows(metrics, &[acknowledged.trim()]).await;
    });
}

#[test]
fn a_log_that_was_changed_in_the_store_is_refused_and_so_is_a_scheduler_with_the_wrong_key() {
    story(async {
        let mut s = StoreSite::start(|_| {}).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&s.site, "w1", 1, &builder).await;
        let (id, _) = s.has_done(&builder, "image").await;
        s.until_stored(1).await;
        let object = s.objects().remove(0);
        let good = fs::read(&object).unwrap();
        let mut bytes = good.clone();
        bytes[9] ^= 1;
        for (bytes, what) in [
            (&bytes[..], "its bytes were changed"),
            (&good[..20], "it is too short"),
        ] {
            fs::write(&object, bytes).unwrap();
            s.site.restart().await;
            let error = s.reads(&id, 0).await.unwrap_err();
            assert_eq!(
                error,
                format!("the log of attempt 1 of {id} in the log store is damaged: {what}")
            );
        }
        fs::remove_file(&object).unwrap();
        s.site.restart().await;
        let error = s.reads(&id, 0).await.unwrap_err();
        assert!(
            error.contains("is not in the log store: it was removed there"),
            "{error}"
        );
        fs::write(&object, good).unwrap();
        drop(worker);

        // 403.
        s.site.stop().await;
        let address = s.server.as_ref().unwrap().log_store();
        s.site.config.log_store = Some(settings(&address, "wrong-secret"));
        s.site.start_again().await;
        let error = s.reads(&id, 0).await.unwrap_err();
        assert!(
            error.contains("is in the log store, which has not answered for "),
            "{error}"
        );
        let LogStoreSettings {
            address,
            credentials,
            ..
        } = settings(&address, "wrong-secret");
        let store = LogStore::open(&address, &credentials, b"key").unwrap();
        let error = store.list(None, 9).await.unwrap_err();
        assert!(matches!(error, LogStoreError::Refused(_)), "{error}");
        assert!(!error.to_string().contains("wrong-secret"), "{error}");
        let _worker = MockWorker::start(&s.site, "w2", 1, &builder).await;
        let (second, text) = s.has_done(&builder, "second").await;
        assert_eq!(s.reads(&second, 0).await, Ok(text));
    });
}

#[test]
fn a_store_that_cannot_write_gets_the_log_again_when_it_can() {
    story(async {
        let s = StoreSite::start(|_| {}).await;
        let metrics = s.site.scheduler().metrics_address().unwrap();
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&s.site, "w1", 1, &builder).await;
        // Where the server wants a folder, there is a file: it answers with an error, as when its disk is full.
        let in_the_way = s.folder.path().join("logs/farm");
        fs::write(&in_the_way, "").unwrap();
        let (id, text) = s.has_done(&builder, "image").await;
        shows(
            metrics,
            &["ocluster_log_store_waiting 1", "ocluster_log_store_away 1"],
        )
        .await;
        assert_eq!(s.reads(&id, 0).await.as_ref(), Ok(&text));
        fs::remove_file(&in_the_way).unwrap();
        s.until_stored(1).await;
        assert_eq!(s.reads(&id, 0).await, Ok(text));
    });
}

#[test]
fn a_store_that_does_not_answer_is_not_waited_for_without_a_limit() {
    story_with_paused_time(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let _accepting = tokio::task::spawn_local(async move {
            let mut held = Vec::new();
            while let Ok((socket, _)) = silent.accept().await {
                held.push(socket);
            }
        });
        let LogStoreSettings {
            address,
            credentials,
            ..
        } = settings(
            &format!("s3://logs/farm?endpoint=http://{address}"),
            "secret",
        );
        let store = LogStore::open(&address, &credentials, b"key").unwrap();
        let attempt = AttemptId {
            job: JobId::from_bits(7),
            number: 1,
        };
        let error = store.read(attempt, 0, 9).await.unwrap_err();
        assert!(matches!(error, LogStoreError::Away(_)), "{error}");
    });
}

#[test]
fn what_is_not_kept_any_more_is_removed_from_the_store_and_what_a_crash_left_is_found() {
    story(async {
        let mut s = StoreSite::start(|_| {}).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&s.site, "w1", 1, &builder).await;
        let (first, text) = s.has_done(&builder, "first").await;
        s.until_stored(1).await;
        let object = s.objects().remove(0);
        drop(worker);

        // Killed after the upload, and before the database had the log: it is counted at the next start.
        s.site.stop().await;
        s.database().execute("DELETE FROM logs", []).unwrap();
        let orphan = object.to_str().unwrap().replace(&first, "bbbbbbbbbbbb");
        let orphan = PathBuf::from(orphan);
        fs::create_dir_all(orphan.parent().unwrap()).unwrap();
        fs::copy(&object, &orphan).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
        for path in [&object, &orphan] {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        s.site.start_again().await;
        // The one whose job was never kept is removed.
        s.until_stored(1).await;
        assert!(object.exists());
        assert_eq!(s.reads(&first, 0).await.as_ref(), Ok(&text));

        // Old logs go, there as here; also when the store was away.
        s.site.stop().await;
        s.go_away();
        s.site.config.jobs.keep_logs = Duration::ZERO;
        s.site.start_again().await;
        until("the log has expired", async || s.counted() == 0).await;
        let error = s.reads(&first, 0).await.unwrap_err();
        assert!(error.contains("is not kept any more"), "{error}");
        let metrics = s.site.scheduler().metrics_address().unwrap();
        // The first was a look at what is there; the others are removals.
        until("removals fail", async || failures(metrics).await >= 3).await;
        assert!(object.exists());
        s.come_back();
        until("the object is removed", async || s.objects().is_empty()).await;
    });
}
