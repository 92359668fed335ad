//! A step that takes all there is, beside one that only wants to go on.

use cgroup::Limits;
use obuilder::sandbox::{Exit, LimitReached, Sandbox as _, SandboxError};
use tokio_util::sync::CancellationToken;

use crate::room::{Room, Text, script, wait};

crate::for_each_runtime! {
    a_fork_bomb_is_its_own_trouble
    a_memory_hog_is_its_own_trouble
    a_step_within_its_limits_does_not_see_them
}

/// Starts programs and uses memory for a while, and succeeds if nothing is denied.
const BYSTANDER: &str = "for n in $(seq 20); do /bin/true || exit; done; head -c 20M /dev/zero | tail >/tmp/used; echo well";

/// Runs a step beside a bystander, and returns how it ended when that has gone on to its end.
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

fn a_fork_bomb_is_its_own_trouble(room: &Room) {
    let limits = Limits {
        pids: "100".parse().ok(),
        ..Limits::default()
    };
    // Bounded, should nothing else stop it.
    let bomb = "exec perl -e 'for (1..2000) { my $p = fork; exit 3 unless defined $p; unless ($p) { sleep 60; exit } }'";
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

fn a_memory_hog_is_its_own_trouble(room: &Room) {
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

/// What fails for reasons of its own is not said to have reached a limit.
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
