//! What other programs of the machine get to see.

#![expect(
    clippy::disallowed_methods,
    reason = "tests poll what other processes do"
)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::LIMIT;

/// A user and group that own nothing.
const NOBODY: u32 = 65_534;

/// A scheduler of an ordinary user, if there is one to be had: of root's programs, all files in /proc are root's.
struct Scheduler {
    dir: tempfile::TempDir,
    child: std::process::Child,
}

impl Scheduler {
    fn command(dir: &Path) -> Command {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_ocluster-scheduler");
        command
            .args([
                "-c",
                "umask 022; ulimit -c unlimited; exec \"$0\" \"$@\"",
                program,
            ])
            .args(["--capnp-secret-key-file=key.pem", "--secrets-dir=."])
            .args(["--state-dir=state", "--pools=p"])
            .arg("--capnp-listen-address=tcp:127.0.0.1:0")
            .current_dir(dir)
            .env_clear()
            .env("OCLUSTER_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if is_root() {
            chown(dir, Some(NOBODY), Some(NOBODY)).expect("gave it away");
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("state")).expect("made");
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(dir.path().join("state"), open).expect("set");
        if is_root() {
            chown(dir.path().join("state"), Some(NOBODY), Some(NOBODY)).expect("gave it away");
        }
        let log = File::create(dir.path().join("log")).expect("made the log");
        let child = Self::command(dir.path())
            .stderr(log)
            .spawn()
            .expect("started");
        let scheduler = Self { dir, child };
        let start = Instant::now();
        while !scheduler.dir.path().join("pool-p.cap").exists() {
            assert!(start.elapsed() < LIMIT, "{}", scheduler.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        scheduler
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }

    fn mode(&self, file: &str) -> u32 {
        let found = fs::metadata(self.dir.path().join(file));
        found
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .mode()
            & 0o777
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

#[test]
fn its_memory_is_in_no_core_file_and_unreadable_for_others() {
    let scheduler = Scheduler::start();
    let process = format!("/proc/{}", scheduler.child.id());
    // The system's word for a process that its own user cannot inspect.
    let owner = fs::metadata(format!("{process}/environ"))
        .expect("it runs")
        .uid();
    assert_eq!(owner, 0, "it can be dumped and traced");
    let limits = fs::read_to_string(format!("{process}/limits")).expect("read");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let soft = core.and_then(|line| line.split_whitespace().nth(4));
    assert_eq!(soft, Some("0"), "{core:?}");

    assert_eq!(scheduler.mode("state"), 0o700);
    for file in [
        "state/scheduler.db",
        "state/scheduler.db-wal",
        "state/scheduler.db-shm",
        "state/scheduler.lock",
        "key.pem",
        "admin.cap",
        "submission.cap",
        "pool-p.cap",
    ] {
        assert_eq!(scheduler.mode(file), 0o600, "{file}");
    }
    let log = scheduler.log();
    assert!(
        log.contains("accessible only to its owner; its mode was 755"),
        "{log}"
    );
}

#[test]
fn no_file_is_written_through_a_link() {
    for name in ["scheduler.db", "scheduler.db-wal", "scheduler.lock"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = dir.path().join("state");
        fs::create_dir(&state).expect("made");
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").expect("wrote");
        symlink(&precious, state.join(name)).expect("made a link");
        if is_root() {
            for path in [&state, &precious] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("gave it away");
            }
        }
        let output = Scheduler::command(dir.path()).output().expect("ran");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(&format!("{name} is not a plain file; move it away")),
            "{errors}"
        );
        assert_eq!(fs::read_to_string(&precious).expect("read"), "precious");
    }
}
