//! What `ocluster-client` prints: the life of a job.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::{Lines, Object};
use super::kept_jobs::{CancelledKeptJobs, DescribedJob, EndedJob, KeptJobs, SharedJob};
use cli::failure::Reason;

/// Returns what each command prints.
pub(super) fn schemas() -> Vec<Output> {
    const NAME: &str = "ocluster-client";
    let mut outputs: Vec<Output> = [
        "submit-docker",
        "submit-obuilder",
        "submit-custom",
        "logs",
        "retry",
    ]
    .map(|command| Output::new::<JobEvent>(NAME, command, Lines))
    .into();
    outputs.extend([
        Output::new::<KeptJobs>(NAME, "jobs", Object),
        Output::new::<DescribedJob>(NAME, "status", Object),
        Output::new::<EndedJob>(NAME, "wait", Lines),
        Output::new::<CancelledKeptJobs>(NAME, "cancel", Object),
        Output::new::<SharedJob>(NAME, "share", Object),
        Output::new::<PageLink>(NAME, "web", Object),
    ]);
    outputs
}

/// What happens to the job. The last event is `succeeded` or `failed`, unless the job was lost or a signal ended the
/// client: then the last line is an error. So the last line of a job that did not succeed has an `error`, whose `kind`
/// decides what to do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum JobEvent {
    /// It was submitted, and the scheduler keeps it. Not printed if the scheduler keeps no jobs.
    Submitted {
        /// Its id.
        id: String,
    },
    /// It is queued. Repeated when something changes. OCaml schedulers cannot report it, so it is never printed with
    /// them.
    Queued {
        /// The worker whose queue it is in; null while it waits for any worker.
        worker: Option<String>,
        /// How many jobs are ahead of it there.
        ahead: u32,
        /// Why no worker takes jobs, for people; null if some do.
        obstacle: Option<String>,
    },
    /// A worker has taken it.
    Running {
        /// The name of the worker; null if the scheduler does not report it.
        worker: Option<String>,
        /// The number of its ticket, which is also in the scheduler's log; null if the scheduler does not report it,
        /// and for a job that it keeps.
        ticket: Option<u64>,
    },
    /// A piece of its log. The pieces joined are the log.
    Log {
        /// The text, which may begin and end anywhere in a line. U+FFFD replaces invalid UTF-8.
        text: String,
    },
    /// Its worker was lost or unfit, and another one runs it: it is queued anew, and its log begins anew.
    Resubmitted {
        /// What was wrong with the worker.
        message: String,
    },
    /// The rest of its log, or of that of this attempt, cannot be read.
    CutOff {
        /// Why.
        message: String,
    },
    /// It succeeded.
    Succeeded {
        /// Its output, such as a pushed image or the id of a result. Empty if there is none.
        output: String,
        /// How long it took.
        #[serde(flatten)]
        times: Times,
    },
    /// It failed, or was cancelled.
    Failed {
        /// Why, in a few words. The log has the details.
        message: String,
        /// How long it took.
        #[serde(flatten)]
        times: Times,
        /// The same for programs, as in every failure.
        error: Option<Reason>,
    },
}

/// A link to the pages of the scheduler. It is a secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PageLink {
    /// Its address. It works once.
    pub(crate) url: String,
    /// How long it works.
    pub(crate) lasts_seconds: f64,
}

/// How long a job took, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Times {
    /// From the submission until a worker took it.
    pub(crate) waited_seconds: f64,
    /// From then until it ended.
    pub(crate) ran_seconds: f64,
}
