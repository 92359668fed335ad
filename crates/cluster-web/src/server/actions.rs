//! What visitors do. The form was checked before: it comes from a page of ours, of the same session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Path, State};
use serde::Deserialize;

use super::fill::{self, encoded, require};
use super::reply::{self, Refusal, Reply};
use super::site::Site;
use super::visit::Visit;
use crate::access::Visitor;
use crate::cluster::{Action, Actor};

/// The note of a pause.
#[derive(Deserialize)]
pub(super) struct Pause {
    #[serde(default)]
    note: String,
}

/// Returns who acts.
fn actor(visit: &Visit) -> Result<Actor, Refusal> {
    match &visit.visitor {
        Visitor::Holder(holder) => Ok(Actor {
            holder: holder.clone(),
            address: visit.address.to_string(),
        }),
        Visitor::Stranger | Visitor::Public => Err(Refusal::forbidden()),
    }
}

/// Cancels a job.
pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Reply {
    act_on(&site, &visit, &id, |job| Action::Cancel { job }).await
}

/// Submits a job again.
pub(super) async fn retry(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Reply {
    act_on(&site, &visit, &id, |job| Action::Retry { job }).await
}

/// Does something to a job, if the visitor may, and leads to the page of the job that it is about then.
async fn act_on(
    site: &Site,
    visit: &Visit,
    id: &str,
    action: impl FnOnce(String) -> Action,
) -> Reply {
    let details = fill::find(site, visit, id).await?;
    require(visit.visitor.may_change_job_of(&details.client))?;
    let action = action(details.job.summary.id);
    let done = site.cluster.act(actor(visit)?, action).await?;
    Ok(reply::see_other(&format!("/job/{done}")))
}

/// Pauses a worker.
pub(super) async fn pause(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path((pool, worker)): Path<(String, String)>,
    Form(Pause { note }): Form<Pause>,
) -> Reply {
    require(visit.visitor.may_operate())?;
    let page = worker_page(&pool, &worker);
    let action = Action::Pause { pool, worker, note };
    site.cluster.act(actor(&visit)?, action).await?;
    Ok(reply::see_other(&page))
}

/// Ends the pause of a worker.
pub(super) async fn unpause(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path((pool, worker)): Path<(String, String)>,
) -> Reply {
    require(visit.visitor.may_operate())?;
    let page = worker_page(&pool, &worker);
    let action = Action::Unpause { pool, worker };
    site.cluster.act(actor(&visit)?, action).await?;
    Ok(reply::see_other(&page))
}

fn worker_page(pool: &str, worker: &str) -> String {
    format!("/worker/{}/{}", encoded(pool), encoded(worker))
}
