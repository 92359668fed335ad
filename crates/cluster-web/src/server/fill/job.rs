//! One job.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use cluster_api::{DurableStage, JobDetails, Phase};
use cluster_json::kept_jobs::{DescribedJob, Run, RunEnd};
use cluster_json::outcome;

use super::{encoded, frame, query};
use crate::pages::{
    Asked, AttemptTimes, JobPage, JobRow, Part, RunRow, Section, Timeline, Waiting,
};
use crate::server::log::{self, LogQuery, PreparedLog};
use crate::server::reply::{self, Refusal, Reply};
use crate::server::site::Site;
use crate::server::threads;
use crate::server::visit::Visit;

/// Returns a job that the visitor may see.
pub(in crate::server) async fn find(
    site: &Site,
    visit: &Visit,
    id: &str,
) -> Result<JobDetails, Refusal> {
    let found = site.cluster.job(id.to_owned()).await;
    match found {
        Ok(job) if visit.visitor.may_see_job(&job) => Ok(job),
        // Others do not learn whether there is such a job.
        _ if !visit.visitor.is_admin() => Err(Refusal::not_found()
            .advice("If it is a job of yours, come in with a link of \"ocluster-client web\".")),
        Ok(_) => Err(Refusal::not_found()),
        Err(error) => Err(error.into()),
    }
}

/// Shows a job.
pub(in crate::server) async fn job(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    asked: Result<Query<LogQuery>, QueryRejection>,
) -> Reply {
    let asked = query(asked)?;
    let details = find(&site, &visit, &id).await?;
    let id = details.job.summary.id.clone();
    if id != visit.path.trim_start_matches("/job/") && asked.is_default() {
        // It was shortened.
        return Ok(reply::see_other(&format!("/job/{id}")));
    }
    let stage = &details.job.status.stage;
    let waiting = async {
        match stage {
            DurableStage::Queued { .. } | DurableStage::Away { .. } => {
                let explanation = site.cluster.explain(id.clone()).await?;
                Ok(Some(Waiting::of(&explanation)))
            }
            DurableStage::Running { .. } | DurableStage::Ended { .. } => Ok(None),
        }
    };
    let phases = async {
        match details.job.summary.attempts {
            0 => Ok(Vec::new()),
            latest => Ok(site.cluster.timeline(id.clone(), latest).await?),
        }
    };
    let usual = async {
        match stage {
            DurableStage::Running { .. } => Ok(usual(&site, &details).await),
            _ => Ok(None),
        }
    };
    let submitted = async { Ok(site.cluster.submitted(id.clone()).await?) };
    // All are asked for at once: each answer may have to wait for other work of the scheduler.
    let log = log::prepare(&site, &details, &asked);
    let (log, submitted, waiting, phases, usual) =
        futures::try_join!(log, submitted, waiting, phases, usual)?;
    let mut frame = frame(&site, &visit, Section::Jobs);
    let has_ended = matches!(stage, DurableStage::Ended { .. });
    frame.events = (!has_ended).then(|| format!("/job/{}/events", encoded(&id)));
    frame.refresh = asked.refresh.map(|seconds| seconds.clamp(2, 3_600));
    let may_change = visit.visitor.may_change_job_of(&details.client);
    threads::large_page(&visit, move || {
        let described = DescribedJob::of(&details.job);
        let page = JobPage {
            frame,
            status: outcome::status(&details.job.status.stage),
            key: described.key.clone(),
            cache_hint: details.cache_hint.clone(),
            urgent: described.urgent,
            waited_seconds: waited(&described),
            ran_seconds: described.runs.last().map(ran),
            usual_seconds: usual.map(|usual| usual.as_secs_f64()),
            output: described.output.clone(),
            waiting,
            timeline: timeline(&described, &phases),
            runs: described.runs.iter().map(run).collect(),
            log: log.map(PreparedLog::view),
            asked: submitted.as_ref().and_then(Asked::of),
            reproduce: None,
            may_cancel: may_change && !has_ended,
            may_retry: may_change && described.retryable,
            job: JobRow {
                cause: described.error.as_ref().map(|error| error.message.clone()),
                ..JobRow::of(&details.job.summary, Some(&details.client))
            },
        };
        page.with_reproduction()
    })
    .await
}

/// Returns how long a job that runs usually takes, if that is known.
async fn usual(site: &Site, details: &JobDetails) -> Option<Duration> {
    let summary = &details.job.summary;
    let pool = site.cluster.pool(summary.pool.clone()).await.ok()?;
    let note = pool.notes_of.values().find(|note| note.id == summary.id);
    note.and_then(|note| note.usual)
}

/// Returns how long a job waited for its first attempt, or waits so far.
fn waited(job: &DescribedJob) -> Option<f64> {
    let submitted = job.job.submitted_ago_seconds;
    match (job.runs.first(), job.job.state.as_str()) {
        (Some(run), _) => Some((submitted - run.started_ago_seconds).max(0.0)),
        (None, "queued") => Some(submitted),
        (None, _) => Some((submitted - job.job.changed_ago_seconds).max(0.0)),
    }
}

fn ran(run: &Run) -> f64 {
    run.ran_seconds.unwrap_or(run.started_ago_seconds)
}

fn run(run: &Run) -> RunRow {
    let Run {
        attempt,
        worker,
        started_ago_seconds,
        ran_seconds,
        lost: _,
        log_bytes,
        end,
        phases: _,
    } = run;
    let (result, detail) = match end {
        Some(RunEnd { result, detail, .. }) => (Some(result.clone()), detail.clone()),
        None => (None, String::new()),
    };
    RunRow {
        attempt: *attempt,
        worker: worker.clone(),
        started_ago_seconds: *started_ago_seconds,
        ran_seconds: *ran_seconds,
        result,
        detail,
        log_bytes: *log_bytes,
    }
}

/// Returns when a job waited, and what its attempts did; of the latest one, `phases` tells more.
fn timeline(job: &DescribedJob, phases: &[Phase]) -> Timeline {
    let submitted = job.job.submitted_ago_seconds;
    let queued = Part {
        kind: "queued".to_owned(),
        seconds: waited(job).unwrap_or(0.0),
        is_running: job.runs.is_empty() && job.job.state == "queued",
        ..Part::default()
    };
    let mut parts = vec![queued];
    for (place, run) in job.runs.iter().enumerate() {
        let attempt = AttemptTimes {
            started_seconds: (submitted - run.started_ago_seconds).max(0.0),
            ran_seconds: ran(run),
            is_running: run.ran_seconds.is_none(),
        };
        if place + 1 == job.runs.len() && !phases.is_empty() {
            parts.extend(phases.iter().map(|phase| Part::of(phase, attempt)));
            continue;
        }
        parts.push(Part {
            kind: "run".to_owned(),
            name: format!("on {}", run.worker),
            started_seconds: attempt.started_seconds,
            seconds: attempt.ran_seconds,
            is_running: attempt.is_running,
            cached: false,
        });
    }
    Timeline { parts }
}
