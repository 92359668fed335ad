//! Reads a job's description, once. The worker matches the kind of job nowhere else.

use cluster_api::{Action, Description};
use job_rules::{SourceError, SourceRequest};
use redact::Redactor;
use visible::OneLine;

use crate::executor::{AnyBuild, Backend, Executor, Executors, JobKind};
use crate::job_secrets::redactor;
use crate::outcome::JobError;

/// What a worker has read from a job's description.
pub(crate) struct Admission<'a> {
    /// What the worker's log shows of the job.
    pub(crate) announcement: String,
    /// Keeps the job's secrets out of its log.
    pub(crate) redactor: Redactor,
    /// What the job runs on.
    pub(crate) backend: &'a dyn Backend,
    /// The job, or why it cannot succeed on this worker.
    pub(crate) job: Result<AdmittedJob<'a>, JobError>,
}

/// A job that can run.
pub(crate) struct AdmittedJob<'a> {
    /// What to check out. `None`: the job's source is empty.
    pub(crate) source: Option<SourceRequest>,
    pub(crate) build: Box<dyn AnyBuild + 'a>,
}

impl Executors {
    /// Reads a job's description.
    pub(crate) fn admit<'a>(&'a self, job: &'a Description) -> Admission<'a> {
        match &job.action {
            Action::Docker(build) => Admission::new(job, build, &*self.docker),
            Action::OBuilder(build) => Admission::new(job, build, &*self.obuilder),
            Action::Custom(build) => Admission::new(job, build, &*self.custom),
        }
    }
}

impl<'a> Admission<'a> {
    fn new<Build: JobKind>(
        job: &'a Description,
        build: &'a Build,
        executor: &'a dyn Executor<Build>,
    ) -> Self {
        let admit = || {
            let build_admitted = executor.admit(build, job)?;
            Ok(AdmittedJob {
                source: SourceRequest::of(job, build.includes_git())?,
                build: build_admitted,
            })
        };
        Self {
            announcement: build.announcement(&shown_hint(&job.cache_hint)),
            redactor: redactor(job, build.password()),
            backend: executor,
            job: admit(),
        }
    }
}

impl From<SourceError> for JobError {
    fn from(error: SourceError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Returns a cache hint as the worker's log shows it. An empty one is shown in the scheduler's words.
pub(crate) fn shown_hint(hint: &str) -> String {
    if hint.is_empty() {
        "no cache hint".to_owned()
    } else {
        OneLine(hint).to_string()
    }
}
