//! What operators did.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cluster_api::{AuditEntry, AuditQuery};
use cluster_json::audit::AuditedCall;
use serde::Deserialize;

use super::{frame, query, require};
use crate::pages::{AuditPage, AuditRow, Section};
use crate::server::reply::{self, Reply};
use crate::server::site::{Site, unix_now};
use crate::server::visit::Visit;

/// How many entries a page has.
const PAGE: u32 = 100;

/// Which entries.
#[derive(Deserialize)]
pub(in crate::server) struct Asked {
    before: Option<u64>,
}

/// Shows what operators did.
pub(in crate::server) async fn audit(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply {
    require(visit.visitor.may_operate())?;
    let asked = query(asked)?;
    let query = AuditQuery {
        within: None,
        before: asked.before,
        at_most: Some(PAGE),
    };
    let audit = site.cluster.audit(query).await?;
    let page = AuditPage {
        frame: frame(&site, &visit, Section::Audit),
        calls: audit.entries.into_iter().map(row).collect(),
        next: audit.next,
    };
    reply::page(&visit, &page)
}

fn row(entry: AuditEntry) -> AuditRow {
    let ago = unix_now() as f64 - entry.time.as_secs_f64();
    AuditRow {
        call: AuditedCall::of(entry),
        ago_seconds: ago.max(0.0),
    }
}
