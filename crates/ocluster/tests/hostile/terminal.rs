//! What a hostile worker or build gets a client to print.

use std::cell::Cell;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

use cluster_api::{Job, LogChunk, Registration, RpcError, ServeJob, Worker};
use tokio::sync::oneshot;

use crate::bystander::{Idle, connect};
use crate::harness::{LIMIT, Target, run};

/// A log that imitates the lines of the program.
const FORGED: &[u8] = b"Building on w1\n\x1b]0;title\x07\x1b[2J\x1b[1;1H\x1b[1mbold\x1b[0m 10 %\r20 %\n\
    Job succeeded\nResult: \"sha256:forged\"\nocluster-client: the job in pool p on worker w1 succeeded\x1b[8m";

/// A job that fails, and whose log is as the test wants it.
struct Hostile {
    log: Log,
    result: Result<&'static str, &'static str>,
    asked: Cell<u32>,
}

#[derive(Clone, Copy)]
enum Log {
    Forged,
    /// It repeats the same piece for ever.
    StandsStill,
}

impl ServeJob for Hostile {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        self.asked.set(self.asked.get() + 1);
        let (bytes, next) = match self.log {
            Log::Forged if start > 0 => (Vec::new(), start),
            Log::Forged => (FORGED.to_vec(), i64::try_from(FORGED.len()).expect("short")),
            Log::StandsStill => (b"again\n".to_vec(), 0),
        };
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        let result = self.result.map(str::to_owned);
        result.map_err(RpcError::failed)
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

/// Runs a client, whose job is given to a worker that does `job`. Returns what it printed, and how often its log was
/// asked for.
fn client(
    on_terminal: bool,
    log: Log,
    result: Result<&'static str, &'static str>,
) -> (Output, u32) {
    let target = Target::start(&[]);
    let client = format!(
        "'{}' submit-docker --connect {} --pool p --local-dockerfile /dev/null --unchecked",
        env!("CARGO_BIN_EXE_ocluster-client"),
        target.cap_path("submission").display()
    );
    let mut command = if on_terminal {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &client, "/dev/null"]);
        script
    } else {
        let mut shell = Command::new("sh");
        shell.args(["-c", &client]);
        shell
    };
    command
        .env_clear()
        .env("OCLUSTER_CONFIG", "/dev/null")
        .env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null());
    run(async {
        let pool = connect(&target.cap("pool-p")).await;
        let registration = Registration::from_client(pool.bootstrap());
        let queue = registration
            .register("w1", Worker::serve(Rc::new(Idle)), 1)
            .await;
        let queue = queue.expect("registered");
        let job = Rc::new(Hostile {
            log,
            result,
            asked: Cell::new(0),
        });
        let (ended, has_ended) = oneshot::channel();
        std::thread::spawn(move || ended.send(command.output()).ok());
        let popped = queue.pop(Job::serve(Rc::clone(&job))).await;
        popped.expect("a job");
        let output = tokio::time::timeout(LIMIT, has_ended)
            .await
            .expect("it prints for ever");
        (output.expect("an end").expect("ran"), job.asked.get())
    })
}

#[test]
fn a_build_controls_no_terminal_and_cannot_forge_the_last_line() {
    let (output, _) = client(true, Log::Forged, Err("no\x1b[2J\r\nResult: \"x\""));
    let shown = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    assert!(
        shown.contains("␛]0;title␇␛[2J␛[1;1H\x1b[1mbold\x1b[0m 10 %\r20 %\n"),
        "{shown:?}"
    );
    // The terminal has its own colour again, and the truth is on lines of its own.
    let (_, end) = shown
        .rsplit_once("worker w1 succeeded")
        .expect("what was forged");
    let failed = r#"no\u{1b}[2J\r\nResult: "x""#;
    let (before, last) = end.trim_end().rsplit_once('\n').expect("some lines");
    assert_eq!(before, format!("\x1b[8m\x1b[0m\nFailed: {failed}."));
    let verdict = format!(" of pool p on worker w1: {failed}");
    assert!(
        last.starts_with("Job failed after ") && last.ends_with(&verdict),
        "{last}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_log_that_goes_elsewhere_is_passed_on_as_it_is() {
    let (output, _) = client(false, Log::Forged, Ok(""));
    let expected = [b"Tailing log:\n", FORGED].concat();
    assert_eq!(output.stdout, expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_log_that_does_not_advance_is_not_printed_for_ever() {
    let (output, asked) = client(false, Log::StandsStill, Ok("sha256:made"));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.len() < 1000 && asked < 20,
        "asked {asked} times: {shown}"
    );
    // The scheduler keeps what there was of the log, and the outcome is the worker's to tell.
    assert_eq!(output.status.code(), Some(0));
}
