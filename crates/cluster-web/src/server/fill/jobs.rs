//! The history.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use cluster_api::{AdminJobQuery, JobQuery, JobState, Label};
use serde::Deserialize;

use super::{frame, pools, query, require};
use crate::cluster::{FoundJob, JobsQuery};
use crate::pages::{Filters, Graph, HintTimes, JobsPage, Point, Section};
use crate::server::label_address::Kind;
use crate::server::reply::{self, Refusal, Reply};
use crate::server::site::Site;
use crate::server::visit::Visit;

/// How many jobs a page has.
const PAGE: u32 = 50;

/// How many jobs a graph of times is about.
const MEASURED: u32 = 200;

/// What points of a graph are called whose job's worker had run one with the same hint before, or had not.
const WARM: &str = "warm";
const COLD: &str = "cold";

/// How long an id is.
const ID_LENGTH: usize = 12;

/// Which jobs.
#[derive(Default, Deserialize)]
pub(in crate::server) struct Asked {
    #[serde(default)]
    pool: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    hint: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    hours: String,
    #[serde(default)]
    before: String,
    /// The id of a job, a label or a hint.
    #[serde(default)]
    find: String,
}

/// Shows jobs.
pub(in crate::server) async fn jobs(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply {
    require(visit.visitor.may_list_jobs())?;
    let mut asked = query(asked)?;
    if let Some(found) = find(&site, &visit, &mut asked).await {
        return Ok(reply::see_other(&found));
    }
    let mut filters = filters(asked)?;
    if let Some(client) = visit.visitor.client() {
        client.clone_into(&mut filters.0.client);
    }
    let (filters, before) = filters;
    let wanted = wanted(&filters, before)?;
    let listed = site.cluster.jobs(wanted.clone()).await?;
    let times = match filters.hint.as_str() {
        "" => None,
        _ => Some(times(&site, wanted).await?),
    };
    let (feed, badge) = match filters.label.as_str() {
        "" => (None, None),
        label => {
            let visitor = &visit.visitor;
            let feed = Kind::Feed.address(&site, visitor, label, &filters.pool);
            let badge = Kind::Badge.address(&site, visitor, label, &filters.pool);
            (feed.await, badge.await)
        }
    };
    let page = JobsPage {
        frame: frame(&site, &visit, Section::Jobs),
        filters,
        jobs: pools::rows(&listed.jobs),
        next: listed.next,
        feed,
        badge,
        times,
        pools: site.cluster.pool_names(),
    };
    reply::page(&visit, &page)
}

/// Returns the page of the job that is looked for by its id. What else is looked for becomes a filter.
async fn find(site: &Site, visit: &Visit, asked: &mut Asked) -> Option<String> {
    let text = std::mem::take(&mut asked.find);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let is_id = text.len() <= ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id && let Ok(job) = super::job::find(site, visit, text).await {
        return Some(format!("/job/{}", job.job.summary.id));
    }
    match text.contains('=') {
        true => text.clone_into(&mut asked.label),
        false => text.clone_into(&mut asked.hint),
    }
    None
}

fn filters(asked: Asked) -> Result<(Filters, Option<u64>), Refusal> {
    let Asked {
        pool,
        client,
        label,
        hint,
        state,
        hours,
        before,
        find: _,
    } = asked;
    let filters = Filters {
        pool,
        client,
        label,
        hint,
        state,
        hours: number(&hours)?,
    };
    Ok((filters, number(&before)?))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<Option<T>, Refusal> {
    match text {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(bad(format!("\"{text}\" is no such number."))),
        },
    }
}

fn bad(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

fn wanted(filters: &Filters, before: Option<u64>) -> Result<JobsQuery, Refusal> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let state = match filters.state.as_str() {
        "" => None,
        word => Some(state_of(word).ok_or_else(|| bad(format!("There is no state \"{word}\".")))?),
    };
    let label = match filters.label.as_str() {
        "" => None,
        text => {
            let pair = text.split_once('=');
            let (name, value) = pair.ok_or_else(|| bad("A label is NAME=VALUE.".to_owned()))?;
            Some(Label {
                name: name.to_owned(),
                value: value.to_owned(),
            })
        }
    };
    Ok(JobsQuery {
        admin: AdminJobQuery {
            jobs: JobQuery {
                labels: label.into_iter().collect(),
                states: state.into_iter().collect(),
                submitted_within: filters
                    .hours
                    .map(|hours| Duration::from_secs(u64::from(hours) * 3_600)),
                before,
                at_most: Some(PAGE),
            },
            client: given(&filters.client),
            pool: given(&filters.pool),
        },
        hint: given(&filters.hint),
        worker: None,
    })
}

fn state_of(word: &str) -> Option<JobState> {
    let states = [
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::TimedOut,
        JobState::Lost,
    ];
    states.into_iter().find(|state| state.to_string() == word)
}

/// Returns how long the last jobs took that have these filters.
async fn times(site: &Site, mut wanted: JobsQuery) -> Result<HintTimes, Refusal> {
    wanted.admin.jobs.at_most = Some(MEASURED);
    wanted.admin.jobs.before = None;
    let listed = site.cluster.jobs(wanted).await?;
    let points: Vec<Point> = listed.jobs.iter().filter_map(point).collect();
    Ok(HintTimes {
        warm_seconds: median(&points, WARM),
        cold_seconds: median(&points, COLD),
        graph: Graph {
            title: "How long the last attempts took".to_owned(),
            is_time: true,
            is_line: false,
            points,
        },
    })
}

/// Returns the value that half of the points of a kind are below; `None` without any.
fn median(points: &[Point], kind: &str) -> Option<f64> {
    let points = points.iter().filter(|point| point.kind == kind);
    let mut values: Vec<f64> = points.map(|point| point.value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn point(job: &FoundJob) -> Option<Point> {
    let summary = &job.summary;
    let kind = match (summary.state, job.is_warm) {
        (JobState::Succeeded, Some(true)) => WARM,
        (JobState::Succeeded, Some(false)) => COLD,
        (JobState::Succeeded, None) => "",
        (JobState::Failed | JobState::TimedOut, _) => "failed",
        _ => return None,
    };
    let took = job.ran?;
    Some(Point {
        ago_seconds: summary.changed_ago.as_secs_f64(),
        value: took.as_secs_f64(),
        kind: kind.to_owned(),
        job: Some(summary.id.clone()),
    })
}
