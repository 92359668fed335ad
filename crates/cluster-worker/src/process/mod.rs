//! Runs other programs, for a job's log or for their output, so that they can always be stopped.
//!
//! Every program gets its own process group, an environment that was made for it, one pipe for both outputs (so that
//! their order is kept), and none of the worker's open files. In particular it does not inherit the connection to the
//! scheduler, which would keep a killed worker registered until its build ends. A [`Watchdog`](watchdog::Watchdog) ends
//! the groups with the worker, even if that is killed.

mod child;
mod command;
mod descriptors;
pub(crate) mod fuzzing;
mod survivors;
#[cfg(test)]
mod tests;
mod time_limits;
mod watchdog;

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use visible::Lines;

use crate::cancel::Cancel;
use crate::log::{JobLog, LogError};

use child::Group;
pub(crate) use command::is_executable;
pub use command::{Command, Environment};
use time_limits::Exceeded;
pub(crate) use time_limits::TimeLimits;
use watchdog::Watchdog;

/// How long a program may take to stop after SIGTERM. `git` removes its lock files and `docker` notifies its engine in
/// that time, and it is short enough for a user who waits for "Job cancelled".
const TERM_GRACE: Duration = Duration::from_secs(5);

/// How long to read the rest of the output after a program has ended. A process that has left its process group may
/// keep the pipe open forever.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// How long to wait for killed processes to end. If they take longer, they hang in the kernel, which is only reported.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The largest part of a program's output that is kept, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The size of a read from a program, in bytes.
const READ_SIZE: usize = 128 << 10;

/// The name of a program in errors.
type Label = Cow<'static, str>;

/// Why a program did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("{label} failed with exit-code {code}")]
    Exit { label: Label, code: i32 },
    #[error("{label} failed with signal {signal}")]
    Signal { label: Label, signal: String },
    #[error("cannot run {program:?} for {label}: {reason}")]
    NotStarted {
        label: Label,
        program: String,
        reason: String,
    },
    #[error("{label} was stopped: it made no progress for too long")]
    Silent { label: Label },
    #[error("{label} was stopped: it took too long")]
    TooLong { label: Label },
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ProcessError {
    /// Returns whether the program was killed, or a program that a shell ran for it.
    pub(crate) fn is_killed(&self) -> bool {
        match self {
            Self::Exit { code, .. } => cgroup::is_killed_status(*code),
            Self::Signal { signal, .. } => signal == "SIGKILL",
            // The worker stopped these.
            Self::Silent { .. } | Self::TooLong { .. } | Self::Cancelled => false,
            Self::NotStarted { .. } | Self::Log(_) => false,
        }
    }

    /// Returns the exit code of a program that ran and failed.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self {
            Self::Exit { code, .. } => u8::try_from(*code).ok(),
            _ => None,
        }
    }

    /// Returns whether a program ran, and ended with an error.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self, Self::Exit { .. } | Self::Signal { .. })
    }
}

/// Runs programs. Clones share their watchdog.
#[derive(Clone)]
pub(crate) struct Processes {
    watchdog: Rc<Watchdog>,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self {
            watchdog: Rc::new(Watchdog::new()),
        }
    }

    /// Runs a program, with its output in `log`.
    ///
    /// When `cancel` fires, the program and all its descendants are stopped before this returns.
    pub(crate) async fn run(
        &self,
        command: &Command,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<(), ProcessError> {
        tracing::info!("Exec({}): {command}", command.label());
        let (group, output) = self.start(command, child::Outputs::Merged)?;
        let mut sink = Sink::Log(log);
        let ended = group
            .finish(command.label(), cancel, copy(output.out, &mut sink))
            .await;
        ended.and(log.flush().map_err(ProcessError::from))
    }

    /// Runs a program that waits for servers, as [`run`](Self::run) does, within `limits`. Its output goes through
    /// `filter`.
    pub(crate) async fn run_limited(
        &self,
        command: &Command,
        log: &JobLog,
        cancel: &Cancel,
        limits: TimeLimits,
        filter: &mut dyn Filter,
    ) -> Result<(), ProcessError> {
        tracing::info!("Exec({}): {command}", command.label());
        let (group, output) = self.start(command, child::Outputs::Merged)?;
        let (label, printed, stop) = (command.label(), Cell::new(0), Cancel::new());
        let exceeded = limits.exceeded(group.id(), &printed);
        let ended = {
            let mut sink = Sink::Filtered {
                log,
                filter,
                printed: &printed,
            };
            let running = group.finish(label, &stop, copy(output.out, &mut sink));
            let mut running = std::pin::pin!(running);
            let reason = tokio::select! {
                biased;
                ended = running.as_mut() => Err(ended),
                () = cancel.cancelled() => Ok(ProcessError::Cancelled),
                exceeded = exceeded => Ok(match exceeded {
                    Exceeded::Silence => ProcessError::Silent { label: label.clone() },
                    Exceeded::Total => ProcessError::TooLong { label: label.clone() },
                }),
            };
            match reason {
                Err(ended) => ended,
                Ok(reason) => {
                    stop.cancel();
                    match running.await {
                        Err(ProcessError::Cancelled) => Err(reason),
                        ended => ended,
                    }
                }
            }
        };
        let mut rest = Vec::new();
        filter.finish(&mut rest);
        let logged = log.append(&rest).and_then(|()| log.flush());
        ended.and(logged.map_err(ProcessError::from))
    }

    /// Runs a program and returns its standard output. Its standard error goes to the worker's log.
    pub(crate) async fn ask(
        &self,
        command: &Command,
        cancel: &Cancel,
    ) -> Result<String, ProcessError> {
        let answer = self.ask_all(command, cancel).await?;
        Ok(answer.text)
    }

    /// Runs a program and returns its standard output and its standard error, which also goes to the worker's log.
    pub(crate) async fn ask_all(
        &self,
        command: &Command,
        cancel: &Cancel,
    ) -> Result<Answer, ProcessError> {
        let (result, errors) = self.probe(command, cancel).await;
        if !errors.trim().is_empty() {
            let ended = if result.is_ok() {
                "succeeded"
            } else {
                "failed"
            };
            let (label, errors) = (command.label(), Lines(errors.trim()));
            tracing::warn!("{label} {ended}, with errors: {errors}");
        }
        result.map(|text| Answer { text, errors })
    }

    /// Runs a program and returns its standard output and its standard error.
    pub(crate) async fn probe(
        &self,
        command: &Command,
        cancel: &Cancel,
    ) -> (Result<String, ProcessError>, String) {
        tracing::debug!("Exec({}): {command}", command.label());
        let (group, output) = match self.start(command, child::Outputs::Separate) {
            Ok(started) => started,
            Err(error) => return (Err(error), String::new()),
        };
        let (mut answer, mut errors) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (Sink::Memory(&mut answer), Sink::Memory(&mut errors));
        let reading = async {
            let reading_errors = async {
                match output.err {
                    Some(pipe) => copy(pipe, &mut err).await,
                    None => Ok(()),
                }
            };
            tokio::try_join!(copy(output.out, &mut out), reading_errors).map(|((), ())| ())
        };
        let result = group.finish(command.label(), cancel, reading).await;
        let answer = result.map(|()| String::from_utf8_lossy(&answer).into_owned());
        (answer, String::from_utf8_lossy(&errors).into_owned())
    }

    /// Kills all processes with this value of a variable in their environment, which a program that was started with it
    /// has left behind. Returns how many could not be killed.
    pub(crate) async fn end_marked(&self, name: &'static str, value: &str) -> usize {
        let value = value.to_owned();
        let left = survivors::end(move || survivors::marked(name, &value), STOP_LIMIT).await;
        left.len()
    }

    fn start(
        &self,
        command: &Command,
        outputs: child::Outputs,
    ) -> Result<(Group, child::Output), ProcessError> {
        descriptors::close_on_exec();
        child::start(command, outputs, &self.watchdog).map_err(|reason| ProcessError::NotStarted {
            label: command.label().clone(),
            program: command.program().to_string_lossy().into_owned(),
            reason,
        })
    }
}

/// The output of a program.
pub(crate) struct Answer {
    /// Its standard output.
    pub(crate) text: String,
    /// Its standard error.
    pub(crate) errors: String,
}

/// Filters the output of a program before it is logged.
pub(crate) trait Filter {
    /// Reads some output, and adds the part to log to `shown`.
    fn pass(&mut self, bytes: &[u8], shown: &mut Vec<u8>);

    /// Adds the rest at the end.
    fn finish(&mut self, shown: &mut Vec<u8>);
}

/// Where the output of a program goes.
enum Sink<'a> {
    Log(&'a JobLog),
    Filtered {
        log: &'a JobLog,
        filter: &'a mut dyn Filter,
        /// Counts the bytes.
        printed: &'a Cell<u64>,
    },
    Memory(&'a mut Vec<u8>),
}

/// Reads a pipe to its end.
async fn copy(mut pipe: pipe::Receiver, sink: &mut Sink<'_>) -> Result<(), LogError> {
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let bytes = match pipe.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) => {
                return Err(LogError::Broken(format!(
                    "reading a program's output: {error}"
                )));
            }
        };
        match sink {
            Sink::Log(log) => {
                log.append(bytes)?;
                log.room().await;
            }
            Sink::Filtered {
                log,
                filter,
                printed,
            } => {
                printed.set(printed.get().wrapping_add(bytes.len() as u64));
                let mut shown = Vec::new();
                filter.pass(bytes, &mut shown);
                log.append(&shown)?;
                log.room().await;
            }
            Sink::Memory(kept) => {
                let room = MAX_ANSWER.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
        }
    }
}
