//! Real programs: what they print, how they end, and that they do.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told by variables what to do"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::{Command, Environment, ProcessError, Processes};
use crate::cancel::Cancel;
use crate::testing::{TestLog, local};

/// A shell script as a program.
fn script(text: &str) -> Command {
    Command::new("a-script", "sh", ["-c", text], environment())
}

fn environment() -> Environment {
    Environment::default().with("PATH", "/usr/bin:/bin")
}

/// Runs it and compares its log, with how it ended as the last line.
fn check(command: &Command, expected: Expect) {
    local(async {
        let test = TestLog::new();
        let end = match Processes::new()
            .run(command, &test.log, &Cancel::new())
            .await
        {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        test.log.line(end).unwrap();
        expected.assert_eq(&test.text());
    });
}

/// Waits until a file has some text, which a script writes there.
async fn read_when_written(path: &Path) -> String {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Waits until a process has ended, though perhaps nobody has waited for it.
async fn gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn both_outputs_are_merged_in_order() {
    check(
        &script("echo one; echo two >&2; echo three; exit 3"),
        expect![[r#"
            one
            two
            three
            a-script failed with exit-code 3
        "#]],
    );
}

#[test]
fn its_input_is_what_it_was_given_and_then_ends() {
    check(
        &script("cat; echo; echo end"),
        expect![
            "
        
        end
        ok
    "
        ],
    );
    check(
        &script("cat; echo; echo end").reading("secret"),
        expect![[r#"
            secret
            end
            ok
        "#]],
    );
}

#[test]
fn its_environment_is_what_it_was_given() {
    let command = Command::new("env", "env", [""; 0], environment().with("A", "b c"));
    local(async {
        let answer = Processes::new()
            .ask(&command, &Cancel::new())
            .await
            .unwrap();
        let mut lines: Vec<_> = answer
            .lines()
            .filter(|line| !line.starts_with("PWD="))
            .collect();
        lines.sort_unstable();
        // Some shells add variables of their own; ours must be there, and none of the test's.
        assert!(
            lines.contains(&"A=b c") && lines.contains(&"PATH=/usr/bin:/bin"),
            "{lines:?}"
        );
        assert!(!answer.contains("CARGO"), "{answer}");
    });
}

#[test]
fn the_ways_to_fail() {
    check(
        &script("kill -KILL $$"),
        expect![
            "
        a-script failed with signal SIGKILL
    "
        ],
    );
    let missing = Command::new("docker-build", "nosuch", [""; 0], environment());
    check(
        &missing,
        expect![[r#"
        cannot run "nosuch" for docker-build: no such program in PATH
    "#]],
    );
    let missing = Command::new("docker-build", "/nosuch/docker", [""; 0], environment());
    check(
        &missing,
        expect![[r#"
        cannot run "/nosuch/docker" for docker-build: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn it_is_shown_without_credentials() {
    let command = Command::new("ours", "curl", ["http://u:pw@h/x y"], environment());
    assert_eq!(command.to_string(), r#""curl" "http://…@h/x y""#);
}

#[test]
fn only_what_programs_need_is_passed_on() {
    let vars = [
        ("PATH", "/bin"),
        ("DOCKER_HOST", "tcp://x"),
        ("LC_ALL", "C"),
        ("TOKEN", "s3cret"),
    ];
    let environment = Environment::from_vars(vars.map(|(k, v)| (k.into(), v.into())));
    expect![[r#"
        {"DOCKER_HOST", "LC_ALL", "PATH"}"#]]
    .assert_eq(&format!("{environment:?}"));
}

#[test]
fn an_answer_is_its_output_alone() {
    local(async {
        let ask = async |text| Processes::new().ask(&script(text), &Cancel::new()).await;
        assert_eq!(
            ask("echo noise >&2; echo answer").await.as_deref(),
            Ok("answer\n")
        );
        let failed = ProcessError::Exit {
            label: "a-script".into(),
            code: 9,
        };
        assert_eq!(ask("echo no; exit 9").await, Err(failed));
        // A program that says too much is cut short, but not held up.
        assert_eq!(
            ask("yes | head -c 3000000").await.unwrap().len(),
            super::MAX_ANSWER
        );
    });
}

#[test]
fn cancelling_stops_the_whole_group() {
    local(async {
        let test = TestLog::new();
        let note = test.dir.path().join("pids");
        let text = format!(
            "trap 'echo stopping; exit' TERM; (trap '' TERM; sleep 1000) & echo $! > {}; wait",
            note.display()
        );
        let cancel = Cancel::new();
        let cancelled = async {
            let pid = read_when_written(&note).await;
            cancel.cancel();
            pid
        };
        let processes = Processes::new();
        let command = script(&text);
        let (result, pid) = tokio::join!(processes.run(&command, &test.log, &cancel), cancelled);
        assert_eq!(result, Err(ProcessError::Cancelled));
        assert_eq!(test.text(), "stopping\n");
        gone(&pid).await;
    });
}

#[test]
fn dropping_it_stops_the_whole_group() {
    local(async {
        let test = TestLog::new();
        let note = test.dir.path().join("pids");
        let command = script(&format!("sleep 1000 & echo $! > {}; wait", note.display()));
        let (processes, cancel) = (Processes::new(), Cancel::new());
        let pid = tokio::select! {
            _ = processes.run(&command, &test.log, &cancel) => panic!("it should sleep"),
            pid = read_when_written(&note) => pid,
        };
        gone(&pid).await;
    });
}

#[test]
fn what_a_program_leaves_behind_does_not_hold_up_its_end() {
    local(async {
        let test = TestLog::new();
        let note = test.dir.path().join("pids");
        let command = script(&format!(
            "(sleep 1; echo late) & echo $! > {}",
            note.display()
        ));
        let result = Processes::new()
            .run(&command, &test.log, &Cancel::new())
            .await;
        assert_eq!(result, Ok(()));
        assert_eq!(test.text(), "");
        gone(&read_when_written(&note).await).await;
    });
}

#[test]
fn a_full_log_stops_the_program() {
    local(async {
        let test = TestLog::with_limit(1000);
        let result = Processes::new()
            .run(&script("yes"), &test.log, &Cancel::new())
            .await;
        let error = result.unwrap_err().to_string();
        assert_eq!(
            error,
            "the job's log is larger than this worker allows (1000 bytes)"
        );
        assert_eq!(test.log.length(), 1000);
    });
}

#[test]
fn a_program_inherits_no_connection() {
    local(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let answer = Processes::new()
            .ask(
                &script("for fd in /proc/$$/fd/*; do readlink $fd; done; true"),
                &Cancel::new(),
            )
            .await
            .unwrap();
        drop((client, server));
        // Its three pipes, and what the shell itself has open to list them.
        assert!(answer.contains("pipe:"), "{answer}");
        assert!(
            !answer.contains("socket:") && !answer.contains("eventpoll"),
            "{answer}"
        );
    });
}

#[test]
fn a_killed_worker_takes_its_programs_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("pids");
    // This test again, as the worker that is going to be killed.
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::tests::the_worker_to_be_killed",
            "--nocapture",
        ])
        .env("PIDS", &note)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    local(async {
        let pid = read_when_written(&note).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        gone(&pid).await;
    });
}

/// Not a test by itself: see [`a_killed_worker_takes_its_programs_with_it`].
#[test]
fn the_worker_to_be_killed() {
    let Some(note) = std::env::var_os("PIDS") else {
        return;
    };
    let text = format!(
        "(sleep 1000) & echo $! > {}; wait",
        Path::new(&note).display()
    );
    local(async {
        let test = TestLog::new();
        Processes::new()
            .run(&script(&text), &test.log, &Cancel::new())
            .await
            .unwrap();
    });
}
