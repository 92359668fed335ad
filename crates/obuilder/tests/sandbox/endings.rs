//! The ways in which a command ends.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process;

use obuilder::sandbox::{Exit, Sandbox as _, SandboxError};
use tokio_util::sync::CancellationToken;

use crate::room::{Call, Room, Text, cgroups, command, script, wait};

crate::for_each_runtime! {
    a_status_is_passed_on
    a_death_is_passed_on
    output_arrives_whole_and_in_order
    a_command_that_cannot_start_says_why
    cancelling_ends_everything
    cancelling_at_any_moment_leaves_nothing
    cancelled_before_it_begins
    a_failed_write_of_the_output_ends_the_command
    daemons_end_with_the_command
    a_dropped_command_ends
    many_at_once
}

fn a_status_is_passed_on(room: &Room) {
    for status in [0, 1, 3, 125, 126, 127, 128, 137, 255] {
        let (shown, ended) = room.run(&script(&format!("exit {status}")));
        assert_eq!((shown.as_str(), ended.unwrap()), ("", Exit::Status(status)));
    }
}

fn a_death_is_passed_on(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    // A container's first process is immune to all but what comes from outside.
    let kill = Call(|_: &[u8]| {
        for cgroup in cgroups(&room.container()) {
            let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines() {
                // What makes the container is in there as well, and has a number in our namespace only.
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
                if numbers.is_some_and(|numbers| numbers.split_whitespace().count() > 1) {
                    process::Command::new("kill").args(["-9", pid]).status()?;
                }
            }
        }
        Ok(())
    });
    let forever = script("echo ready; sleep 1000");
    let ended = wait(sandbox.run(&rootfs, &forever, &kill, &cancel)).unwrap();
    // Other runtimes tell as shells do, and nobody can tell that from a status.
    let expected = if room.is_builtin() {
        Exit::Signal(9)
    } else {
        Exit::Status(137)
    };
    assert_eq!(ended, expected);
    room.check_nothing_is_left();
}

fn output_arrives_whole_and_in_order(room: &Room) {
    let shown = room.output(&script("for i in {1..500}; do echo $i; echo $i >&2; done"));
    if room.is_builtin() {
        let expected: String = (1..=500).map(|i| format!("{i}\n{i}\n")).collect();
        assert_eq!(shown, expected);
    } else {
        // This one reads the two apart, and passes each on in its own order.
        let mut numbers: Vec<u32> = shown.lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq((1..=500).flat_map(|i| [i, i])));
    }
    let shown = room.output(&command(&["/usr/bin/seq", "1500000"]));
    let expected: String = (1..=1_500_000).map(|i| format!("{i}\n")).collect();
    assert!(
        shown == expected,
        "{} bytes of {}",
        shown.len(),
        expected.len()
    );
}

fn a_command_that_cannot_start_says_why(room: &Room) {
    let garbage = room.rootfs().join("garbage");
    fs::write(&garbage, [0x7f, 0, 1, 2]).unwrap();
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755)).unwrap();
    for (word, why) in [
        (
            "nonesuch",
            r#"exec: "nonesuch": executable file not found in $PATH"#,
        ),
        ("/nowhere/at/all", "no such file or directory"),
        // As in a small image: the shell of specs that name none.
        (
            "/nowhere/bin/bash",
            "put its shell into the spec before this step: (shell /bin/sh -c)",
        ),
        ("/etc/passwd", "permission denied"),
        ("/etc", "permission denied"),
    ] {
        let (_, ended) = room.run(&command(&[word, "argument"]));
        let Err(SandboxError::NotStarted(text)) = ended else {
            panic!("{word}: {ended:?}");
        };
        assert!(
            text.to_lowercase().contains(&why.to_lowercase()),
            "{word}: {text}"
        );
        assert!(text.contains(word), "{word}: {text}");
    }
    let (shown, ended) = room.run(&command(&["/garbage"]));
    let told = format!("{shown}{ended:?}").to_lowercase();
    assert!(told.contains("exec format error"), "{told}");
    assert!(!matches!(ended, Ok(Exit::Status(0))));

    let mut in_a_file = script("true");
    in_a_file.cwd = "/etc/passwd".into();
    let (_, ended) = room.run(&in_a_file);
    assert_eq!(
        ended.unwrap_err().to_string(),
        r#"cannot create the working directory "/etc/passwd": Not a directory (os error 20)"#
    );
    let (_, ended) = room.run(&command(&[]));
    assert!(ended.is_err());
}

/// What is hard to kill: a daemon with a session of its own, and one that ignores every signal that it can.
const STUBBORN: &str = "trap '' HUP INT TERM; setsid sleep 1000 & \
                        (setsid bash -c 'trap \"\" HUP INT TERM; while :; do sleep 1000; done' &) ; \
                        echo ready; while :; do sleep 1000; done";

fn cancelling_ends_everything(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let id = RefCell::new(String::new());
    let when_ready = Call(|_: &[u8]| {
        id.replace(room.container());
        cancel.cancel();
        Ok(())
    });
    let ended = wait(sandbox.run(&rootfs, &script(STUBBORN), &when_ready, &cancel));
    assert!(matches!(ended, Err(SandboxError::Cancelled)), "{ended:?}");
    assert!(id.borrow().starts_with("obuilder-"));
    assert_eq!(cgroups(&id.borrow()), [""; 0].map(std::path::PathBuf::from));
    room.check_nothing_is_left();
}

fn cancelling_at_any_moment_leaves_nothing(room: &Room) {
    let (sandbox, rootfs) = (room.open(), room.rootfs());
    let forever = script("while :; do sleep 1000; done");
    for wait_for in (0..60).step_by(6) {
        let (cancel, output) = (CancellationToken::new(), Text::default());
        let later = async {
            tokio::time::sleep(std::time::Duration::from_millis(wait_for)).await;
            cancel.cancel();
        };
        let run = sandbox.run(&rootfs, &forever, &output, &cancel);
        let (ended, ()) = wait(futures::future::join(run, later));
        assert!(matches!(ended, Err(SandboxError::Cancelled)), "{ended:?}");
        room.check_nothing_is_left();
    }
}

fn cancelled_before_it_begins(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    cancel.cancel();
    let output = Text::default();
    let ended = wait(sandbox.run(&rootfs, &script("touch /tmp/ran"), &output, &cancel));
    assert!(matches!(ended, Err(SandboxError::Cancelled)), "{ended:?}");
    assert!(!rootfs.join("tmp/ran").exists());
    room.check_nothing_is_left();
}

fn a_failed_write_of_the_output_ends_the_command(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let full = Call(|_: &[u8]| Err(io::Error::from(io::ErrorKind::StorageFull)));
    let ended = wait(sandbox.run(&rootfs, &command(&["/usr/bin/yes"]), &full, &cancel));
    assert_eq!(
        ended.unwrap_err().to_string(),
        "cannot write the step's log: no storage space"
    );
    room.check_nothing_is_left();
    // Nor is it lost when the command has ended by then.
    let ended = wait(sandbox.run(&rootfs, &script("echo last"), &full, &cancel));
    assert!(matches!(ended, Err(SandboxError::Log(_))), "{ended:?}");
    room.check_nothing_is_left();
}

fn daemons_end_with_the_command(room: &Room) {
    assert_eq!(
        room.output(&script("setsid sleep 1000 & disown; echo done")),
        "done\n"
    );
}

fn a_dropped_command_ends(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let ready = CancellationToken::new();
    let when_ready = Call(|_: &[u8]| {
        ready.cancel();
        Ok(())
    });
    let stubborn = script(STUBBORN);
    let id = wait(async {
        tokio::select! {
            ended = sandbox.run(&rootfs, &stubborn, &when_ready, &cancel) => panic!("{ended:?}"),
            () = ready.cancelled() => room.container(),
        }
    });
    // What is left of it goes at the next start at the latest.
    drop(sandbox);
    drop(room.open());
    assert_eq!(cgroups(&id), [""; 0].map(std::path::PathBuf::from));
    room.check_nothing_is_left();
}

fn many_at_once(room: &Room) {
    let (sandbox, rootfs, cancel) = (room.open(), room.rootfs(), CancellationToken::new());
    let commands: Vec<_> = (0..20)
        .map(|i| {
            (
                script(&format!("echo {i}; echo $$; exit {i}")),
                Text::default(),
            )
        })
        .collect();
    let running = commands
        .iter()
        .map(|(command, output)| sandbox.run(&rootfs, command, output, &cancel));
    let ended = wait(futures::future::join_all(running));
    for (i, (ended, (_, output))) in ended.into_iter().zip(&commands).enumerate() {
        assert_eq!(ended.unwrap(), Exit::Status(i32::try_from(i).unwrap()));
        assert_eq!(output.text(), format!("{i}\n1\n"));
    }
    room.check_nothing_is_left();
}
