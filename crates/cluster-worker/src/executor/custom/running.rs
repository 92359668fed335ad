//! A running custom job, as its executor sees it.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use cgroup::MemoryWatch;
use cluster_api::{CustomPayload, Description};

use super::Tools;
use crate::cancel::Cancel;
use crate::job_limits::JobGroup;
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::process::{Command, ProcessError};

/// The variable that marks the descendants of a program.
pub(super) const MARK: &str = "OCLUSTER_CUSTOM_PROGRAM";

/// A running custom job: its description, and the means to run it.
#[derive(Clone, Copy)]
pub struct RunningJob<'a> {
    /// The kind of job.
    pub kind: &'a str,
    /// The job's data.
    pub payload: &'a CustomPayload,
    /// The whole description, with the cache hint and the secrets.
    pub description: &'a Description,
    /// The directory with the job's source. It is empty if the job names no commits. The job may change it; it is
    /// removed when the job has ended.
    pub source: &'a Path,
    /// The log that the client reads. The worker adds the last line, which states the outcome.
    pub log: &'a JobLog,
    /// Fires when the job must stop.
    pub cancel: &'a Cancel,
    pub(super) tools: &'a Tools,
    /// The control group of its programs. `None` where groups cannot be made.
    pub(super) group: Option<&'a JobGroup>,
}

impl RunningJob<'_> {
    /// Returns a command that runs a program in the job's source, with the environment of all programs that the worker
    /// runs.
    ///
    /// `program` is looked up in `PATH` unless it has a slash in it. There is no shell.
    pub fn command(
        &self,
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Command {
        let program = program.into();
        let label = program.to_string_lossy().into_owned();
        let environment = self.tools.environment.clone();
        Command::new(label, program, args, environment).in_dir(self.source)
    }

    /// Runs a command. Its output goes to the job's log.
    ///
    /// When the job is cancelled, the program and all its descendants are stopped before this returns. They also end
    /// with the worker, even if it is killed.
    ///
    /// # Errors
    /// When the program fails, with its exit code or signal; when the job is cancelled; or when the log cannot be
    /// written.
    pub async fn run(&self, command: &Command) -> Result<(), JobError> {
        let processes = &self.tools.processes;
        let mark = Mark::new();
        let memory = MemoryWatch::start();
        let result = processes
            .run(
                &mark.put_on(&self.in_group(command), self.tools),
                self.log,
                self.cancel,
            )
            .await;
        let result = result.map_err(|error| self.with_reason(error, &memory));
        mark.end_all(self).await?;
        result
    }

    /// Runs a command and returns its standard output, up to a megabyte. Its standard error goes to the worker's log.
    /// It is cancelled as with [`run`](Self::run).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn ask(&self, command: &Command) -> Result<String, JobError> {
        let mark = Mark::new();
        let command = mark.put_on(&self.in_group(command), self.tools);
        let memory = MemoryWatch::start();
        let result = self.tools.processes.ask(&command, self.cancel).await;
        let result = result.map_err(|error| self.with_reason(error, &memory));
        mark.end_all(self).await?;
        result
    }

    /// Adds to the error of a program whether the cause was lack of memory.
    fn with_reason(&self, error: ProcessError, memory: &MemoryWatch) -> JobError {
        if !error.has_failed() {
            return error.into();
        }
        let was_killed = error.is_killed();
        let kill = match self.group {
            Some(group) => group.memory_kill(memory, was_killed),
            None => memory.found(None, was_killed),
        };
        match kill {
            Some(kill) => JobError::command_failed(format!("{error}: {kill}"), error.exit_code()),
            None => JobError::command_failed(error.to_string(), error.exit_code()),
        }
    }

    /// Returns a command that runs in the job's control group, if it has one.
    fn in_group(&self, command: &Command) -> Command {
        let entrances = self.group.map(JobGroup::entrances).unwrap_or_default();
        command.clone().in_group(entrances)
    }
}

/// A value in the environment of all descendants of a program, by which they are found and stopped.
struct Mark(String);

impl Mark {
    /// Returns a unique mark.
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        Self(format!("{}-{now}-{nth}", std::process::id()))
    }

    fn put_on(&self, command: &Command, tools: &Tools) -> Command {
        tools.as_user(command.clone().with_var(MARK, &self.0))
    }

    /// Stops the processes that the program has left behind.
    async fn end_all(&self, job: &RunningJob<'_>) -> Result<(), JobError> {
        let left = job.tools.processes.end_marked(MARK, &self.0).await;
        if left > 0 {
            let text = format!("Cannot stop all processes of the job: {left} still running");
            tracing::error!("{text}");
            job.log.line(text)?;
        }
        Ok(())
    }
}
