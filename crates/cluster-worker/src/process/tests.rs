//! Real programs: their output, and how they end or are stopped.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is configured by variables"
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

/// Runs a command and compares its log, with its result as the last line.
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

/// Waits until a script has written to a file, and returns the text.
async fn read_when_written(path: &Path) -> String {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Waits until a process has ended. Zombies count as ended.
async fn wait_until_ended(pid: &str) {
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
fn the_input_is_passed_and_closed() {
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
fn nothing_is_inherited_in_the_environment() {
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
        // Some shells add variables. The given ones must be there, and none of the test's.
        assert!(
            lines.contains(&"A=b c") && lines.contains(&"PATH=/usr/bin:/bin"),
            "{lines:?}"
        );
        assert!(!answer.contains("CARGO"), "{answer}");
    });
}

#[test]
fn failures_are_distinguished() {
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
fn commands_are_shown_without_credentials() {
    let command = Command::new("ours", "curl", ["http://u:pw@h/x y"], environment());
    assert_eq!(command.to_string(), r#""curl" "http://…@h/x y""#);
}

#[test]
fn only_needed_variables_are_passed_on() {
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
fn an_answer_is_the_standard_output() {
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
        // Too much output is cut, but does not block the program.
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
        wait_until_ended(&pid).await;
    });
}

#[test]
fn dropping_the_future_stops_the_whole_group() {
    local(async {
        let test = TestLog::new();
        let note = test.dir.path().join("pids");
        let command = script(&format!("sleep 1000 & echo $! > {}; wait", note.display()));
        let (processes, cancel) = (Processes::new(), Cancel::new());
        let pid = tokio::select! {
            _ = processes.run(&command, &test.log, &cancel) => panic!("it should sleep"),
            pid = read_when_written(&note) => pid,
        };
        wait_until_ended(&pid).await;
    });
}

#[test]
fn a_remaining_descendant_does_not_delay_the_end() {
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
        wait_until_ended(&read_when_written(&note).await).await;
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
        // Its three pipes, and the directory that the shell lists.
        assert!(answer.contains("pipe:"), "{answer}");
        assert!(
            !answer.contains("socket:") && !answer.contains("eventpoll"),
            "{answer}"
        );
    });
}

#[test]
fn the_programs_of_a_killed_worker_end() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("pids");
    // Another process of this test program, as the worker that is killed.
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::tests::the_worker_to_be_killed",
            "--nocapture",
        ])
        .env("PIDS", &note)
        // It removes nothing when it is killed.
        .env("TMPDIR", dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    local(async {
        let pid = read_when_written(&note).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        wait_until_ended(&pid).await;
    });
}

/// Not a test by itself: see [`the_programs_of_a_killed_worker_end`].
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
