//! A custom job at work, as its executor sees it.

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

/// The variable with the mark of a program's descendants.
pub(super) const MARK: &str = "OCLUSTER_CUSTOM_PROGRAM";

/// A custom job at work: what was asked for, and what there is to do it with.
#[derive(Clone, Copy)]
pub struct RunningJob<'a> {
    /// The name of the agreement.
    pub kind: &'a str,
    /// What the job is about.
    pub payload: &'a CustomPayload,
    /// All that was submitted, with the cache hint and the secrets.
    pub description: &'a Description,
    /// The directory with the job's source, which is empty if it names no commits. The job may change it; it is removed
    /// when the job has ended.
    pub source: &'a Path,
    /// What the client reads. It gets a last line about the outcome by itself.
    pub log: &'a JobLog,
    /// Fires when the job is to stop.
    pub cancel: &'a Cancel,
    pub(super) tools: &'a Tools,
    /// Where its programs run. `None` where there can be none.
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

    /// Runs a command, with all that it prints going to the job's log.
    ///
    /// When the job is cancelled, the program and all its descendants are stopped before this returns. They also end
    /// with the worker, even if that is killed.
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

    /// Runs a command and returns what it prints, up to a megabyte. Its standard error goes to the worker's own log. It
    /// is cancelled as with [`run`](Self::run).
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

    /// Adds to the error of a program that it has failed for lack of memory, if so.
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

/// What all descendants of a program have in their environment, so that none outlives it.
struct Mark(String);

impl Mark {
    /// Returns a mark that no other program has had.
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

    /// Ends what the program has left behind.
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
