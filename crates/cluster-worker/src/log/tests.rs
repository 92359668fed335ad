//! Logs as their readers see them: near the end and far before it, while they grow and afterwards.

use std::fs;
use std::time::Duration;

use cluster_api::{Phase, PhaseKind};
use redact::Redactor;

use super::output::PAUSE;
use super::{JobLog, LogDir, LogError, MAX_CHUNK, ReadError, StepFormat, TAIL};
use crate::testing::{TestLog, local, local_with_paused_time};

/// Reads from `start` to the end.
async fn read_all(log: &JobLog, mut start: i64) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = log.read(start).await.unwrap();
        if chunk.bytes.is_empty() {
            assert_eq!(chunk.next, start);
            return all;
        }
        assert!(chunk.bytes.len() <= MAX_CHUNK);
        start += chunk.bytes.len() as i64;
        assert_eq!(chunk.next, start);
        all.extend(chunk.bytes);
    }
}

/// Bytes of which all parts differ.
fn numbers(count: usize) -> Vec<u8> {
    (0..count / 8)
        .flat_map(|i| (i as u64).to_le_bytes())
        .collect()
}

#[test]
fn a_follower_gets_new_bytes() {
    local(async {
        let TestLog { log, dir: _dir } = TestLog::new();
        let follower = tokio::task::spawn_local({
            let log = log.clone();
            async move { read_all(&log, 0).await }
        });
        for line in ["Building on w1", "Building example"] {
            log.line(line).unwrap();
            tokio::task::yield_now().await;
        }
        log.close("Job succeeded");
        let text = String::from_utf8(follower.await.unwrap()).unwrap();
        assert_eq!(text, "Building on w1\nBuilding example\nJob succeeded\n");
    });
}

#[test]
fn a_line_without_an_end_is_ended() {
    local(async {
        let test = TestLog::new();
        test.log.append(b"end").unwrap();
        test.log.line("HEAD is now at 1234567").unwrap();
        test.log.append(b"the end").unwrap();
        test.log.close("Job succeeded");
        assert_eq!(
            test.text(),
            "end\nHEAD is now at 1234567\nthe end\nJob succeeded\n"
        );
        // And no empty line is added.
        let test = TestLog::new();
        test.log.append(b"the end\n").unwrap();
        test.log.close("Job succeeded");
        assert_eq!(test.text(), "the end\nJob succeeded\n");
    });
}

#[test]
fn a_log_larger_than_memory_is_read_back_from_disk() {
    local(async {
        let TestLog { log, dir: _dir } = TestLog::new();
        let written = numbers(20 * TAIL);
        for part in written.chunks(100_000) {
            log.append(part).unwrap();
            log.room().await;
        }
        log.close("");
        let (one, two) = tokio::join!(read_all(&log, 0), read_all(&log, 5_000_001));
        // The cut line is ended, and the last line is empty.
        assert!(one[..one.len() - 2] == written);
        assert!(two[..two.len() - 2] == written[5_000_001..]);
        // The bytes that wait for the disk are limited, and so is the tail.
        while log.0.state.borrow().writing {
            tokio::task::yield_now().await;
        }
        assert!(log.0.state.borrow().tail.len() <= TAIL);
    });
}

#[test]
fn a_negative_start_counts_from_the_end() {
    local(async {
        let TestLog { log, dir: _dir } = TestLog::new();
        log.append(b"0123456789").unwrap();
        assert_eq!(log.read(-3).await.unwrap().bytes, b"789");
        assert_eq!(log.read(-3).await.unwrap().next, 10);
        assert_eq!(log.read(-100).await.unwrap().bytes, b"0123456789");
        assert_eq!(log.read(i64::MIN).await.unwrap().bytes, b"0123456789");
    });
}

#[test]
fn a_finished_log_ends_and_has_nothing_beyond() {
    local(async {
        let TestLog { log, dir: _dir } = TestLog::new();
        let waiting = tokio::task::spawn_local({
            let log = log.clone();
            async move { log.read(500).await }
        });
        log.append(&[b'x'; 98]).unwrap();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the log may yet grow to 500 bytes");
        log.close("");
        let end = log.read(100).await.unwrap();
        assert_eq!((end.bytes.len(), end.next), (0, 100));
        let error = log.read(123).await.unwrap_err();
        assert_eq!(
            error,
            ReadError::BeyondEnd {
                start: 123,
                length: 100
            }
        );
        assert_eq!(
            error.to_string(),
            "log offset 123 is beyond the end (100 bytes)"
        );
        assert_eq!(
            waiting.await.unwrap(),
            Err(ReadError::BeyondEnd {
                start: 500,
                length: 100
            })
        );
        assert!(log.read(i64::MAX).await.is_err());
    });
}

#[test]
fn a_log_has_a_limit_but_always_a_last_line() {
    local(async {
        let test = TestLog::with_limit(10);
        assert_eq!(test.log.append(b"123456"), Ok(()));
        assert_eq!(
            test.log.append(b"7890ab"),
            Err(LogError::Full { limit: 10 })
        );
        test.log.close("the job's log is larger");
        assert_eq!(test.text(), "1234567890\nthe job's log is larger\n");
    });
}

#[test]
fn the_file_is_removed_with_the_log() {
    local(async {
        let TestLog { log, dir } = TestLog::new();
        let reader = log.clone();
        log.line("hello").unwrap();
        while log.0.state.borrow().unwritten() > 0 {
            tokio::task::yield_now().await;
        }
        let file = fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        assert_eq!(fs::read_to_string(&file).unwrap(), "hello\n");
        drop(log);
        tokio::task::yield_now().await;
        assert!(file.exists(), "a reader still holds it");
        drop(reader);
        assert!(!file.exists());
    });
}

#[test]
fn logs_of_a_killed_worker_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("job-x.log"), "old").unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    LogDir::open(dir.path()).unwrap();
    assert!(!dir.path().join("job-x.log").exists());
    assert!(dir.path().join("notes.txt").exists());
}

#[test]
fn a_failed_write_is_an_error_for_the_writer_and_in_the_last_line() {
    local(async {
        let TestLog { log, dir } = TestLog::new();
        fs::remove_dir(dir.path()).unwrap();
        log.line("in memory").unwrap();
        while log.0.state.borrow().broken.is_none() {
            tokio::task::yield_now().await;
        }
        log.room().await;
        let error = log.line("more").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write the job's log: "),
            "{error}"
        );
        log.close(&error.to_string());
        let text = String::from_utf8(read_all(&log, 0).await).unwrap();
        assert_eq!(text, format!("in memory\n{error}\n"));
    });
}

#[test]
fn a_possible_beginning_of_a_secret_is_held_back() {
    local_with_paused_time(async {
        let TestLog { log, dir: _dir } = TestLog::new();
        log.line("hunter22 was seen before").unwrap();
        log.redact(Redactor::new([&b"hunter22"[..]])).unwrap();
        let shown = || String::from_utf8(log.recent(25)).unwrap();
        log.append(b"user: hun").unwrap();
        assert_eq!(shown(), "user: ");
        log.append(b"ter22; Password: hun").unwrap();
        assert_eq!(shown(), "user: ***; Password: ");
        // After a pause it is shown, but not a longer beginning.
        tokio::time::sleep(PAUSE * 2).await;
        assert_eq!(shown(), "user: ***; Password: hun");
        log.append(b" hunter2").unwrap();
        tokio::time::sleep(PAUSE * 2).await;
        assert_eq!(shown(), "user: ***; Password: hun ");
        // The worker's own lines do not continue it.
        log.line("2 jobs; hunter22").unwrap();
        assert_eq!(shown(), "user: ***; Password: hun hunter2\n2 jobs; ***\n");
        log.append(b"hunter").unwrap();
        log.close("no hunter22");
        assert!(shown().ends_with("***\nhunter\nno ***\n"), "{}", shown());
    });
}

#[test]
fn the_times_of_a_log_are_beside_its_bytes() {
    local_with_paused_time(async {
        let test = TestLog::new();
        let log = &test.log;
        log.start_clock();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        log.line("Building on w1").unwrap();
        let source = log.phase(PhaseKind::Source, "https://example.com/x");
        tokio::time::sleep(Duration::from_millis(20)).await;
        log.line("HEAD is now at 1234567").unwrap();
        drop(source);
        tokio::time::sleep(Duration::from_secs(3)).await;
        log.append(b"make: all done\n").unwrap();
        let push = log.phase(PhaseKind::Push, "example.com/x");
        log.close("Job succeeded");
        // It ends with the job.
        let times = log.times(0, 0);
        drop(push);
        let at: Vec<_> = times
            .log
            .iter()
            .map(|time| (time.offset, time.at))
            .collect();
        let ms = Duration::from_millis;
        // The second line came at once after the first.
        assert_eq!(at, [(0, ms(1500)), (38, ms(4520))]);
        assert_eq!(times.log_length, log.length());
        let phases: Vec<_> = times.phases.iter().map(|(_, phase)| phase).collect();
        let shown = |phase: &Phase| (phase.kind, phase.log_offset, phase.started, phase.ended);
        assert_eq!(
            phases.into_iter().map(shown).collect::<Vec<_>>(),
            [
                (PhaseKind::Source, 15, ms(1500), Some(ms(1520))),
                (PhaseKind::Push, 53, ms(4520), Some(ms(4520))),
            ]
        );
    });
}

#[test]
fn the_name_of_a_phase_shows_no_secret() {
    local(async {
        let test = TestLog::new();
        test.log.redact(Redactor::new([&b"hunter2!"[..]])).unwrap();
        drop(test.log.phase(PhaseKind::Step, "RUN login hunter2!"));
        let _steps = test.log.read_steps(StepFormat::BuildKit);
        let step = b"#5 [1/1] RUN echo hunter2!\n#5 DONE 0.1s\n";
        test.log.append(step).unwrap();
        test.log.flush().unwrap();
        let names = test.log.times(0, 0).phases.into_iter();
        let names: Vec<_> = names.map(|(_, phase)| phase.name).collect();
        assert_eq!(names, ["RUN login ***", "1/1 RUN echo ***"]);
    });
}

#[test]
fn steps_that_are_open_end_with_their_build() {
    local(async {
        let test = TestLog::new();
        test.log.append(b"#4 [1/1] RUN early\n").unwrap();
        let steps = test.log.read_steps(StepFormat::BuildKit);
        test.log.append(b"#5 [1/1] RUN make\n").unwrap();
        assert_eq!(test.log.times(0, 0).phases[0].1.ended, None);
        drop(steps);
        test.log.append(b"#6 [1/1] RUN late\n").unwrap();
        let phases = test.log.times(0, 0).phases;
        assert_eq!(phases.len(), 1, "{phases:?}");
        assert!(phases[0].1.ended.is_some());
        assert_eq!(phases[0].1.log_offset, 19);
    });
}
