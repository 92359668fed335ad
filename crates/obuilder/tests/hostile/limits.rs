//! A step that exhausts a resource, beside one that must not be affected.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cgroup::Limits;
use obuilder::Sink;
use obuilder::sandbox::{Exit, LimitReached, Sandbox as _, SandboxError};
use tokio_util::sync::CancellationToken;

use crate::room::{Room, Text, script, wait};

crate::for_each_runtime! {
    a_fork_bomb_harms_only_itself
    a_memory_hog_harms_only_itself
    a_step_within_its_limits_does_not_see_them
    a_kill_for_lack_of_memory_is_reported
}

/// Starts programs and uses memory for a while, and succeeds if nothing is denied.
const BYSTANDER: &str = "for n in $(seq 20); do /bin/true || exit; done; \
                         head -c 20M /dev/zero | tail >/tmp/used; echo well";

/// Runs a step beside a bystander, and returns its end after the bystander has succeeded.
fn run_beside_bystander(room: &Room, limits: Limits, hostile: &str) -> SandboxError {
    let mut room = Room::new(room.runtime.clone());
    room.options.limits = limits;
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let (hostile, bystander) = (script(hostile), script(BYSTANDER));
    let (harm, well) = (Text::default(), Text::default());
    let (ended, other) = wait(async {
        tokio::join!(
            sandbox.run(&rootfs, &hostile, &harm, &cancel),
            sandbox.run(&rootfs, &bystander, &well, &cancel),
        )
    });
    assert!(
        matches!(other, Ok(Exit::Status(0))),
        "{other:?}: {}",
        well.text()
    );
    assert_eq!(well.text(), "well\n");
    room.check_nothing_is_left();
    ended.unwrap_err()
}

fn a_fork_bomb_harms_only_itself(room: &Room) {
    let limits = Limits {
        pids: "100".parse().ok(),
        ..Limits::default()
    };
    // Bounded, in case that the limit fails.
    let bomb = "exec perl -e 'for (1..2000) { my $p = fork; exit 3 unless defined $p; \
                unless ($p) { sleep 60; exit } }'";
    let error = run_beside_bystander(room, limits, bomb);
    assert!(
        matches!(error, SandboxError::LimitReached(LimitReached::Pids(_))),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "the step failed: it reached --job-pids=100, the most processes and threads that a job may have"
    );
}

fn a_memory_hog_harms_only_itself(room: &Room) {
    let limits = Limits {
        memory: "128MiB".parse().ok(),
        ..Limits::default()
    };
    let error = run_beside_bystander(
        room,
        limits,
        "exec perl -e '$x = q(x) x (1 << 29); sleep 1'",
    );
    assert!(
        matches!(error, SandboxError::LimitReached(LimitReached::Memory(_))),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "the step was killed: it used more than --job-memory=128MiB"
    );
}

/// A step that fails for another reason is not reported as having reached a limit.
fn a_step_within_its_limits_does_not_see_them(room: &Room) {
    let mut room = Room::new(room.runtime.clone());
    room.options.limits = Limits {
        memory: "256MiB".parse().ok(),
        pids: "100".parse().ok(),
        cpus: "1".parse().ok(),
    };
    let (shown, ended) = room.run(&script("kill -9 $$ & wait; echo well; exit 3"));
    assert!(matches!(ended, Ok(Exit::Status(3))), "{ended:?}: {shown}");
    assert_eq!(room.output(&script(BYSTANDER)), "well\n");
}

/// When a step prints something, this limits its group from outside, like a limit of the service or
/// container of this process.
struct Squeeze {
    state: PathBuf,
    /// The file for which the step waits.
    go: PathBuf,
    done: Cell<bool>,
}

impl Sink for Squeeze {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        for bundle in fs::read_dir(self.state.join("sandbox"))? {
            let groups = fs::read_to_string(bundle?.path().join("groups"))?;
            for group in groups.lines().map(Path::new) {
                for file in ["memory.limit_in_bytes", "memory.max"] {
                    if group.join(file).exists() {
                        fs::write(group.join(file), "64M")?;
                        self.done.set(true);
                    }
                }
            }
        }
        fs::write(&self.go, "")
    }
}

fn a_kill_for_lack_of_memory_is_reported(room: &Room) {
    let squeeze = Squeeze {
        state: room.state(),
        go: room.rootfs().join("go"),
        done: Cell::new(false),
    };
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    for (hog, expected) in [
        (
            "echo ready; until [ -e /go ]; do sleep 0.01; done; exec perl -e '$x = q(x) x (1 << 29); sleep 1'",
            Exit::Status(137),
        ),
        // The shell has the status of its program, and is not killed itself.
        (
            "echo ready; until [ -e /go ]; do sleep 0.01; done; perl -e '$x = q(x) x (1 << 29); sleep 1'; exit $?",
            Exit::Status(137),
        ),
    ] {
        let command = script(hog);
        drop(fs::remove_file(&squeeze.go));
        let ended = wait(sandbox.run(&rootfs, &command, &squeeze, &cancel));
        if !squeeze.done.get() {
            return rig::report_not_run("a_step_that_was_killed_for_memory", "limits of memory");
        }
        match ended {
            Err(SandboxError::OutOfMemory { exit, kill }) => {
                assert!(exit == expected || exit == Exit::Signal(9), "{exit:?}");
                let kill = kill.to_string();
                assert!(kill.contains("for lack of memory"), "{kill}");
            }
            other => panic!("{hog}: {other:?}"),
        }
    }
    room.check_nothing_is_left();
}
