//! What `ocluster-client` prints: the life of a job.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::Lines;
use cli::failure::Reason;

/// Returns what each command prints.
pub(super) fn schemas() -> Vec<Output> {
    ["submit-docker", "submit-obuilder", "submit-custom"]
        .map(|command| Output::new::<JobEvent>("ocluster-client", command, Lines))
        .into()
}

/// What happens to the job. The last one is `succeeded` or `failed`, unless the job was lost or a signal ended the client: then
/// it is an error. So the last line of a job that did not succeed has an `error`, and `error.kind` says what to do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    /// It waits. This comes again when something about it changes; an OCaml scheduler cannot tell, and then it never comes.
    Queued {
        /// The worker whose queue it is in; null while it waits for any worker.
        worker: Option<String>,
        /// How many jobs are before it there.
        ahead: u32,
        /// Why no worker takes jobs, for people; null when some do.
        obstacle: Option<String>,
    },
    /// A worker has taken it.
    Running {
        /// The name of the worker; null if the scheduler cannot tell.
        worker: Option<String>,
        /// The number of its ticket, which is also in the scheduler's log; null if the scheduler cannot tell.
        ticket: Option<u64>,
    },
    /// A piece of its log. Put together, these are the log.
    Log {
        /// The text, which may begin and end anywhere in a line. U+FFFD stands for what is not UTF-8.
        text: String,
    },
    /// Its worker was not fit for it, and it is submitted again: it waits anew, and its log begins anew.
    Resubmitted {
        /// What is wrong with the worker.
        message: String,
    },
    /// It ended well.
    Succeeded {
        /// What it made: an image that was pushed, say, or the id of a result. Empty when there is nothing to name.
        output: String,
        /// How long it took.
        #[serde(flatten)]
        times: Times,
    },
    /// It failed, or was cancelled.
    Failed {
        /// Why, in a few words. The log says more.
        message: String,
        /// How long it took.
        #[serde(flatten)]
        times: Times,
        /// The same for scripts, as in every failure.
        error: Option<Reason>,
    },
}

/// How long a job took, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Times {
    /// From the submission until a worker had taken it.
    pub waited_seconds: f64,
    /// From then to its end.
    pub ran_seconds: f64,
}
