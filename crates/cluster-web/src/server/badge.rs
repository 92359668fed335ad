//! The last state of what has a label, as a picture for other sites.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use cluster_api::{AdminJobQuery, JobQuery, Label};
use serde::Deserialize;

use super::fill::{self, require};
use super::reply::{self, Refusal, Reply};
use super::site::Site;
use super::visit::Visit;
use crate::access::Visitor;
use crate::cluster::FoundJob;
use crate::pages;

/// Which jobs, besides those with the label.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Another label, as NAME=VALUE.
    and: Option<String>,
    #[serde(default)]
    pool: String,
}

/// Returns the badge of a label: `/badge/branch=main.svg`.
pub(super) async fn of_label(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply {
    require(visit.visitor.may_list_jobs() || visit.visitor == Visitor::Public)?;
    let asked = fill::query(asked)?;
    let label = name.strip_suffix(".svg").ok_or_else(Refusal::not_found)?;
    let jobs = last(&site, &visit, label, &asked, 1).await?;
    let state = jobs.first().map(|job| job.summary.state.to_string());
    let about = label.split_once('=').map_or(label, |(_, value)| value);
    let svg = pages::badge(about, state.as_deref().unwrap_or("unknown"));
    let svg = svg.map_err(|_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The badge cannot be made.",
        )
    })?;
    let mut response = reply::typed(svg, "image/svg+xml");
    let headers = response.headers_mut();
    let minute = HeaderValue::from_static("max-age=60");
    headers.insert(CACHE_CONTROL, minute);
    // It is for pages of other sites.
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
    Ok(response)
}

/// Returns the last jobs with a label, of those that the visitor may know of.
pub(super) async fn last(
    site: &Site,
    visit: &Visit,
    label: &str,
    asked: &Asked,
    at_most: u32,
) -> Result<Vec<FoundJob>, Refusal> {
    let labels = [Some(label), asked.and.as_deref()];
    let labels = labels.into_iter().flatten().map(|label| {
        let (name, value) = label.split_once('=').ok_or_else(Refusal::not_found)?;
        Ok(Label {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    });
    let query = AdminJobQuery {
        jobs: JobQuery {
            labels: labels.collect::<Result<_, Refusal>>()?,
            at_most: Some(at_most),
            ..JobQuery::default()
        },
        client: visit.visitor.client().map(str::to_owned),
        pool: Some(asked.pool.clone()).filter(|pool| !pool.is_empty()),
    };
    Ok(site.cluster.jobs(query.into()).await?.jobs)
}
