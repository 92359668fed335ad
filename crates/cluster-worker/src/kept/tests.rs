//! What an earlier process has left, and what is written for a later one.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{HeldState, MAX_OUTPUT_BYTES, Outcome, PhaseKind, RpcErrorKind};
use testkit::until;

use super::KeptAttempts;
use crate::testing::local;
use crate::timeline::Timeline;

const ATTEMPT: &str = "28t5cy4tqkff-3";

/// Leaves an attempt as a process does that was killed.
fn leave(directory: &Path, log: Option<&str>, outcome: Option<&[u8]>) {
    let attempt = directory.join(ATTEMPT);
    fs::create_dir_all(&attempt).unwrap();
    if let Some(log) = log {
        fs::write(attempt.join("log"), log).unwrap();
    }
    if let Some(outcome) = outcome {
        fs::write(attempt.join("outcome"), outcome).unwrap();
    }
}

/// Returns the files in a directory that this process has open.
fn open_files_in(directory: &Path) -> Vec<PathBuf> {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    // Other tests close theirs meanwhile.
    let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(directory)).collect()
}

fn open(directory: &Path) -> Rc<KeptAttempts> {
    KeptAttempts::open(directory).unwrap()
}

#[test]
fn what_was_left_is_listed_with_its_log_until_it_is_forgotten() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let succeeded = Outcome::Succeeded("image".to_owned());
        let bytes = succeeded.to_bytes().unwrap();
        for (outcome, state) in [
            (None, HeldState::Interrupted),
            (Some(&b"\x07"[..]), HeldState::Interrupted),
            (Some(&bytes[..]), HeldState::Ended(succeeded)),
        ] {
            leave(directory.path(), Some("one\ntwo\n"), outcome);
            let kept = open(directory.path());
            let held = kept.held();
            let [held] = &*held else {
                panic!("{held:?}");
            };
            assert_eq!(
                (&held.attempt.job[..], held.attempt.number),
                ("28t5cy4tqkff", 3)
            );
            assert_eq!(held.state, state);
            assert_eq!(open_files_in(directory.path()), Vec::<PathBuf>::new());
            let chunk = held.job.log(4).await.unwrap();
            assert_eq!((&*chunk.bytes, chunk.next), (&b"two\n"[..], 8));
            assert_eq!(held.job.log(-4).await.unwrap().bytes, b"two\n");
            assert!(held.job.log(8).await.unwrap().bytes.is_empty());
            let error = held.job.log(9).await.unwrap_err();
            assert!(error.reason.contains("beyond the end"), "{error}");
            held.job.forget().await.unwrap();
            assert!(kept.held().is_empty());
            until("it is deleted", async || {
                !directory.path().join(ATTEMPT).exists()
            })
            .await;
        }
    });
}

#[test]
fn an_attempt_that_wrote_nothing_has_an_empty_log() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        leave(directory.path(), None, None);
        let kept = open(directory.path());
        let held = kept.held();
        assert!(held[0].job.log(0).await.unwrap().bytes.is_empty());
        let error = held[0].job.result().await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Failed);
    });
}

#[test]
fn a_long_outcome_is_not_listed() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let long = Outcome::Succeeded("x".repeat(MAX_OUTPUT_BYTES));
        leave(directory.path(), None, Some(&long.to_bytes().unwrap()));
        let kept = open(directory.path());
        let held = kept.held();
        assert_eq!(held[0].state, HeldState::Running);
        assert_eq!(held[0].job.outcome().await, Ok(long));
    });
}

#[test]
fn what_is_no_attempt_is_removed() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        for name in ["x", ATTEMPT, "28t5cy4tqkff", "28t5cy4tqkff-x", "UPPER-1"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let kept = open(directory.path());
        assert!(kept.held().is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    });
}

#[test]
fn what_was_left_has_its_times() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        leave(directory.path(), Some("one\ntwo\n"), None);
        let mut timeline = Timeline::default();
        let second = Duration::from_secs(1);
        timeline.begin(second, PhaseKind::Step, "RUN make", 4);
        timeline.written(second, 0, 4);
        // The disk has less of the log than was written.
        timeline.written(2 * second, 4, 8);
        timeline.written(3 * second, 8, 12);
        let file = directory.path().join(ATTEMPT).join("times");
        fs::write(&file, timeline.all().to_bytes().unwrap()).unwrap();
        let kept = open(directory.path());
        let times = kept.held()[0].job.times(0, 0).await.unwrap();
        assert_eq!(times.phases, timeline.since(0, 0).phases);
        assert_eq!((times.log.len(), times.log_length), (2, 8));
        // A file that was damaged does no harm.
        for damaged in [&b""[..], b"\x01", &[0xff; 3000]] {
            fs::write(&file, damaged).unwrap();
            let times = kept.held()[0].job.times(0, 0).await.unwrap();
            assert_eq!((times.phases, times.log), (Vec::new(), Vec::new()));
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(kept.held()[0].job.times(0, 0).await.unwrap().log, []);
    });
}
