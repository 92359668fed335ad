//! Workers.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use cluster_api::{AdminJobQuery, InactiveReason, JobQuery, JobState, Presence, WorkerDetails};
use serde::Deserialize;

use super::findings::{self, WorkerStatus};
use super::{encoded, frame, pool, pools, query, require};
use crate::access::Visitor;
use crate::cluster::{FoundJob, JobsQuery, PoolState};
use crate::pages::{
    Cached, Command, PauseRow, Section, WorkerPage, WorkerRow, WorkersPage, shell_word,
};
use crate::server::reply::{self, Refusal, Reply};
use crate::server::site::Site;
use crate::server::visit::Visit;

/// How many of the last jobs of a worker are shown.
const JOBS: u32 = 50;

/// How many of them show whether the worker fails.
const RECENT: usize = 20;

/// Which workers.
#[derive(Deserialize)]
pub(in crate::server) struct Asked {
    state: Option<String>,
}

/// Shows the workers of a pool.
pub(in crate::server) async fn workers(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply {
    require(visit.visitor.may_see_pools())?;
    let Asked { state: wanted } = query(asked)?;
    let wanted = wanted.filter(|word| !word.is_empty());
    let state = site.cluster.pool(name).await?;
    let known = state.details.workers.iter();
    let rows = known.map(|worker| row(&state, worker, &visit));
    let mut rows: Vec<WorkerRow> = rows
        .filter(|row| wanted.as_ref().is_none_or(|wanted| *wanted == row.state))
        .collect();
    rows.sort_by(|a, b| visible::natural(&a.name, &b.name));
    let mut frame = frame(&site, &visit, Section::Pools);
    frame.events = Some(format!("/pool/{}/events", encoded(&state.name)));
    let page = WorkersPage {
        frame,
        pool: state.name.clone(),
        counts: findings::counts(&state),
        state: wanted,
        workers: rows,
    };
    reply::page(&visit, &page)
}

/// Shows a worker.
pub(in crate::server) async fn worker(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path((name, worker)): Path<(String, String)>,
) -> Reply {
    require(visit.visitor.may_see_pools())?;
    let state = site.cluster.pool(name).await?;
    let known = state.details.workers.iter();
    let found = known.into_iter().find(|known| known.name == worker);
    let found = found.ok_or_else(Refusal::not_found)?;
    let mut row = row(&state, found, &visit);
    let jobs = match visit.visitor.is_admin() {
        true => Some(last_jobs(&site, &state.name, &worker).await?),
        false => None,
    };
    if let Some(jobs) = &jobs {
        let ended = jobs.iter().filter(|job| is_ended(job)).take(RECENT);
        let failed = |job: &&FoundJob| job.summary.state != JobState::Succeeded;
        row.recent = u32::try_from(ended.clone().count()).unwrap_or(0);
        row.recent_failed = u32::try_from(ended.clone().filter(failed).count()).unwrap_or(0);
        let last = ended.map(|job| job.summary.changed_ago.as_secs_f64());
        row.last_job_seconds = last.min_by(f64::total_cmp);
    }
    let cached = match visit.visitor.may_see_details() {
        true => Some(cached(&site, &state.name, &worker).await?),
        false => None,
    };
    let mut frame = frame(&site, &visit, Section::Pools);
    frame.events = Some(format!("/pool/{}/events", encoded(&state.name)));
    let page = WorkerPage {
        frame,
        pool: state.name.clone(),
        commands: match visit.visitor.may_operate() {
            true => commands(&state.name, &row),
            false => Vec::new(),
        },
        worker: row,
        running: pool::running(&state, &visit.visitor, Some(&worker)),
        jobs: jobs.map(|jobs| pools::rows(&jobs)),
        registrations: Vec::new(),
        cached,
        graphs: Vec::new(),
    };
    reply::page(&visit, &page)
}

async fn cached(site: &Site, pool: &str, worker: &str) -> Result<Vec<Cached>, Refusal> {
    let hints = site.cluster.cached(pool.to_owned(), worker.to_owned());
    let cached = |cache_hint| Cached {
        cache_hint,
        used_seconds: None,
    };
    Ok(hints.await?.into_iter().map(cached).collect())
}

/// Returns whether a job ran to an end that says something about its worker.
fn is_ended(job: &FoundJob) -> bool {
    !matches!(
        job.summary.state,
        JobState::Queued | JobState::Running | JobState::Cancelled
    )
}

async fn last_jobs(site: &Site, pool: &str, worker: &str) -> Result<Vec<FoundJob>, Refusal> {
    let query = JobsQuery {
        admin: AdminJobQuery {
            jobs: JobQuery {
                at_most: Some(JOBS),
                ..JobQuery::default()
            },
            pool: Some(pool.to_owned()),
            client: None,
        },
        worker: Some(worker.to_owned()),
        ..JobsQuery::default()
    };
    Ok(site.cluster.jobs(query).await?.jobs)
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
        ..WorkerRow::default()
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
