//! Runs other programs: into a job's log or for their answer, always so that they can be stopped.
//!
//! Every program gets a process group of its own, an environment that was made for it, one pipe for what it prints (so
//! that the order of its two outputs is kept), and no file of the worker's: above all not the connection to the
//! scheduler, or a worker that was killed would look alive until its build ends. That groups end with the worker, even
//! with one that was killed, is seen to by a [`Watchdog`](watchdog::Watchdog).

mod child;
mod command;
mod descriptors;
pub(crate) mod fuzzing;
mod patience;
mod survivors;
#[cfg(test)]
mod tests;
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
use patience::Exhausted;
pub(crate) use patience::Patience;
use watchdog::Watchdog;

/// How long a program that was asked to stop may take: time for `git` to remove its lock files and for `docker` to
/// notify its engine, and short enough for a user who waits for "Job cancelled".
const TERM_GRACE: Duration = Duration::from_secs(5);

/// How long to read on after a program has ended, for what is still in the pipe. Something that left its process group
/// may keep the pipe open for ever.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// How long to wait for what was killed to be gone. What takes longer hangs in the kernel, and can only be told of.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The most of a program's answer that is kept, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// How much is read from a program at a time, in bytes.
const READ_SIZE: usize = 128 << 10;

/// What the failures of a program are called by.
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
    #[error("{label} was stopped: nothing happened for too long")]
    Silent { label: Label },
    #[error("{label} was stopped: it took too long")]
    TooLong { label: Label },
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ProcessError {
    /// Returns whether a program, or the program that a shell ran, was killed.
    pub(crate) fn is_killed(&self) -> bool {
        match self {
            Self::Exit { code, .. } => cgroup::is_killed_status(*code),
            Self::Signal { signal, .. } => signal == "SIGKILL",
            // These were stopped by us.
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

    /// Returns whether a program ran to an end that was no success.
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

    /// Runs a program, with all that it prints going to `log`.
    ///
    /// When `cancel` fires, it and all its descendants are stopped before this returns.
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

    /// Runs a program that waits for others, as [`run`](Self::run) does, but no longer than `patience` lasts. What it
    /// prints goes through `filter`.
    pub(crate) async fn run_patiently(
        &self,
        command: &Command,
        log: &JobLog,
        cancel: &Cancel,
        patience: Patience,
        filter: &mut dyn Filter,
    ) -> Result<(), ProcessError> {
        tracing::info!("Exec({}): {command}", command.label());
        let (group, output) = self.start(command, child::Outputs::Merged)?;
        let (label, printed, stop) = (command.label(), Cell::new(0), Cancel::new());
        let exhausted = patience.exhausted(group.id(), &printed);
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
                exhausted = exhausted => Ok(match exhausted {
                    Exhausted::Silence => ProcessError::Silent { label: label.clone() },
                    Exhausted::Total => ProcessError::TooLong { label: label.clone() },
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

    /// Runs a program and returns what it prints. Its standard error goes to the worker's own log.
    pub(crate) async fn ask(
        &self,
        command: &Command,
        cancel: &Cancel,
    ) -> Result<String, ProcessError> {
        let answer = self.ask_all(command, cancel).await?;
        Ok(answer.text)
    }

    /// Runs a program and returns what it prints, also on its standard error, which goes to the worker's own log too.
    pub(crate) async fn ask_all(
        &self,
        command: &Command,
        cancel: &Cancel,
    ) -> Result<Answer, ProcessError> {
        let (result, complaint) = self.probe(command, cancel).await;
        if !complaint.trim().is_empty() {
            let level = if result.is_ok() {
                "said"
            } else {
                "failed, saying"
            };
            tracing::warn!("{} {level}: {}", command.label(), Lines(complaint.trim()));
        }
        result.map(|text| Answer { text, complaint })
    }

    /// Runs a program and returns what it prints, and its standard error apart.
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
        let (mut answer, mut complaint) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (Sink::Memory(&mut answer), Sink::Memory(&mut complaint));
        let reading = async {
            let errors = async {
                match output.err {
                    Some(pipe) => copy(pipe, &mut err).await,
                    None => Ok(()),
                }
            };
            tokio::try_join!(copy(output.out, &mut out), errors).map(|((), ())| ())
        };
        let result = group.finish(command.label(), cancel, reading).await;
        let answer = result.map(|()| String::from_utf8_lossy(&answer).into_owned());
        (answer, String::from_utf8_lossy(&complaint).into_owned())
    }

    /// Ends all that has a variable with this value in its environment: what a program has left behind that was started
    /// with it. Returns how many processes could not be ended.
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
        descriptors::keep();
        child::start(command, outputs, &self.watchdog).map_err(|reason| ProcessError::NotStarted {
            label: command.label().clone(),
            program: command.program().to_string_lossy().into_owned(),
            reason,
        })
    }
}

/// What a program has printed.
pub(crate) struct Answer {
    pub(crate) text: String,
    /// On its standard error.
    pub(crate) complaint: String,
}

/// What a program prints, on its way to a log.
pub(crate) trait Filter {
    /// Takes in some of it, and adds to `shown` what is to be logged.
    fn pass(&mut self, bytes: &[u8], shown: &mut Vec<u8>);

    /// Adds what is left at the end.
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
