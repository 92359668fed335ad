//! Logs in an object store: whole or refused, readable at any offset, listed and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use job_store::log_store::{LogStore, LogStoreAddress, LogStoreCredentials, LogStoreError};
use job_store::logs::{LogTime, Logs};
use jobs::{AttemptId, JobId};

const ATTEMPT: AttemptId = AttemptId {
    job: JobId::from_bits(0x0123_4567_89ab_cdef),
    number: 2,
};

/// A store in a directory, and the folder of a scheduler that uploads to it.
struct Site {
    folder: tempfile::TempDir,
    logs: Logs,
    store: LogStore,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::open(&folder.path().join("logs")).expect("a folder");
        let store = open(folder.path(), b"key");
        Self {
            folder,
            logs,
            store,
        }
    }

    /// Writes the log of an attempt with a time for each of its thousands of bytes, and compresses it.
    fn write(&self, attempt: AttemptId, text: &[u8]) {
        let mut writer = self.logs.write(attempt).expect("a new log");
        writer.append(0, text).expect("the disk takes it");
        let times = (0..text.len() as u64 / 1000).map(|number| LogTime {
            offset: number * 1000,
            at: Duration::from_secs(number),
        });
        self.logs
            .add_times(attempt, &times.collect::<Vec<_>>())
            .expect("the disk takes them");
        self.logs.archive(attempt).expect("it can be compressed");
    }

    async fn upload(&self, attempt: AttemptId) -> Result<u64, LogStoreError> {
        let (archive, times) = self
            .logs
            .for_upload(attempt)
            .expect("it can be read")
            .expect("it is there");
        let uploaded = self.store.upload(attempt, archive, times).await?;
        Ok(uploaded.length)
    }

    /// Returns the only object in the store.
    fn object(&self) -> PathBuf {
        let mut folder = self.folder.path().join("store");
        while folder.is_dir() {
            let entries = fs::read_dir(&folder).expect("a folder");
            let entries: Vec<_> = entries.flatten().collect();
            assert_eq!(entries.len(), 1, "{}", folder.display());
            folder = entries[0].path();
        }
        folder
    }
}

fn open(folder: &Path, key: &[u8]) -> LogStore {
    let address = format!("dir:{}/store", folder.display());
    let address: LogStoreAddress = address.parse().expect("an address");
    LogStore::open(&address, &LogStoreCredentials::default(), key).expect("a store")
}

/// Returns a text that is hard to compress, with bytes that are no UTF-8.
fn text(length: usize) -> Vec<u8> {
    let mut state: u64 = 7;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test)
}

#[test]
fn a_log_in_a_store_is_the_same_at_every_offset() {
    run(async {
        let site = Site::new();
        let text = text(1_000_000);
        site.write(ATTEMPT, &text);
        assert_eq!(site.upload(ATTEMPT).await.expect("uploaded"), 1_000_000);
        // Another scheduler with the same key reads it, with no file of its own.
        let other = open(site.folder.path(), b"key");
        assert_eq!(other.length(ATTEMPT).await.expect("there"), 1_000_000);
        for offset in (0..1_000_100)
            .step_by(77_777)
            .chain([262_143, 262_144, 262_145, 999_999, 1_000_000])
        {
            let read = other.read(ATTEMPT, offset as u64, 70_000).await;
            let expected: Vec<u8> = text.iter().skip(offset).take(70_000).copied().collect();
            assert!(read.expect("there") == expected, "at {offset}");
        }
        let at_once = other.read(ATTEMPT, 0, usize::MAX).await.expect("there");
        assert!(at_once == text);
        assert_eq!(other.read(ATTEMPT, u64::MAX, 9).await.expect("there"), b"");
        for (part, at_most) in [
            (0..0, 9),
            (1500..3500, 9),
            (0..1_000_000, 5),
            (999_999..u64::MAX, 9),
        ] {
            let local = site.logs.times(ATTEMPT, part.start, part.end, at_most);
            let stored = other.times(ATTEMPT, part, at_most).await;
            assert_eq!(stored.expect("there"), local.expect("a file"));
        }
        // Every program for zstd reads it.
        let object = fs::read(site.object()).expect("an object");
        assert!(zstd::decode_all(object.as_slice()).expect("it is zstd") == text);
    });
}

#[test]
fn a_large_log_is_uploaded_in_parts_and_an_empty_one_too() {
    run(async {
        let site = Site::new();
        let text = text(12_000_000);
        site.write(ATTEMPT, &text);
        site.upload(ATTEMPT).await.expect("uploaded");
        let read = site.store.read(ATTEMPT, 11_900_000, 200_000).await;
        assert!(read.expect("there") == text[11_900_000..]);
        site.store.remove(ATTEMPT).await.expect("removed");
        let missing = site.store.length(ATTEMPT).await;
        assert!(
            matches!(missing, Err(LogStoreError::Missing(ATTEMPT))),
            "{missing:?}"
        );
        site.store
            .remove(ATTEMPT)
            .await
            .expect("nothing is left to do");
        let empty = AttemptId {
            number: 3,
            ..ATTEMPT
        };
        site.write(empty, b"");
        assert_eq!(site.upload(empty).await.expect("uploaded"), 0);
        assert_eq!(site.store.read(empty, 0, 9).await.expect("there"), b"");
    });
}

#[test]
fn what_was_changed_is_refused() {
    run(async {
        let site = Site::new();
        let text = text(700_000);
        site.write(ATTEMPT, &text);
        site.upload(ATTEMPT).await.expect("uploaded");
        let object = site.object();
        let good = fs::read(&object).expect("an object");
        let mut refused = 0;
        for at in (0..good.len())
            .step_by(9_973)
            .chain(good.len() - 260..good.len())
        {
            for is_cut in [false, true] {
                let mut bytes = good.clone();
                if is_cut {
                    bytes.truncate(at);
                } else {
                    bytes[at] ^= 0x55;
                }
                fs::write(&object, bytes).expect("written");
                let store = open(site.folder.path(), b"key");
                match store.read(ATTEMPT, 0, 700_000).await {
                    // Such as the times, which are not read here.
                    Ok(read) => assert!(
                        read == text && !is_cut,
                        "other bytes, with a changed one at {at}"
                    ),
                    Err(LogStoreError::Damaged { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                let times = store.times(ATTEMPT, 0..700_000, 700).await;
                assert!(times.is_err() || times.is_ok_and(|times| times.len() == 700));
            }
        }
        assert!(refused > 400, "{refused}");
        // It is uploaded again, over what is damaged.
        site.upload(ATTEMPT).await.expect("uploaded");
        assert!(site.store.read(ATTEMPT, 0, 700_000).await.expect("there") == text);
        // That of another attempt, and of a cluster with another key.
        let other = AttemptId {
            number: 1,
            ..ATTEMPT
        };
        fs::rename(&object, object.with_file_name("1.zst")).expect("renamed");
        let exchanged = site.store.read(other, 0, 10).await.expect_err("it is of 2");
        assert!(
            exchanged.to_string().contains("is that of another attempt"),
            "{exchanged}"
        );
        let foreign = open(site.folder.path(), b"another key")
            .read(other, 0, 10)
            .await;
        assert!(
            matches!(foreign, Err(LogStoreError::Missing(_))),
            "{foreign:?}"
        );
    });
}

#[test]
fn logs_are_listed_in_pieces() {
    run(async {
        let site = Site::new();
        assert_eq!(site.store.list(None, 9).await.expect("a list"), []);
        let attempt = |bits, number| AttemptId {
            job: JobId::from_bits(bits),
            number,
        };
        let mut all = [
            attempt(5, 1),
            attempt(5, 2),
            attempt(0x0fff_ffff_ffff_ffff, 1),
            ATTEMPT,
        ];
        for attempt in all {
            site.write(attempt, b"text");
            site.upload(attempt).await.expect("uploaded");
        }
        let of_others = site.object_folder().join("notes.txt");
        fs::write(of_others, "not ours").expect("written");
        let mut found = Vec::new();
        let mut last = None;
        while let listed = site.store.list(last, 3).await.expect("a list")
            && let Some(end) = listed.last()
        {
            last = Some(end.attempt);
            found.extend(listed.into_iter().map(|log| log.attempt));
        }
        all.sort();
        found.sort();
        assert_eq!(found, all);
    });
}

#[test]
fn a_log_that_was_uploaded_can_be_removed_here() {
    run(async {
        let site = Site::new();
        let text = text(3_000);
        site.write(ATTEMPT, &text);
        site.logs.remove_cached(ATTEMPT).expect("nothing happens");
        assert_eq!(site.logs.length(ATTEMPT).expect("there"), 3_000);
        site.upload(ATTEMPT).await.expect("uploaded");
        assert!(site.logs.uploaded(ATTEMPT).expect("renamed"));
        assert!(site.logs.uploaded(ATTEMPT).expect("nothing is left to do"));
        assert!(site.logs.for_upload(ATTEMPT).expect("no error").is_none());
        assert!(site.logs.read(ATTEMPT, 0, 3_000).expect("there") == text);
        assert!(site.logs.write(ATTEMPT).is_err(), "it is complete");
        assert!(!site.logs.archive(ATTEMPT).expect("nothing is left to do"));
        let folders = site.logs.folders().expect("a list");
        let cached = site.logs.cached_logs(&folders[0]).expect("a list");
        assert_eq!(
            cached[0].bytes,
            site.logs.stored_bytes(ATTEMPT).expect("there")
        );
        site.logs.remove_cached(ATTEMPT).expect("removed");
        assert!(site.logs.length(ATTEMPT).is_err());
        assert!(site.store.read(ATTEMPT, 0, 3_000).await.expect("there") == text);
        assert!(!site.logs.uploaded(ATTEMPT).expect("it is not here"));
    });
}

impl Site {
    /// Returns the folder of the cluster in the store.
    fn object_folder(&self) -> PathBuf {
        let store = self.folder.path().join("store");
        let mut entries = fs::read_dir(store).expect("a folder");
        entries.next().expect("a folder").expect("a folder").path()
    }
}
