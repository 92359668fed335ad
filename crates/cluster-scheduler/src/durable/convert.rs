//! Values of the wire, of the jobs and of their store, as each other's.

use std::time::Duration;

use cluster_api::{
    DurableOutcome, DurableStage, JobQuery, JobRequest, JobState, JobSummary, Label, LogTime,
    LostAttempt, Outcome as WireOutcome, Phase, PhaseKind, ReturnTimeouts as WireTimeouts,
    Unwatched as WireUnwatched,
};
use job_store::{PhaseRecord, Query, Record, State};
use jobs::{
    AttemptEnd, CancelledBy, Limit, LossReason, Outcome, ReturnTimeouts, Stage, Terms, Unwatched,
    Verdict,
};
use pool::{ClientId, Time};

use crate::job_settings::JobSettings;

/// Returns how a job is to be run.
pub(super) fn terms(request: &JobRequest, settings: &JobSettings) -> Terms {
    let defaults = settings.return_timeouts();
    let unwatched = match &request.unwatched {
        WireUnwatched::Continues => Unwatched::GoesOn,
        WireUnwatched::Cancelled(timeouts) => {
            Unwatched::Cancelled(return_timeouts(timeouts, defaults))
        }
    };
    Terms {
        attempts: request.attempts.unwrap_or(settings.job_attempts),
        queue_limit: request.queue_limit,
        run_limit: request.run_limit,
        silence_limit: request.silence_limit,
        unwatched,
    }
}

fn return_timeouts(asked: &WireTimeouts, defaults: ReturnTimeouts) -> ReturnTimeouts {
    ReturnTimeouts {
        closed: asked.closed.unwrap_or(defaults.closed),
        silent: asked.silent.unwrap_or(defaults.silent),
        restarted: asked.restarted.unwrap_or(defaults.restarted),
    }
}

/// Returns how an attempt ended whose worker reports this outcome.
pub(crate) fn attempt_end(outcome: WireOutcome) -> AttemptEnd {
    match outcome {
        WireOutcome::Succeeded(output) => AttemptEnd::Done(Verdict::Succeeded(output.into())),
        WireOutcome::Failed { detail, exit_code } => AttemptEnd::Done(Verdict::Failed {
            detail: detail.into(),
            exit_code,
        }),
        WireOutcome::Cancelled(_) => AttemptEnd::Stopped,
        WireOutcome::TimedOut { detail } => AttemptEnd::Done(Verdict::TimedOut {
            detail: detail.into(),
        }),
        WireOutcome::WorkerUnfit { problem, .. } => AttemptEnd::Lost(LossReason::WorkerUnfit {
            problem: problem.into(),
        }),
        WireOutcome::Abandoned => AttemptEnd::Lost(LossReason::Abandoned),
        WireOutcome::Lost { .. } => AttemptEnd::Lost(LossReason::WorkerGone),
        WireOutcome::Crashed => AttemptEnd::Lost(LossReason::Crashed),
        WireOutcome::Other(error) => AttemptEnd::Done(Verdict::Refused {
            reason: error.reason.into(),
        }),
    }
}

/// Returns how a job ended, as its clients see it.
pub(super) fn outcome(outcome: &Outcome) -> DurableOutcome {
    match outcome {
        Outcome::Done(verdict) => DurableOutcome::Done(match verdict {
            Verdict::Succeeded(output) => WireOutcome::Succeeded(output.to_string()),
            Verdict::Failed { detail, exit_code } => WireOutcome::Failed {
                detail: detail.to_string(),
                exit_code: *exit_code,
            },
            Verdict::TimedOut { detail } => WireOutcome::TimedOut {
                detail: detail.to_string(),
            },
            Verdict::Refused { reason } => {
                let reason = reason.to_string();
                return DurableOutcome::Refused { reason };
            }
        }),
        Outcome::Cancelled(CancelledBy::Client) => DurableOutcome::CancelledByClient,
        Outcome::Cancelled(CancelledBy::Operator) => DurableOutcome::CancelledByOperator,
        Outcome::Cancelled(CancelledBy::Departure) => DurableOutcome::CancelledUnwatched,
        Outcome::TimedOut(Limit::Queue) => DurableOutcome::QueueLimit,
        Outcome::TimedOut(Limit::Run) => DurableOutcome::RunLimit,
        Outcome::TimedOut(Limit::Silence) => DurableOutcome::SilenceLimit,
        // Only an attached job is lost without an attempt: it waited when its scheduler ended.
        Outcome::Lost(losses) if losses.is_empty() => DurableOutcome::Lost(vec![LostAttempt {
            attempt: 0,
            worker: String::new(),
            reason: loss_reason(&LossReason::SchedulerRestarted),
        }]),
        Outcome::Lost(losses) => {
            let lost = losses.iter().map(|loss| LostAttempt {
                attempt: loss.attempt,
                worker: loss.worker.to_string(),
                reason: loss_reason(&loss.reason),
            });
            DurableOutcome::Lost(lost.collect())
        }
    }
}

pub(super) fn loss_reason(reason: &LossReason) -> String {
    match reason {
        LossReason::WorkerGone => {
            "its worker lost its connection, and did not return in time".to_owned()
        }
        LossReason::NotHeld => "its worker returned without it".to_owned(),
        LossReason::Interrupted => "the process of its worker ended".to_owned(),
        LossReason::Abandoned => "its worker is shutting down".to_owned(),
        LossReason::WorkerUnfit { problem } => format!("its worker is unfit: {problem}"),
        LossReason::Crashed => "its worker has a bug, which the worker's log describes".to_owned(),
        LossReason::SchedulerRestarted => "its scheduler was restarted".to_owned(),
    }
}

/// Returns a stage of a job, as its clients see it. One that waits has `ahead` jobs before it.
pub(super) fn stage(
    stage: &Stage,
    attempts: u32,
    now: Time,
    ahead: u32,
    obstacle: Option<String>,
) -> DurableStage {
    match stage {
        // No client learns that a worker was chosen until that is on disk.
        Stage::Queued { .. } | Stage::Assigned(_) => DurableStage::Queued { ahead, obstacle },
        Stage::Running(attempt) => DurableStage::Running {
            attempt: attempt.number,
            worker: attempt.worker.to_string(),
        },
        Stage::Away { attempt, until } => DurableStage::Away {
            attempt: attempt.number,
            worker: attempt.worker.to_string(),
            remaining: Duration::try_from_secs_f64(until.secs_after(now)).unwrap_or_default(),
        },
        Stage::Ended { outcome: ended, .. } => DurableStage::Ended {
            attempt: attempts,
            outcome: outcome(ended),
        },
    }
}

/// Returns a query to the store: of a client, or of all.
pub(super) fn query(client: Option<ClientId>, query: JobQuery, now: Time) -> Query {
    let since = query.submitted_within.map(|within| {
        let micros = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
        Time::from_micros(now.micros().saturating_sub(micros))
    });
    Query {
        client,
        pool: None,
        hint: None,
        worker: None,
        labels: query.labels.into_iter().map(stored_label).collect(),
        states: query.states.into_iter().map(stored_state).collect(),
        since,
        before: query.before.map(job_store::Cursor::from_number),
        at_most: query.at_most.unwrap_or(DEFAULT_PAGE),
    }
}

/// How many jobs a page has, unless its reader asks for another number.
const DEFAULT_PAGE: u32 = 100;

/// Returns a job in a list.
pub(super) fn summary(record: &Record, now: Time) -> JobSummary {
    let latest = record.attempts.last();
    let changed = record.end.as_ref().map(|(_, at)| *at);
    let changed = changed
        .or_else(|| latest.map(|attempt| attempt.started))
        .unwrap_or(record.submitted);
    let ago = |time: Time| Duration::try_from_secs_f64(now.secs_after(time)).unwrap_or_default();
    JobSummary {
        id: record.id.to_string(),
        pool: record.pool.clone(),
        kind: record.kind.clone(),
        labels: record.labels.iter().map(wire_label).collect(),
        state: wire_state(record.state),
        submitted_ago: ago(record.submitted),
        changed_ago: ago(changed),
        attempts: latest.map_or(0, |attempt| attempt.number),
        worker: latest.map(|attempt| attempt.worker.clone()),
        attached: record.attached,
    }
}

pub(super) fn stored_label(Label { name, value }: Label) -> job_store::Label {
    job_store::Label { name, value }
}

pub(super) fn wire_label(job_store::Label { name, value }: &job_store::Label) -> Label {
    Label {
        name: name.clone(),
        value: value.clone(),
    }
}

fn stored_state(state: JobState) -> State {
    match state {
        JobState::Queued => State::Queued,
        JobState::Running => State::Running,
        JobState::Succeeded => State::Succeeded,
        JobState::Failed => State::Failed,
        JobState::Cancelled => State::Cancelled,
        JobState::TimedOut => State::TimedOut,
        JobState::Lost => State::Lost,
    }
}

pub(super) fn wire_state(state: State) -> JobState {
    match state {
        State::Queued => JobState::Queued,
        State::Running => JobState::Running,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
        State::TimedOut => JobState::TimedOut,
        State::Lost => JobState::Lost,
    }
}

/// Returns a phase with its number, as it is stored.
pub(super) fn stored_phase((number, phase): &(u32, Phase)) -> PhaseRecord {
    let Phase {
        kind,
        name,
        log_offset,
        started,
        ended,
        cached,
    } = phase;
    PhaseRecord {
        number: *number,
        kind: kind.word().to_owned(),
        name: name.clone(),
        log_offset: *log_offset,
        started: *started,
        ended: *ended,
        cached: *cached,
    }
}

/// Returns a phase that was stored.
pub(super) fn phase(stored: PhaseRecord) -> Phase {
    let PhaseRecord {
        number: _,
        kind,
        name,
        log_offset,
        started,
        ended,
        cached,
    } = stored;
    Phase {
        // A newer program may have stored others.
        kind: PhaseKind::of_word(&kind).unwrap_or(PhaseKind::Step),
        name,
        log_offset,
        started,
        ended,
        cached,
    }
}

pub(super) fn stored_log_time(LogTime { offset, at }: LogTime) -> job_store::logs::LogTime {
    job_store::logs::LogTime { offset, at }
}

pub(super) fn log_time(stored: job_store::logs::LogTime) -> LogTime {
    let job_store::logs::LogTime { offset, at } = stored;
    LogTime { offset, at }
}

#[cfg(test)]
mod tests {
    use cluster_api::CancelledBy as WireCancelledBy;

    use super::*;

    #[test]
    fn what_was_not_asked_for_is_as_the_scheduler_has_it() {
        let asked = WireTimeouts {
            silent: Some(Duration::from_secs(1)),
            ..WireTimeouts::default()
        };
        let expected = ReturnTimeouts {
            silent: Duration::from_secs(1),
            ..ReturnTimeouts::default()
        };
        assert_eq!(return_timeouts(&asked, ReturnTimeouts::default()), expected);
    }

    #[test]
    fn an_end_that_another_worker_could_avoid_is_a_loss() {
        let is_loss = |outcome| matches!(attempt_end(outcome), AttemptEnd::Lost(_));
        assert!(is_loss(WireOutcome::Abandoned));
        assert!(is_loss(WireOutcome::Crashed));
        assert!(is_loss(WireOutcome::Lost {
            reason: String::new()
        }));
        assert!(is_loss(WireOutcome::WorkerUnfit {
            problem: String::new(),
            had_begun: true
        }));
        assert!(!is_loss(WireOutcome::Failed {
            detail: String::new(),
            exit_code: None
        }));
        assert!(!is_loss(WireOutcome::Cancelled(WireCancelledBy::Operator)));
    }
}
