//! The end of a holder: it kills all processes, runs the undo commands and removes its directory.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rig::{Holder, Name, ProcessState, wait_for};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);

/// Returns how many processes have `mark` among their arguments.
fn processes_with(mark: &str) -> Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir("/proc")? {
        let command = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        found += usize::from(
            String::from_utf8_lossy(&command)
                .split('\0')
                .any(|arg| arg == mark),
        );
    }
    Ok(found)
}

#[test]
fn detached_processes_are_killed() -> Result<()> {
    let name = Name::new()?;
    let mark = format!("mark-{name}");
    let holder = Holder::start(&name)?;
    // One process that ignores signals, and a daemon: it has a session of its own, and its parent has ended.
    let script = "trap '' TERM HUP INT; \
        (setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' sh \"$1\" &) ; \
        while :; do sleep 1; done";
    let process = holder.run(
        Command::new("sh").args(["-c", script, "sh", &mark]),
        "sh.log",
    )?;
    wait_for("both processes", LIMIT, || {
        Ok((processes_with(&mark)? == 2).then_some(()))
    })?;
    holder.signal(process, Signal::TERM)?;
    assert_eq!(holder.state(process)?, ProcessState::Running);
    holder.finish()?;
    assert_eq!(processes_with(&mark)?, 0);
    Ok(())
}

#[test]
fn undo_commands_run_in_reverse_order() -> Result<()> {
    let outside = tempfile::tempdir()?;
    let record = outside.path().join("record");
    let holder = Holder::start(&Name::new()?)?;
    let folder = holder.folder().to_owned();
    fs::create_dir_all(folder.join("a/b"))?;
    for word in ["first", "second"] {
        holder.undo(&["sh", "-c", &format!("echo {word} >> {}", record.display())])?;
    }
    holder.finish()?;
    assert_eq!(fs::read_to_string(record)?, "second\nfirst\n");
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn a_failed_undo_command_is_an_error_and_the_rest_is_cleaned_up() -> Result<()> {
    let holder = Holder::start(&Name::new()?)?;
    let folder = holder.folder().to_owned();
    holder.undo(&["false"])?;
    holder.finish().unwrap_err();
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn the_exit_code_and_the_output_of_a_process() -> Result<()> {
    let holder = Holder::start(&Name::new()?)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo \"$GREETING\"; exit 7"])
        .env("GREETING", "hello");
    let process = holder.run(&command, "sh.log")?;
    assert_eq!(holder.wait(process, LIMIT)?, 7);
    assert_eq!(fs::read_to_string(holder.log("sh.log"))?, "hello\n");
    // No signal is sent to a process that has ended: another process may have its id.
    holder.signal(process, Signal::KILL)?;
    holder.finish()
}
