//! The limits of jobs: memory, processors, processes and time.

use std::time::Duration;

use cgroup::{GroupError, Hits, Limits, MemoryKill, MemoryWatch, Parent, PidLimit};

use crate::outcome::LimitReached;

/// The limits of each job. By default there are none but those of the worker itself.
///
/// The limits in `groups` apply to each step of an OBuilder job (several jobs may be waiting for the same step), and to
/// a custom job as a whole. Those of memory and processors also apply to each command that the engine's classic builder
/// runs for a Docker job.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct JobLimits {
    /// What a job may use at a time.
    pub groups: Limits,
    /// How long a job may take, from the moment when it has its part of the worker's capacity.
    pub timeout: Option<Duration>,
}

/// Makes a control group for each custom job.
#[derive(Debug, Clone)]
pub(crate) struct JobGroups {
    parent: Parent,
    limits: Limits,
}

impl JobGroups {
    /// Returns a maker of groups with these limits. `None` where groups cannot be made, for example because the worker
    /// does not run as root, and no limits were asked for.
    ///
    /// # Errors
    /// When a limit was asked for that cannot be enforced.
    pub(crate) fn new(limits: &Limits) -> Result<Option<Self>, String> {
        let is_usual = limits.memory.is_none()
            && limits.cpus.is_none()
            && limits.pids.is_none_or(|pids| pids == PidLimit::DEFAULT);
        let parent = match Parent::find() {
            Ok(parent) => parent,
            Err(_) if is_usual => return Ok(None),
            Err(error) => return Err(format!("cannot limit jobs: {error}")),
        };
        let limits = parent.prepare(limits).map_err(|error| error.to_string())?;
        let groups = Self { parent, limits };
        // Shows whether this process may make groups.
        match groups.make("ocluster-probe") {
            Ok(group) => {
                group.end();
                Ok(Some(groups))
            }
            Err(error) if is_usual => {
                tracing::debug!("Programs of custom jobs have no control group: {error}");
                Ok(None)
            }
            Err(error) => Err(format!("cannot limit jobs: {error}")),
        }
    }

    /// Makes a group, whose name begins with `what`.
    pub(crate) fn make(&self, what: &str) -> Result<JobGroup, GroupError> {
        use std::hash::BuildHasher as _;
        // Earlier workers may have left groups.
        let unique = std::hash::RandomState::new().hash_one(std::process::id());
        let group = self
            .parent
            .create(&format!("{what}-{unique:016x}"), &self.limits)?;
        Ok(JobGroup(group))
    }
}

/// The control group of one job. Dropping it kills the processes in it.
#[derive(Debug)]
pub(crate) struct JobGroup(cgroup::Group);

/// How long to wait for killed processes to end.
const KILL_GRACE: Duration = Duration::from_secs(10);

impl JobGroup {
    /// Returns the files that put a process with one thread into the group when it writes `0` to each.
    pub(crate) fn entrances(&self) -> Vec<std::path::PathBuf> {
        self.0.entrances()
    }

    /// Returns the limit that was reached, if one was.
    pub(crate) fn reached(&self) -> Option<LimitReached> {
        let Hits { memory, pids } = self.0.hits();
        let limits = self.0.limits();
        let memory = limits.memory.filter(|_| memory).map(LimitReached::Memory);
        memory.or_else(|| limits.pids.filter(|_| pids).map(LimitReached::Pids))
    }

    /// Returns whether a program in it has failed since `watch` was started because the kernel killed something for
    /// lack of memory.
    pub(crate) fn memory_kill(&self, watch: &MemoryWatch, was_killed: bool) -> Option<MemoryKill> {
        watch.found(Some(&self.0), was_killed)
    }

    /// Kills the processes in it, waits for their end, and removes it. Blocks the thread.
    pub(crate) fn end(self) {
        if !self.0.end(KILL_GRACE) {
            tracing::warn!(
                "Cannot stop some processes of a job: {:?}",
                self.0.members()
            );
        }
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        self.0.kill();
        if let Err(error) = self.0.remove() {
            tracing::warn!("Cannot remove the control group of a job: {error}");
        }
    }
}
