//! The first page.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use cluster_api::{AdminJobQuery, ConnectedWorker, JobQuery, JobState, Presence};
use cluster_json::outcome;

use super::findings;
use super::shared::{self, Source};
use super::{frame, require};
use crate::access::{Role, Visitor};
use crate::cluster::{FoundJob, PoolState};
use crate::pages::{JobRow, PoolRow, PoolsPage, Section};
use crate::server::reply::{self, Refusal, Reply};
use crate::server::site::Site;
use crate::server::visit::Visit;

/// How many failures are shown.
const FAILURES: u32 = 10;

/// Shows all pools.
pub(in crate::server) async fn pools(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
) -> Reply {
    if let Visitor::Holder(holder) = &visit.visitor
        && let Role::Job { id } = &holder.role
    {
        return Ok(reply::see_other(&format!("/job/{id}")));
    }
    require(visit.visitor.may_see_pools())?;
    let states = site.cluster.pools().await?;
    let mut frame = frame(&site, &visit, Section::Pools);
    frame.events = Some("/events".to_owned());
    let source = Source {
        page: "pools",
        states: &states,
    };
    if let Some(made) = shared::made_before(&site, &visit, &frame, &source) {
        return Ok(made);
    }
    let rows: Vec<PoolRow> = states.iter().map(|state| row(state)).collect();
    let findings = states
        .iter()
        .zip(&rows)
        .flat_map(|(state, row)| findings::of(state, row, visit.visitor.is_admin()));
    let mut findings: Vec<_> = findings.collect();
    // The worst first, and pools before their workers.
    findings.sort_by_key(|finding| (!finding.is_problem, finding.worker.is_some()));
    let page = PoolsPage {
        frame: shared::shared(&frame),
        findings,
        pools: rows,
        failures: failures(&site, &visit).await?,
    };
    shared::make(&site, &visit, &frame, &source, &page)
}

/// Returns the last jobs that did not succeed, of those that the visitor may see.
async fn failures(site: &Site, visit: &Visit) -> Result<Option<Vec<JobRow>>, Refusal> {
    if !visit.visitor.may_list_jobs() {
        return Ok(None);
    }
    let query = AdminJobQuery {
        jobs: JobQuery {
            states: vec![JobState::Failed, JobState::TimedOut, JobState::Lost],
            at_most: Some(FAILURES),
            ..JobQuery::default()
        },
        client: visit.visitor.client().map(str::to_owned),
        ..AdminJobQuery::default()
    };
    let listed = site.cluster.jobs(query.into()).await?;
    Ok(Some(rows(&listed.jobs)))
}

/// Returns jobs as rows, for a visitor who may see them.
pub(super) fn rows(jobs: &[FoundJob]) -> Vec<JobRow> {
    let rows = jobs.iter().map(|job| JobRow {
        cause: cause(job),
        ..JobRow::of(&job.summary, Some(&job.client))
    });
    rows.collect()
}

/// Returns why a job did not succeed; `None` if it did, and while it has not ended.
fn cause(job: &FoundJob) -> Option<String> {
    let outcome = job.outcome.as_ref()?;
    let has_failed = !matches!(
        job.summary.state,
        JobState::Succeeded | JobState::Queued | JobState::Running
    );
    has_failed.then(|| outcome::sentence(outcome))
}

/// Returns a pool in numbers.
pub(super) fn row(state: &PoolState) -> PoolRow {
    let PoolState {
        name,
        details,
        recent,
        ..
    } = state;
    let connected = || {
        details
            .workers
            .iter()
            .filter_map(|worker| match &worker.presence {
                Presence::Connected(worker) => Some(worker),
                Presence::NeverSeen | Presence::Left(_) => None,
            })
    };
    let sum = |number: fn(&ConnectedWorker) -> u64| connected().map(number).sum::<u64>();
    let urgent = details
        .clients
        .iter()
        .map(|client| u64::from(client.urgent));
    PoolRow {
        name: name.clone(),
        running: sum(|worker| worker.running.len() as u64),
        capacity: sum(|worker| u64::from(worker.capacity)),
        queued: u64::from(details.backlog) + sum(|worker| u64::from(worker.queued)),
        urgent: urgent.sum(),
        oldest_wait_seconds: details.oldest_wait.as_secs_f64(),
        workers: findings::counts(state),
        succeeded: recent.succeeded,
        failed: recent.failed,
        lost: recent.lost,
        median_wait_seconds: recent.median_wait.map(|wait| wait.as_secs_f64()),
    }
}
