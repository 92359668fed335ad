//! A program that is stopped and started again, with one log for all its processes.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::kill::StopSignal;
use crate::points::Point;

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
        /// The signal that it was sent, and how long until it is started again.
        stop: Option<(StopSignal, Duration)>,
        /// How long its log was before.
        log_before: u64,
    },
    /// Until it is to be started.
    Stopped { until: Instant },
}

/// How a program has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// It has killed itself at this point.
    Crashed(Point),
    /// It was sent this signal.
    Stopped(StopSignal),
}

/// Returns a command in this folder, which the kernel kills with the thread that starts it.
pub(crate) fn command(wrapper: &[String], path: &str, args: &[String], folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let programs = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", folder.display());
    command
        .args(["--pdeathsig", "KILL", "--"])
        .args(wrapper)
        .arg(path)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", programs)
        .env("HOME", folder)
        .env("OCLUSTER_CONFIG", "/dev/null")
        .stdin(Stdio::null());
    command
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
        let mut command = command(&self.wrapper, self.path, &self.args, &self.folder);
        command.stdout(Stdio::null()).stderr(log);
        if let Some((point, passes)) = point {
            command.env("CRASH_POINT", format!("{}:{passes}", point.name));
        }
        self.state = State::Running {
            log_before: self.log_length(),
            child: command.spawn().expect("started the program"),
            point: point.map(|(point, _)| point),
            stop: None,
        };
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |metadata| metadata.len())
    }

    /// Stops it; it is to be started again after a pause. Returns whether it was running.
    pub(crate) fn stop(&mut self, signal: StopSignal, pause: Duration) -> bool {
        let was_running = matches!(self.state, State::Running { .. });
        match (&mut self.state, signal) {
            (State::Stopped { .. }, _) | (_, StopSignal::Kill) => self.kill(pause),
            // A second signal would have another meaning.
            (State::Running { stop: Some(_), .. }, _) => {}
            (State::Running { stop, .. }, _) => {
                *stop = Some((signal, pause));
                self.signal(signal.signal());
            }
        }
        was_running
    }

    /// Returns whether it was sent a signal, and has not ended yet.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state, State::Running { stop: Some(_), .. })
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

    /// Starts it again when it is time to and `may_start`, and returns how it has ended.
    ///
    /// An error tells that it has ended in a way that it should not.
    pub(crate) fn attend(
        &mut self,
        may_start: impl FnOnce() -> bool,
    ) -> Result<Option<Ended>, String> {
        let (status, point, stop, log_before) = match &mut self.state {
            State::Stopped { until } => {
                if *until <= Instant::now() && may_start() {
                    self.start(None);
                }
                return Ok(None);
            }
            State::Running {
                child,
                point,
                stop,
                log_before,
            } => match child.try_wait().expect("asked for its status") {
                None => return Ok(None),
                Some(status) => (status, *point, *stop, *log_before),
            },
        };
        let has_logged = self.log_length() > log_before;
        let (ended, pause) = match (point, stop) {
            (Some(point), _) if status.signal() == Some(StopSignal::Kill.number()) => {
                (Ended::Crashed(point), PAUSE)
            }
            (_, Some((signal, pause))) if is_in_order(status, signal, has_logged) => {
                (Ended::Stopped(signal), pause)
            }
            _ => {
                let stop = stop.map(|(signal, _)| format!(" after {signal:?}"));
                return Err(format!(
                    "{} has ended{} ({status}); see {}",
                    self.name,
                    stop.unwrap_or_default(),
                    self.log().display()
                ));
            }
        };
        self.state = State::Stopped {
            until: Instant::now() + pause,
        };
        Ok(Some(ended))
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

/// Returns whether a program that was sent a signal has ended as it should. One that does not listen for signals yet is
/// killed by the first.
fn is_in_order(status: ExitStatus, signal: StopSignal, has_logged: bool) -> bool {
    status.success() || (!has_logged && status.signal() == Some(signal.number()))
}
