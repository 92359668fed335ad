//! Fills pages from what the scheduler answers, as far as their visitor may see it.

mod audit;
mod findings;
mod graphs;
mod job;
mod jobs;
mod pool;
mod pool_request;
mod pools;
mod shared;
mod worker;
mod worker_parts;

use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use jiff::Timestamp;

pub(super) use self::audit::audit;
pub(super) use self::job::{find, job};
pub(super) use self::jobs::jobs;
pub(super) use self::pool::pool;
pub(super) use self::pools::pools;
pub(super) use self::worker::{worker, workers};
pub(super) use super::paths::encoded;
use super::reply::Refusal;
use super::site::Site;
use super::visit::Visit;
use crate::access::{Holder, Role, Visitor};
use crate::pages::{Frame, Section};

/// Returns what all pages have.
pub(super) fn frame(site: &Site, visit: &Visit, section: Section) -> Frame {
    let visitor = &visit.visitor;
    Frame {
        now: Timestamp::now(),
        section,
        visitor: name(visitor),
        may_see_pools: visitor.may_see_pools(),
        may_list_jobs: visitor.may_list_jobs(),
        may_operate: visitor.may_operate(),
        token: visit.form_token(site),
        events: None,
        json: Some(json_path(&visit.path)),
        refresh: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_shared: false,
    }
}

/// Returns where the JSON of the page at this address is.
fn json_path(path: &str) -> String {
    match path {
        "/" => "/index.json".to_owned(),
        path => format!("{path}.json"),
    }
}

fn name(visitor: &Visitor) -> String {
    let Visitor::Holder(Holder { role, by }) = visitor else {
        return String::new();
    };
    match role {
        Role::Admin if by.is_empty() => "operator".to_owned(),
        Role::Admin => format!("operator {by}"),
        Role::Client { name, .. } => format!("client {name}"),
        Role::Job { id } => format!("guest of job {id}"),
    }
}

/// Returns the parts of an address after its `?`.
pub(super) fn query<T>(
    query: Result<axum::extract::Query<T>, QueryRejection>,
) -> Result<T, Refusal> {
    match query {
        Ok(axum::extract::Query(query)) => Ok(query),
        Err(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "The address has something after its \"?\" that cannot be read.",
        )),
    }
}

/// Fails for a visitor who may not see what comes.
pub(super) fn require(may: bool) -> Result<(), Refusal> {
    match may {
        true => Ok(()),
        false => Err(Refusal::forbidden()),
    }
}
