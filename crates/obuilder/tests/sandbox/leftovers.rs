//! What is left when the program that runs commands is killed.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told by variables what to do"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use obuilder::sandbox::{OciSandbox, Sandbox as _, SandboxOptions, SecretFile};
use tokio_util::sync::CancellationToken;

use crate::room::{Call, RUNTIME, Room, cgroups, left, named_runtime, script, wait};

crate::for_each_runtime! {
    the_next_start_removes_old_containers
    frozen_containers_are_removed
    others_files_are_left_alone
}

/// Says which state directory and root filesystem `owner` is to use.
const STATE: &str = "OBUILDER_TEST_SANDBOX_STATE";
const ROOTFS: &str = "OBUILDER_TEST_SANDBOX_ROOTFS";

/// How long things may take that take no time.
const LIMIT: Duration = Duration::from_secs(30);

/// Not a test of its own: the program that is killed.
#[test]
fn owner() {
    let Some(state) = std::env::var_os(STATE) else {
        return;
    };
    let options = SandboxOptions::default();
    let sandbox = OciSandbox::open(state.as_ref(), named_runtime(), options).unwrap();
    let rootfs = PathBuf::from(std::env::var_os(ROOTFS).unwrap());
    let ready = Call(|_: &[u8]| fs::write(rootfs.join("tmp/ready"), ""));
    let mut forever = script("setsid sleep 1000 & echo ready; while :; do sleep 1000; done");
    forever.secrets.push(SecretFile {
        value: b"secret".into(),
        target: "/secret".into(),
    });
    drop(wait(sandbox.run(
        &rootfs,
        &forever,
        &ready,
        &CancellationToken::new(),
    )));
}

/// Kills a program when it is dropped.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts a program that runs a command for ever, and returns it with the name of the container.
fn start(room: &Room) -> (Owner, String) {
    let owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leftovers::owner"])
        .env(STATE, room.state())
        .env(ROOTFS, room.rootfs())
        .env(RUNTIME, room.runtime_name())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let owner = Owner(owner);
    rig::wait_for("the command", LIMIT, || {
        Ok(room.rootfs().join("tmp/ready").exists().then_some(()))
    })
    .unwrap();
    let id = room.container();
    assert!(!cgroups(&id).is_empty());
    (owner, id)
}

fn the_next_start_removes_old_containers(room: &Room) {
    let (owner, id) = start(room);
    drop(owner);

    if room.is_builtin() {
        // It does not even wait for the next start, which has only empty groups to remove.
        rig::wait_for("the end of the container", LIMIT, || {
            let members = |cgroup: PathBuf| fs::read_to_string(cgroup.join("cgroup.procs"));
            let members: Result<String, _> = cgroups(&id).into_iter().map(members).collect();
            Ok(members?.is_empty().then_some(()))
        })
        .unwrap();
    }
    drop(room.open());
    assert_eq!(cgroups(&id), Vec::<PathBuf>::new());
    room.check_nothing_is_left();
    // And the next command runs.
    assert_eq!(room.output(&script("echo works")), "works\n");
}

/// A runtime freezes a container for a moment when it makes it, and may be killed in that moment.
fn frozen_containers_are_removed(room: &Room) {
    let (owner, id) = start(room);
    for cgroup in cgroups(&id) {
        for (file, text) in [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")] {
            if cgroup.join(file).exists() {
                fs::write(cgroup.join(file), text).unwrap();
            }
        }
    }
    drop(owner);
    drop(room.open());
    assert_eq!(cgroups(&id), Vec::<PathBuf>::new());
    room.check_nothing_is_left();
}

fn others_files_are_left_alone(room: &Room) {
    // What other builders have kept in the same place.
    let other = room.state().join("sandbox/0");
    fs::create_dir_all(&other).unwrap();
    drop(room.open());
    assert_eq!(left(&room.state().join("sandbox")), [other]);
    // A directory that was made, and no runtime told of.
    let ours = room.state().join("sandbox/obuilder-0123456789abcdef-7");
    fs::create_dir(&ours).unwrap();
    drop(room.open());
    assert!(!ours.exists());
}
