//! Workers.

use std::time::SystemTime;

use cluster_api::{InactiveReason, Presence, WorkerDetails};
use serde::Deserialize;

use super::findings::{self, WorkerStatus};
use super::pool_request::{Nothing, PoolRequest};
use super::shared::{self, Source};
use super::{graphs, pool, pools, worker_parts};
use crate::access::Visitor;
use crate::cluster::{Disk, LastJobs, PastRegistration, PoolState, WorkerPast};
use crate::pages::{
    Cached, Command, DiskRow, PauseRow, Registration, WorkerPage, WorkerRow, WorkersPage,
    shell_word,
};
use crate::server::reply::{self, Refusal, Reply};
use crate::server::visit::Visit;

/// Which workers.
#[derive(Deserialize)]
pub(in crate::server) struct Asked {
    state: Option<String>,
}

/// Shows the workers of a pool.
pub(in crate::server) async fn workers(request: PoolRequest<Asked>) -> Reply {
    let PoolRequest {
        site,
        visit,
        state,
        asked,
        ..
    } = &request;
    let wanted = asked.state.clone().filter(|word| !word.is_empty());
    let source = Source {
        page: &format!(
            "{}/workers/{}",
            state.name,
            wanted.as_deref().unwrap_or_default()
        ),
        states: std::slice::from_ref(state),
    };
    let frame = request.frame();
    if let Some(made) = shared::made_before(site, visit, &frame, &source) {
        return Ok(made);
    }
    let known = state.details.workers.iter();
    let rows = known.map(|worker| row(state, worker, visit));
    let mut rows: Vec<WorkerRow> = rows
        .filter(|row| wanted.as_ref().is_none_or(|wanted| *wanted == row.state))
        .collect();
    rows.sort_by(|a, b| visible::natural(&a.name, &b.name));
    let page = WorkersPage {
        frame: shared::shared(&frame),
        pool: state.name.clone(),
        counts: findings::counts(state),
        state: wanted,
        workers: rows,
    };
    shared::make(site, visit, &frame, &source, &page)
}

/// Shows a worker.
pub(in crate::server) async fn worker(request: PoolRequest<Nothing>) -> Reply {
    let PoolRequest {
        site,
        visit,
        state,
        worker,
        ..
    } = &request;
    let known = state.details.workers.iter();
    let found = known.into_iter().find(|known| known.name == *worker);
    let found = found.ok_or_else(Refusal::not_found)?;
    let row = row(state, found, visit);
    let parts = worker_parts::get(site, state, worker, &visit.visitor).await?;
    let WorkerPast {
        registrations,
        readings,
    } = &parts.past;
    let page = WorkerPage {
        frame: request.frame(),
        pool: state.name.clone(),
        commands: match visit.visitor.may_operate() {
            true => commands(&state.name, &row),
            false => Vec::new(),
        },
        worker: row,
        running: pool::running(state, &visit.visitor, Some(worker)),
        jobs: parts.jobs.as_deref().map(pools::rows),
        registrations: match visit.visitor.is_admin() {
            true => registrations.iter().cloned().map(registration).collect(),
            false => Vec::new(),
        },
        cached: parts.cached.as_deref().map(cached),
        graphs: graphs::of(readings),
    };
    reply::page(visit, &page)
}

fn cached(hints: &[String]) -> Vec<Cached> {
    let cached = hints.iter().map(|hint| Cached {
        cache_hint: hint.clone(),
        used_seconds: None,
    });
    cached.collect()
}

fn registration(past: PastRegistration) -> Registration {
    let PastRegistration {
        began,
        end,
        address,
    } = past;
    let (lasted, end) = end.unzip();
    Registration {
        began_seconds: began.as_secs_f64(),
        lasted_seconds: lasted.map(|lasted| lasted.as_secs_f64()),
        address: Some(address),
        end,
    }
}

/// Returns a worker as a row.
fn row(state: &PoolState, worker: &WorkerDetails, visit: &Visit) -> WorkerRow {
    let WorkerDetails {
        name,
        paused,
        presence,
        ..
    } = worker;
    let note = state.notes.iter().find(|note| note.name == *name);
    let pause = note.and_then(|note| note.pause.as_ref());
    let row = WorkerRow {
        name: name.clone(),
        state: WorkerStatus::of(presence).word().to_owned(),
        paused: *paused,
        pause: pause.map(|pause| PauseRow {
            // Who and why is between operators.
            by: operators_only(visit, &pause.by),
            note: operators_only(visit, &pause.note),
            lasting_seconds: pause.lasting.as_secs_f64(),
        }),
        version: note.and_then(|note| note.version.clone()),
        disks: state
            .disks
            .get(name)
            .into_iter()
            .flatten()
            .map(disk)
            .collect(),
        ..recent(state, name)
    };
    // It may have the names of operators and their notes.
    let explanation = state.worker_explanations.get(name);
    let explanation = explanation.filter(|_| visit.visitor.is_admin());
    match presence {
        Presence::NeverSeen => WorkerRow {
            reason: "not seen since the scheduler started".to_owned(),
            ..row
        },
        Presence::Left(ago) => WorkerRow {
            left_seconds: Some(ago.as_secs_f64()),
            ..row
        },
        Presence::Connected(worker) => WorkerRow {
            reason: match explanation {
                Some(explanation) => explanation.text.clone(),
                // What workers say is not for everybody.
                None if visit.visitor == Visitor::Public => String::new(),
                None => reason(worker),
            },
            running: u32::try_from(worker.running.len()).unwrap_or(u32::MAX),
            capacity: Some(worker.capacity),
            queued: worker.queued,
            connected_seconds: Some(worker.registered_for.as_secs_f64()),
            address: visit.visitor.is_admin().then(|| worker.address.clone()),
            paused: *paused || worker.inactive.contains(&InactiveReason::TemporaryPause),
            ..row
        },
    }
}

fn disk(Disk { name, free }: &Disk) -> DiskRow {
    DiskRow {
        name: name.to_string(),
        free: *free,
    }
}

/// Returns the row of a worker with what its last jobs tell.
fn recent(state: &PoolState, worker: &str) -> WorkerRow {
    let Some(last) = state.activity.workers.get(worker) else {
        return WorkerRow::default();
    };
    let LastJobs {
        ended,
        failed,
        latest,
    } = *last;
    // An error means that a clock was set back.
    let ago = SystemTime::now().duration_since(latest).unwrap_or_default();
    WorkerRow {
        recent: ended,
        recent_failed: failed,
        last_job_seconds: Some(ago.as_secs_f64()),
        ..WorkerRow::default()
    }
}

fn operators_only(visit: &Visit, text: &str) -> String {
    match visit.visitor.may_operate() {
        true => text.to_owned(),
        false => String::new(),
    }
}

/// Returns why a worker gets no jobs; nothing if it gets jobs.
fn reason(worker: &cluster_api::ConnectedWorker) -> String {
    let own = worker
        .pause_reasons
        .iter()
        .map(|reason| match reason.advice.as_str() {
            "" => reason.problem.clone(),
            advice => format!("{}; {advice}", reason.problem),
        });
    let own: Vec<String> = own.collect();
    let reasons = worker.inactive.iter().map(|reason| match reason {
        InactiveReason::WorkerPause if own.is_empty() => "paused by itself".to_owned(),
        InactiveReason::WorkerPause => format!("paused by itself: {}", own.join("; ")),
        InactiveReason::AdminPause => "paused by an operator".to_owned(),
        InactiveReason::TemporaryPause => "paused by an operator until it reconnects".to_owned(),
        InactiveReason::ShuttingDown => "about to be updated".to_owned(),
        InactiveReason::NotAnswering => format!(
            "unresponsive for {}",
            visible::CompactElapsed(worker.silent_for)
        ),
        InactiveReason::Other => "inactive for a reason unknown to this version".to_owned(),
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// Returns what an operator may do to a worker in a terminal.
fn commands(pool: &str, row: &WorkerRow) -> Vec<Command> {
    let words = |command: &str, more: &[&str]| {
        let words = ["ocluster-admin", command, "admin.cap", pool, &row.name];
        let words = words.iter().chain(more).map(|word| shell_word(word));
        words.collect::<Vec<_>>().join(" ")
    };
    let command = |purpose: &str, line: String| Command {
        purpose: purpose.to_owned(),
        line,
    };
    let mut commands = match (row.capacity.is_some(), row.paused) {
        (_, true) => vec![command("Unpause it", words("unpause", &[]))],
        (true, false) => vec![command(
            "Pause it, and wait until it runs nothing",
            words("drain", &[]),
        )],
        (false, false) => Vec::new(),
    };
    if row.capacity.is_none() {
        commands.push(command("Forget it", words("forget", &[])));
    }
    commands
}
