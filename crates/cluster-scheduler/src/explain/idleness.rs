//! Why a worker runs no more jobs.

use std::time::Duration;

use cluster_api::Explanation;
use visible::{CompactElapsed, counted};

use super::cause::{Cause, Causes, kind_of};
use super::limited;
use super::report::{Moment, WaitReport};
use super::worker::{Connected, LastSeen, WorkerPresence, WorkerState};

impl WorkerState {
    /// Returns why it runs no more jobs.
    pub(crate) fn explain(&self, report: &WaitReport, moment: &Moment<'_>) -> Explanation {
        let (kind, text) = match &self.presence {
            WorkerPresence::Connected(worker) if !worker.causes.is_empty() => {
                (kind_of(&worker.causes), paused(worker))
            }
            _ if moment.assignments_stopped => (
                "scheduler-stopping",
                "the scheduler is shutting down, and starts no more jobs".to_owned(),
            ),
            WorkerPresence::Connected(worker) => active(worker, report, moment),
            away => ("not-connected", self.away(away)),
        };
        Explanation {
            kind: kind.to_owned(),
            text: limited(text),
            ..Explanation::default()
        }
    }

    fn away(&self, presence: &WorkerPresence) -> String {
        let paused = match &self.lasting {
            Some(pause) => format!("; it is {}", Cause::Operator(pause.clone())),
            None => String::new(),
        };
        format!("not connected ({}); start it{paused}", LastSeen(presence))
    }
}

/// Returns why a worker that is paused runs no more jobs.
fn paused(worker: &Connected) -> String {
    let advice = match worker.causes.iter().any(Cause::is_by_operator) {
        true => "; to end the pause, use ocluster-admin unpause",
        false => "",
    };
    format!("{}{advice}", Causes(&worker.causes))
}

/// Returns why a worker that takes jobs runs no more of them.
fn active(worker: &Connected, report: &WaitReport, moment: &Moment<'_>) -> (&'static str, String) {
    let running = format!(
        "runs {} of {}",
        worker.running,
        counted(worker.capacity, "job")
    );
    let waiting = report.waiting();
    if worker.is_probed {
        let text = "is asked whether it answers, and gets jobs when it does";
        return ("probing", format!("{running}; {text}"));
    }
    if waiting == 0 {
        return ("no-jobs", format!("{running}; no other jobs wait"));
    }
    if worker.asks_for > worker.queued {
        // Others wait for their workers: what waits for any worker would be here.
        let moves = match report.next_move_in(moment.now) {
            Some(left) if left > Duration::ZERO => {
                format!("takes the first of them in {}", CompactElapsed(left))
            }
            _ => "takes the first of them now".to_owned(),
        };
        let text = format!(
            "{} for other workers, which have their cache hints, and this one {moves}",
            wait(waiting)
        );
        return ("cache-wait", format!("{running}; {text}"));
    }
    if worker.asks_for > 0 {
        return ("starting", format!("{running}; is about to take another"));
    }
    match worker.running >= usize::try_from(worker.capacity).unwrap_or(usize::MAX) {
        true => ("full", format!("{running}; {}", wait(waiting))),
        false => (
            "not-asking",
            format!(
                "{running}, and asks for no more: these may take several places (--job-weight); {}",
                wait(waiting)
            ),
        ),
    }
}

fn wait(jobs: usize) -> String {
    match jobs {
        1 => "1 job waits".to_owned(),
        jobs => format!("{jobs} jobs wait"),
    }
}
