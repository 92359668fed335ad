//! The last state of what has a label, as a picture for other sites.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue, StatusCode};

use super::fill::require;
use super::label_address::LabelRequest;
use super::reply::{self, Refusal, Reply};
use crate::access::Visitor;
use crate::pages;

/// Returns the badge of a label: `/badge/branch=main.svg`.
pub(super) async fn of_label(request: LabelRequest) -> Reply {
    let visitor = &request.visitor;
    require(visitor.may_list_jobs() || *visitor == Visitor::Public)?;
    let jobs = request.last(1).await?;
    let state = jobs.first().map(|job| job.summary.state.to_string());
    let label = request.label.as_str();
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
