//! Requests for pages about a pool.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::{StatusCode, request};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{encoded, frame, query, require};
use crate::cluster::PoolState;
use crate::pages::{Frame, Section};
use crate::server::reply::Refusal;
use crate::server::site::Site;
use crate::server::visit::Visit;

/// A request for a page about a pool, or about one of its workers, of a visitor who may see pools.
pub(in crate::server) struct PoolRequest<T> {
    pub(super) site: Arc<Site>,
    pub(super) visit: Visit,
    /// The pool as it is now.
    pub(super) state: Arc<PoolState>,
    /// The worker in the address; empty if it names none.
    pub(super) worker: String,
    /// What stands after the `?`.
    pub(super) asked: T,
}

/// A request without anything after its `?` that counts.
#[derive(Deserialize)]
pub(in crate::server) struct Nothing {}

/// The names in an address.
#[derive(Deserialize)]
struct Names {
    pool: String,
    #[serde(default)]
    worker: String,
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Site>> for PoolRequest<T> {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        site: &Arc<Site>,
    ) -> Result<Self, Refusal> {
        let visit = parts.extensions.get::<Visit>().cloned();
        let visit = visit.ok_or_else(Refusal::forbidden)?;
        require(visit.visitor.may_see_pools())?;
        let names = Path::<Names>::from_request_parts(parts, site).await;
        let Path(Names { pool, worker }) = names.map_err(|_| {
            let what = "The address has a name that cannot be read.";
            Refusal::new(StatusCode::BAD_REQUEST, what)
        })?;
        let asked = query(Query::from_request_parts(parts, site).await)?;
        Ok(Self {
            state: site.cluster.pool(pool).await?,
            site: Arc::clone(site),
            visit,
            worker,
            asked,
        })
    }
}

impl<T> PoolRequest<T> {
    /// Returns what all pages have. The page follows what happens in the pool.
    pub(super) fn frame(&self) -> Frame {
        Frame {
            events: Some(format!("/pool/{}/events", encoded(&self.state.name))),
            ..frame(&self.site, &self.visit, Section::Pools)
        }
    }
}
