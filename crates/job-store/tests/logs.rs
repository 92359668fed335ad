//! Logs on a real disk.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use job_store::logs::{LogError, LogTime, Logs, MAX_READ_BYTES};
use jobs::{AttemptId, JobId};

const ATTEMPT: AttemptId = AttemptId {
    job: JobId::from_bits(0x0123_4567_89ab_cdef),
    number: 2,
};

struct Folder {
    folder: tempfile::TempDir,
    logs: Logs,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let logs = Logs::open(folder.path()).expect("a folder of logs");
        Self { folder, logs }
    }

    /// The log has so many bytes, all of them known, and not easy to compress.
    fn with_log(length: usize) -> (Self, Vec<u8>) {
        let text: Vec<u8> = (0_u64..)
            .flat_map(|line| {
                format!("{:x}\n", (line * line).wrapping_mul(0x9e37_79b9)).into_bytes()
            })
            .take(length)
            .collect();
        let folder = Self::new();
        let mut writer = folder.logs.write(ATTEMPT).expect("a new log");
        writer.append(0, &text).expect("the disk takes it");
        writer.sync().expect("the disk takes it");
        (folder, text)
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder
            .path()
            .join("28")
            .join(format!("28t5cy4tqkff.2.{extension}"))
    }

    fn read(&self, offset: usize, at_most: usize) -> Vec<u8> {
        self.logs
            .read(ATTEMPT, offset as u64, at_most)
            .expect("it can be read")
    }
}

#[test]
fn a_log_grows_without_gap_and_without_repetition() {
    let folder = Folder::new();
    let mut writer = folder.logs.write(ATTEMPT).expect("a new log");
    writer.append(0, b"one ").expect("it belongs there");
    writer.append(2, b"e two ").expect("a part of it is new");
    writer.append(0, b"one").expect("nothing of it is new");
    let gap = writer
        .append(11, b"four")
        .expect_err("something is missing");
    assert!(
        matches!(
            gap,
            LogError::Gap {
                length: 8,
                offset: 11,
                ..
            }
        ),
        "{gap:?}"
    );
    drop(writer);
    let mut writer = folder.logs.write(ATTEMPT).expect("it goes on");
    assert_eq!(writer.length(), 8);
    writer.append(8, b"three").expect("it belongs there");
    assert_eq!(folder.read(0, 100), b"one two three");
    assert_eq!(folder.read(4, 3), b"two");
    assert_eq!(folder.read(13, 3), b"");
    assert_eq!(folder.read(usize::MAX, 3), b"");
}

#[test]
fn an_archived_log_is_the_same_at_every_offset() {
    let (folder, text) = Folder::with_log(1_000_000);
    folder.logs.archive(ATTEMPT).expect("the disk takes it");
    assert!(!folder.file("log").exists());
    assert_eq!(
        folder.logs.length(ATTEMPT).expect("it can be read"),
        1_000_000
    );
    for offset in (0..1_000_100)
        .step_by(33_333)
        .chain([262_143, 262_144, 262_145, 999_999, 1_000_000])
    {
        let expected: Vec<u8> = text.iter().skip(offset).take(70_000).copied().collect();
        assert_eq!(folder.read(offset, 70_000), expected, "at {offset}");
    }
    folder.logs.archive(ATTEMPT).expect("nothing is left to do");
    assert!(matches!(
        folder.logs.write(ATTEMPT),
        Err(LogError::Complete(ATTEMPT))
    ));
}

#[test]
fn an_empty_log_can_be_archived() {
    let (folder, _) = Folder::with_log(0);
    folder.logs.archive(ATTEMPT).expect("the disk takes it");
    assert_eq!(folder.read(0, 10), b"");
}

#[test]
fn a_read_is_bounded() {
    let (folder, text) = Folder::with_log(3_000_000);
    assert_eq!(folder.read(0, usize::MAX), text[..MAX_READ_BYTES]);
    folder.logs.archive(ATTEMPT).expect("the disk takes it");
    assert_eq!(folder.read(5, usize::MAX), text[5..5 + MAX_READ_BYTES]);
}

#[test]
fn what_a_killed_process_left_does_no_harm() {
    let (folder, text) = Folder::with_log(1_000);
    fs::write(folder.file("zst.draft"), "half of it").expect("written");
    folder.logs.archive(ATTEMPT).expect("it is written over");
    assert_eq!(folder.read(0, 2_000), text);
    // Killed after the archive was whole, and before the log was removed.
    fs::write(folder.file("log"), &text).expect("written");
    assert_eq!(folder.read(0, 2_000), text);
    folder.logs.archive(ATTEMPT).expect("it goes on");
    assert!(!folder.file("log").exists());
}

#[test]
fn a_damaged_archive_is_an_error_and_no_panic() {
    let (folder, text) = Folder::with_log(100_000);
    folder.logs.archive(ATTEMPT).expect("the disk takes it");
    let good = fs::read(folder.file("zst")).expect("a file");
    for at in (0..good.len())
        .step_by(997)
        .chain(good.len() - 20..good.len())
    {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        fs::write(folder.file("zst"), &bytes).expect("written");
        if let Ok(read) = folder.logs.read(ATTEMPT, 0, 100_000) {
            assert!(
                text.starts_with(&read),
                "other bytes, with a changed one at {at}"
            );
        }
        fs::write(folder.file("zst"), &good[..at]).expect("written");
        folder
            .logs
            .read(ATTEMPT, 0, 100_000)
            .expect_err("it is cut short");
    }
}

#[test]
fn what_is_removed_is_gone() {
    let (folder, _) = Folder::with_log(10);
    folder.logs.remove(ATTEMPT.job, 3).expect("removed");
    assert!(matches!(
        folder.logs.read(ATTEMPT, 0, 10),
        Err(LogError::Missing(ATTEMPT))
    ));
    folder
        .logs
        .remove(ATTEMPT.job, 3)
        .expect("nothing is left to do");
}

#[test]
fn what_a_killed_process_left_behind_is_removed() {
    let (folder, text) = Folder::with_log(1000);
    let other = AttemptId {
        job: JobId::from_bits(0x0123_4567_89ab_cdee),
        ..ATTEMPT
    };
    let earlier = AttemptId {
        number: 1,
        ..ATTEMPT
    };
    for left in [other, earlier] {
        folder.logs.write(left).expect("a new log");
    }
    fs::write(folder.file("zst.draft"), "half").expect("wrote a file");
    let foreign = ["notes", "28t5cy4tqkff.x.log", "28t5cy4tqkff.2.log.old"];
    let foreign = foreign.map(|name| folder.file("log").with_file_name(name));
    for path in &foreign {
        fs::write(path, "not ours").expect("wrote a file");
    }
    let folders = folder.logs.folders().expect("a list");
    assert_eq!(folders, [folder.folder.path().join("28")]);
    let removed = folder.logs.sweep(&folders[0], |attempt| attempt == ATTEMPT);
    assert_eq!(removed.expect("it can be swept"), 3);
    assert_eq!(folder.read(0, 1000), text);
    for left in [other, earlier] {
        let missing = folder.logs.length(left);
        assert!(matches!(missing, Err(LogError::Missing(_))), "{missing:?}");
    }
    assert!(!folder.file("zst.draft").exists());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn each_log_is_listed_once_whatever_files_it_has() {
    let (folder, text) = Folder::with_log(1000);
    let listed = || {
        let logs = folder.logs.list(&folder.folder.path().join("28"));
        let logs = logs.expect("a list").into_iter();
        logs.map(|log| (log.attempt.number, log.is_archived))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(), [(2, false)]);
    let other = AttemptId {
        number: 1,
        ..ATTEMPT
    };
    folder.logs.write(other).expect("a new log");
    folder.logs.archive(ATTEMPT).expect("the disk takes it");
    fs::write(folder.file("zst.draft"), "half").expect("wrote a file");
    assert_eq!(listed(), [(1, false), (2, true)]);
    // Killed after the archive was whole, and before the log was removed.
    fs::write(folder.file("log"), &text).expect("wrote a file");
    assert_eq!(listed(), [(1, false), (2, true)]);
}

/// Returns the times at these offsets, each a second after the one before.
fn times(offsets: &[u64]) -> Vec<LogTime> {
    let seconds = (0..).map(Duration::from_secs);
    let times = offsets.iter().zip(seconds);
    times
        .map(|(offset, at)| LogTime {
            offset: *offset,
            at,
        })
        .collect()
}

fn offsets(logs: &Logs, start: u64, end: u64, at_most: usize) -> Vec<u64> {
    let found = logs.times(ATTEMPT, start, end, at_most).expect("a file");
    found.iter().map(|time| time.offset).collect()
}

#[test]
fn times_are_kept_beside_a_log_and_go_with_it() {
    let folder = Folder::new();
    let logs = &folder.logs;
    assert_eq!(logs.last_time(ATTEMPT).expect("no file"), None);
    assert!(offsets(logs, 0, 100, 9).is_empty());
    let mut writer = logs.write(ATTEMPT).expect("a log");
    writer.append(0, &[b'x'; 100]).expect("it can be written");
    let first = times(&[0, 10, 20]);
    logs.add_times(ATTEMPT, &first)
        .expect("they can be written");
    assert_eq!(logs.last_time(ATTEMPT).expect("a file"), Some(first[2]));
    // Sent again, with one more.
    logs.add_times(ATTEMPT, &times(&[10, 20, 30]))
        .expect("they can be written");
    assert_eq!(offsets(logs, 0, 100, 9), [0, 10, 20, 30]);
    // First that of what is at the start; none from the end on.
    assert_eq!(offsets(logs, 15, 30, 9), [10, 20]);
    assert_eq!(offsets(logs, 20, 100, 9), [20, 30]);
    assert_eq!(offsets(logs, 99, 100, 9), [30]);
    assert_eq!(offsets(logs, 0, 100, 2), [0, 10]);
    assert!(offsets(logs, 50, 50, 9).is_empty());
    // A process that was killed has left a part of one.
    let file = folder.file("times");
    let mut bytes = fs::read(&file).expect("a file");
    bytes.extend([1, 2, 3]);
    fs::write(&file, bytes).expect("it can be written");
    logs.add_times(ATTEMPT, &times(&[40]))
        .expect("they can be written");
    assert_eq!(offsets(logs, 25, 100, 9), [20, 30, 40]);
    // They are counted, stay when the log is compressed, and go with it.
    logs.archive(ATTEMPT).expect("it can be compressed");
    let archive = file.with_extension("zst");
    let size = |path| fs::metadata(path).expect("a file").len();
    let stored = logs.stored_bytes(ATTEMPT).expect("a log");
    assert_eq!(stored, size(&archive) + size(&file));
    assert_eq!(offsets(logs, 25, 100, 9), [20, 30, 40]);
    logs.remove_one(ATTEMPT).expect("it can be removed");
    assert!(!file.exists());
    // One whose log is not kept is swept.
    logs.add_times(ATTEMPT, &times(&[0]))
        .expect("they can be written");
    let parent = file.parent().expect("a folder");
    assert_eq!(logs.sweep(parent, |_| true).expect("it can be read"), 0);
    assert_eq!(logs.sweep(parent, |_| false).expect("it can be read"), 1);
    assert!(!file.exists());
}

#[test]
fn there_is_a_limit_for_the_times_of_a_log() {
    let folder = Folder::new();
    let logs = &folder.logs;
    drop(logs.write(ATTEMPT).expect("a log"));
    let many: Vec<u64> = (0..70_000).collect();
    logs.add_times(ATTEMPT, &times(&many))
        .expect("they can be written");
    let last = logs.last_time(ATTEMPT).expect("a file").expect("a time");
    assert_eq!(last.offset, 65_535);
    logs.add_times(ATTEMPT, &times(&[80_000]))
        .expect("they can be written");
    assert_eq!(logs.last_time(ATTEMPT).expect("a file"), Some(last));
}
