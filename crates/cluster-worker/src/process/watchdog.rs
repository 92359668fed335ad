//! Ends a worker's programs when the worker itself is killed.
//!
//! After `kill -9` no code of the worker runs, so another process must notice: a shell at the other end of a pipe. The
//! worker sends it the running process groups, and when the pipe closes, the shell ends them. A request to the kernel
//! (`PR_SET_PDEATHSIG`) would need unsafe code, works only on Linux, and reaches only the direct child: a clone that
//! `git submodule` has started would continue. This is enough for builds in an engine, too, as the engine ends them
//! when their `docker` command ends.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, PipeWriter, Write as _};
use std::process::Stdio;

use rustix::process::Pid;
use tokio::process::{Child, Command};

/// Remembers `+ID` until `-ID`. When its input ends, stops the remembered groups: with SIGTERM, then with SIGKILL.
///
/// It ignores the signals of the terminal, which the worker handles.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=
while read -r line; do
  case $line in
    +*) groups="$groups ${line#+}" ;;
    -*) kept=; for id in $groups; do [ "$id" = "${line#-}" ] || kept="$kept $id"; done; groups=$kept ;;
  esac
done
for id in $groups; do kill -TERM "-$id"; done
for wait in 1 2 3 4 5 6 7 8 9 10; do
  kept=; for id in $groups; do kill -0 "-$id" && kept="$kept $id"; done; groups=$kept
  [ -n "$groups" ] || exit 0
  sleep 0.2
done
for id in $groups; do kill -KILL "-$id"; done
"#;

/// The worker's end of the pipe. The shell is started when there is something to watch.
pub(super) struct Watchdog(RefCell<State>);

#[derive(Default)]
struct State {
    running: Option<Shell>,
    groups: BTreeSet<i32>,
}

struct Shell {
    /// Never full: the shell reads at once, and each line has a dozen bytes.
    pipe: PipeWriter,
    /// Held so that it is waited for when it has ended.
    _child: Child,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        Self(RefCell::default())
    }

    /// Makes `group` end with the worker.
    pub(super) fn guard(&self, group: Pid) {
        let mut state = self.0.borrow_mut();
        state.groups.insert(group.as_raw_pid());
        state.send(&format!("+{}\n", group.as_raw_pid()));
    }

    /// Forgets `group`, which has ended. Its id may be reused.
    pub(super) fn release(&self, group: Pid) {
        let mut state = self.0.borrow_mut();
        state.groups.remove(&group.as_raw_pid());
        state.send(&format!("-{}\n", group.as_raw_pid()));
    }
}

impl State {
    /// Sends a line to the shell, or to a new one if there is none or it was killed.
    fn send(&mut self, line: &str) {
        match self
            .running
            .as_mut()
            .map(|shell| shell.pipe.write_all(line.as_bytes()))
        {
            Some(Ok(())) => return,
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                // Replacing the shell would close the pipe, and so end the running programs.
                tracing::error!("The watchdog has stopped; builds may outlive this worker");
                return;
            }
            Some(Err(_)) | None => {}
        }
        match self.start() {
            Ok(shell) => self.running = Some(shell),
            Err(error) => {
                self.running = None;
                tracing::error!(
                    "Cannot start the watchdog; builds may outlive this worker: {error}"
                );
            }
        }
    }

    fn start(&self) -> std::io::Result<Shell> {
        let (reader, mut pipe) = std::io::pipe()?;
        // A shell that does not read must not block the reactor.
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "ocluster-watchdog"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        for group in &self.groups {
            writeln!(pipe, "+{group}")?;
        }
        Ok(Shell {
            pipe,
            _child: child,
        })
    }
}
