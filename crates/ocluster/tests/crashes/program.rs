//! A program that is killed and started again, with one log for all its processes.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::plan::Point;

/// The number of SIGKILL.
const KILLED: i32 = 9;

/// How long it takes until a program that has killed itself is started again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Program {
    name: &'static str,
    path: &'static str,
    args: Vec<String>,
    /// A command that runs it, such as one that enters another network; empty for none.
    wrapper: Vec<String>,
    folder: PathBuf,
    state: State,
}

enum State {
    Running {
        child: Child,
        point: Option<Point>,
    },
    /// Until it is to be started.
    Stopped {
        until: Instant,
    },
}

impl Program {
    /// Returns a program that has not been started.
    pub(crate) fn new(
        name: &'static str,
        path: &'static str,
        args: Vec<String>,
        folder: PathBuf,
    ) -> Self {
        Self {
            name,
            path,
            args,
            wrapper: Vec::new(),
            folder,
            state: State::Stopped {
                until: Instant::now(),
            },
        }
    }

    /// Returns it with a command that runs it.
    pub(crate) fn wrapped(mut self, wrapper: Vec<String>) -> Self {
        self.wrapper = wrapper;
        self
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Starts it, to kill itself at a point if one is given.
    pub(crate) fn start(&mut self, point: Option<(Point, u64)>) {
        self.kill(Duration::ZERO);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("opened the log");
        // The kernel kills it with the thread that starts it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.wrapper)
            .arg(self.path)
            .args(&self.args)
            .current_dir(&self.folder)
            .env_clear()
            .env(
                "PATH",
                format!("{}/bin:/usr/local/bin:/usr/bin:/bin", self.folder.display()),
            )
            .env("HOME", &self.folder)
            .env("OCLUSTER_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some((point, passes)) = point {
            command.env("CRASH_POINT", format!("{}:{passes}", point.name));
        }
        self.state = State::Running {
            child: command.spawn().expect("started the program"),
            point: point.map(|(point, _)| point),
        };
    }

    /// Kills it; it is to be started again after a pause.
    pub(crate) fn kill(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        if let State::Running { child, .. } = &mut self.state {
            // It may have killed itself.
            drop(child.kill());
            drop(child.wait());
        }
        self.state = State::Stopped { until };
    }

    /// Starts it again when it is time to and `may_start`, and returns the point at which it has killed itself.
    ///
    /// An error tells that it has ended in another way.
    pub(crate) fn attend(
        &mut self,
        may_start: impl FnOnce() -> bool,
    ) -> Result<Option<Point>, String> {
        match &mut self.state {
            State::Stopped { until } if *until <= Instant::now() && may_start() => {
                self.start(None);
                Ok(None)
            }
            State::Stopped { .. } => Ok(None),
            State::Running { child, point } => {
                let Some(status) = child.try_wait().expect("asked for its status") else {
                    return Ok(None);
                };
                let Some(point) = point.filter(|_| status.signal() == Some(KILLED)) else {
                    let log = self.log();
                    return Err(format!(
                        "{} has ended ({status}); see {}",
                        self.name,
                        log.display()
                    ));
                };
                self.state = State::Stopped {
                    until: Instant::now() + PAUSE,
                };
                Ok(Some(point))
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped { .. })
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let State::Running { child, .. } = &self.state {
            kill_process(Pid::from_child(child), signal).expect("sent a signal");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill(Duration::ZERO);
    }
}
