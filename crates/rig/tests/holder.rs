//! What a holder was given ends with it: processes however they hide, its directory, and what it was told to undo.

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
fn a_process_that_hides_is_found() -> Result<()> {
    let name = Name::new()?;
    let mark = format!("mark-{name}");
    let holder = Holder::start(&name)?;
    // One that ignores signals, and one in a session of its own whose parent has ended: a daemon.
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
fn everything_is_taken_back_in_reverse_order() -> Result<()> {
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
fn what_could_not_be_taken_back_is_an_error_and_the_rest_goes_on() -> Result<()> {
    let holder = Holder::start(&Name::new()?)?;
    let folder = holder.folder().to_owned();
    holder.undo(&["false"])?;
    holder.finish().unwrap_err();
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn a_process_is_followed_to_its_end() -> Result<()> {
    let holder = Holder::start(&Name::new()?)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo \"$GREETING\"; exit 7"])
        .env("GREETING", "hello");
    let process = holder.run(&command, "sh.log")?;
    assert_eq!(holder.wait(process, LIMIT)?, 7);
    assert_eq!(fs::read_to_string(holder.log("sh.log"))?, "hello\n");
    // Nothing is sent to a process that has ended: another one may have its number.
    holder.signal(process, Signal::KILL)?;
    holder.finish()
}
