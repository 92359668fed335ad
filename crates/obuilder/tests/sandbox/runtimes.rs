//! What runtimes differ in, and a person at a terminal.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told by variables what to do"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use obuilder::sandbox::{Exit, OciSandbox, Runtime, Sandbox as _, SandboxError, SandboxOptions};
use tokio_util::sync::CancellationToken;

use crate::room::{RUNTIME, Room, Text, command, named_runtime, script, wait};

crate::for_each_runtime! {
    a_person_may_look_around
    a_program_may_look_around
}

/// Says that `interactive` is to be a person's program, and where.
const ROOM: &str = "OBUILDER_TEST_SANDBOX_INTERACT";

/// Not a test of its own: a program that has a terminal, or a pipe in its place.
#[test]
fn interactive() {
    let Some(place) = std::env::var_os(ROOM).map(PathBuf::from) else {
        return;
    };
    let options = SandboxOptions::default();
    let sandbox = OciSandbox::open(&place.join("state"), named_runtime(), options).unwrap();
    let shell = command(&["/bin/bash"]);
    let ended = wait(sandbox.interact(&place.join("rootfs"), &shell));
    assert_eq!(ended.unwrap(), Exit::Status(3));
}

/// Types `tty` and `exit 3` into a shell, and returns what is seen.
fn look_around(room: &Room, program: &str, args: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(args)
        .env(ROOM, room.dir.path())
        .env(RUNTIME, room.runtime_name())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"tty; hostname; exit 3\n").unwrap();
    // `script` would go on to wait for more.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen}");
    room.check_nothing_is_left();
    seen
}

fn a_person_may_look_around(room: &Room) {
    let Some(script) = rig::find_program("script") else {
        return rig::report_not_run("a_person_may_look_around", "script, of bsdutils");
    };
    let this = std::env::current_exe().unwrap();
    let line = format!(
        "'{}' --exact runtimes::interactive --nocapture",
        this.display()
    );
    let seen = look_around(
        room,
        script.to_str().unwrap(),
        &["-qec", &line, "/dev/null"],
    );
    assert!(
        seen.contains("/dev/pts/0") || seen.contains("/dev/console"),
        "{seen}"
    );
    assert!(seen.contains("builder"), "{seen}");
}

fn a_program_may_look_around(room: &Room) {
    let this = std::env::current_exe().unwrap();
    let args = ["--exact", "runtimes::interactive", "--nocapture"];
    let seen = look_around(room, this.to_str().unwrap(), &args);
    assert!(
        seen.contains("not a tty") && seen.contains("builder"),
        "{seen}"
    );
}

/// A runtime that neither makes a container nor ends.
#[test]
fn a_runtime_that_hangs_is_killed() {
    if !rig::is_root() {
        return rig::report_not_run("a_runtime_that_hangs_is_killed", "root");
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("hangs");
    let text =
        "#!/bin/sh\ncase \"$*\" in *' kill '*) exit 1 ;; esac\necho started\nexec sleep 1000\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let room = Room::new(Runtime::Program(program));
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let when_started = crate::room::Call(|_: &[u8]| {
        cancel.cancel();
        Ok(())
    });
    let ended = wait(sandbox.run(&rootfs, &script("true"), &when_started, &cancel));
    assert!(matches!(ended, Err(SandboxError::Cancelled)), "{ended:?}");
    room.check_nothing_is_left();
}

/// A program that does not know that it is to make a container.
#[test]
fn a_program_that_makes_no_containers_is_an_error() {
    if !rig::is_root() {
        return rig::report_not_run("a_program_that_makes_no_containers_is_an_error", "root");
    }
    let room = Room::new(Runtime::Builtin {
        program: "/bin/true".into(),
    });
    let output = Text::default();
    let (rootfs, cancel) = (room.rootfs(), CancellationToken::new());
    let ended = wait(room.open().run(&rootfs, &script("true"), &output, &cancel));
    let text = ended.unwrap_err().to_string();
    assert!(
        text.contains("the program must call run_if_asked first"),
        "{text}"
    );
}

/// The `crun` that Debian has works on machines with one version of cgroups.
#[test]
fn crun_works_or_says_why_not() {
    let name = "crun_works_or_says_why_not";
    let Some(crun) = rig::find_program("crun").filter(|_| rig::is_root()) else {
        return rig::report_not_run(name, "root, and crun");
    };
    let room = Room::new(Runtime::Program(crun));
    let (shown, ended) = room.run(&script("echo works"));
    let is_hybrid = std::path::Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists();
    if !is_hybrid {
        return assert_eq!(shown, "works\n", "{ended:?}");
    }
    let Err(SandboxError::NotStarted(text)) = ended else {
        panic!("{ended:?}");
    };
    assert!(
        text.starts_with(
            "cannot use crun: this machine has both versions of cgroups mounted (\"hybrid\"); \
             use --runtime runc or --runtime builtin"
        ),
        "{text}"
    );
}
