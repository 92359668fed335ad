//! One pool.

use std::collections::HashMap;
use std::time::Duration;

use cluster_api::{ConnectedWorker, Presence, QueuedJob, RunningJob, WorkerDetails};
use serde::Deserialize;

use super::pool_request::PoolRequest;
use super::shared::{self, Source};
use super::{findings, pools};
use crate::access::Visitor;
use crate::cluster::{PoolState, TicketNote};
use crate::pages::{ClientRow, PoolPage, QueuedRow, RunningRow, Waiting};
use crate::server::reply::Reply;

/// How many queued jobs a page shows.
const PAGE: usize = 50;

/// Which page of the queue.
#[derive(Deserialize)]
pub(in crate::server) struct Asked {
    page: Option<u32>,
}

/// Shows a pool.
pub(in crate::server) async fn pool(request: PoolRequest<Asked>) -> Reply {
    let PoolRequest {
        site,
        visit,
        state,
        asked,
        ..
    } = &request;
    let pages = state.queued.len().div_ceil(PAGE).max(1);
    let page = usize::try_from(asked.page.unwrap_or(1)).unwrap_or(usize::MAX);
    let page = page.clamp(1, pages);
    let source = Source {
        page: &format!("{}/queue/{page}", state.name),
        states: std::slice::from_ref(state),
    };
    let frame = request.frame();
    if let Some(made) = shared::made_before(site, visit, &frame, &source) {
        return Ok(made);
    }
    let row = pools::row(state);
    let mut findings = findings::of(state, &row, visit.visitor.is_admin());
    findings.sort_by_key(|finding| !finding.is_problem);
    let ahead = positions(&state.queued);
    let queue = state.queued.iter().zip(ahead);
    let queue = queue.skip((page - 1) * PAGE).take(PAGE);
    let sees = Sees(&visit.visitor);
    let page = PoolPage {
        frame: shared::shared(&frame),
        findings,
        queue: queue
            .map(|(job, ahead)| sees.queued(state, job, ahead))
            .collect(),
        page: u32::try_from(page).unwrap_or(u32::MAX),
        pages: u32::try_from(pages).unwrap_or(u32::MAX),
        running: running(state, &visit.visitor, None),
        clients: visit.visitor.is_admin().then(|| clients(state)),
        pool: row,
    };
    shared::make(site, visit, &frame, &source, &page)
}

/// Returns how many jobs are before each one in its queue.
fn positions(queued: &[QueuedJob]) -> Vec<u32> {
    let mut lengths: HashMap<Option<&str>, u32> = HashMap::new();
    let positions = queued.iter().map(|job| {
        let length = lengths.entry(job.worker.as_deref()).or_default();
        let ahead = *length;
        *length = ahead.saturating_add(1);
        ahead
    });
    positions.collect()
}

/// Returns the running jobs of a pool, or of one of its workers, the oldest first.
pub(super) fn running(
    state: &PoolState,
    visitor: &Visitor,
    worker: Option<&str>,
) -> Vec<RunningRow> {
    let connected = |known: &'_ WorkerDetails| match &known.presence {
        Presence::Connected(ConnectedWorker { running, .. }) => running.clone(),
        Presence::NeverSeen | Presence::Left(_) => Vec::new(),
    };
    let sees = Sees(visitor);
    let wanted = |known: &&WorkerDetails| worker.is_none_or(|worker| worker == known.name);
    let workers = state.details.workers.iter().filter(wanted);
    let mut rows: Vec<RunningRow> = workers
        .flat_map(|known| {
            let jobs = connected(known);
            let rows = jobs.iter().map(|job| sees.running(state, &known.name, job));
            rows.collect::<Vec<_>>()
        })
        .collect();
    rows.sort_by(|a, b| b.running_seconds.total_cmp(&a.running_seconds));
    rows
}

fn clients(state: &PoolState) -> Vec<ClientRow> {
    let mut running: HashMap<&str, u32> = HashMap::new();
    for worker in &state.details.workers {
        if let Presence::Connected(worker) = &worker.presence {
            for job in &worker.running {
                *running.entry(&job.client).or_default() += 1;
            }
        }
    }
    let served = &state.activity.served;
    let total: f64 = served.values().map(Duration::as_secs_f64).sum();
    // As long as nothing has run, nobody has a share.
    let share = |client: &str| {
        let served = served.get(client).map_or(0.0, Duration::as_secs_f64);
        (total > 0.0).then(|| served / total)
    };
    let rows = state.details.clients.iter().map(|client| ClientRow {
        id: client.id.clone(),
        rate: client.rate,
        queued: client.queued,
        urgent: client.urgent,
        running: running.get(client.id.as_str()).copied().unwrap_or(0),
        share: share(&client.id),
    });
    rows.collect()
}

/// What a visitor sees of jobs in a pool.
struct Sees<'a>(&'a Visitor);

impl Sees<'_> {
    /// Returns whether the visitor sees whose job it is, and what it is about.
    fn sees(&self, client: &str) -> bool {
        self.0.may_change_job_of(client)
    }

    fn queued(&self, state: &PoolState, job: &QueuedJob, ahead: u32) -> QueuedRow {
        let QueuedJob {
            ticket,
            client,
            cache_hint,
            urgent,
            waiting,
            worker,
        } = job;
        let sees = self.sees(client);
        let note = state.notes_of.get(ticket);
        QueuedRow {
            ticket: *ticket,
            id: note.filter(|_| sees).map(|note| note.id.clone()),
            client: sees.then(|| client.clone()),
            cache_hint: sees.then(|| cache_hint.clone()),
            labels: note.filter(|_| sees).map(labels).unwrap_or_default(),
            urgent: *urgent,
            waiting_seconds: waiting.as_secs_f64(),
            worker: worker.clone(),
            ahead: Some(ahead),
            reason: state
                .explanations
                .get(ticket)
                .filter(|_| sees)
                .map(Waiting::of),
        }
    }

    fn running(&self, state: &PoolState, worker: &str, job: &RunningJob) -> RunningRow {
        let RunningJob {
            ticket,
            client,
            cache_hint,
            urgent,
            running_for,
        } = job;
        let sees = self.sees(client);
        let note = state.notes_of.get(ticket);
        RunningRow {
            ticket: *ticket,
            id: note.filter(|_| sees).map(|note| note.id.clone()),
            worker: worker.to_owned(),
            client: sees.then(|| client.clone()),
            cache_hint: sees.then(|| cache_hint.clone()),
            labels: note.filter(|_| sees).map(labels).unwrap_or_default(),
            urgent: *urgent,
            running_seconds: running_for.as_secs_f64(),
            usual_seconds: note
                .and_then(|note| note.usual)
                .map(|usual| usual.as_secs_f64()),
        }
    }
}

fn labels(note: &TicketNote) -> std::collections::BTreeMap<String, String> {
    let labels = note.labels.iter();
    labels
        .map(|label| (label.name.clone(), label.value.clone()))
        .collect()
}
