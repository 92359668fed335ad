//! Feeds and badges of labels: who may read which, and their addresses.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::{Uri, request};
use cluster_api::{AdminJobQuery, JobQuery, Label};
use serde::Deserialize;

use super::fill;
use super::paths::encoded;
use super::reply::Refusal;
use super::site::Site;
use super::visit::Visit;
use crate::access::{Holder, Visitor};
use crate::cluster::FoundJob;

/// What is at the end of an address, and which jobs it is about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct Asked {
    /// Another label, as NAME=VALUE.
    #[serde(default)]
    and: String,
    #[serde(default)]
    pool: String,
}

/// A kind of what can be read about a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Feed,
    Badge,
}

/// A request for the feed or the badge of a label.
///
/// `/feed/branch=main.atom` is for a visitor with a session; `/feed/TOKEN/branch=main.atom` is for programs that keep
/// no cookie.
pub(super) struct LabelRequest {
    pub(super) site: Arc<Site>,
    /// Who asks: with a token, its holder.
    pub(super) visitor: Visitor,
    /// The label, as NAME=VALUE, without the end of the address.
    pub(super) label: String,
    asked: Asked,
}

/// The parts of an address.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    token: String,
    label: String,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Badge => "badge",
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Feed => ".atom",
            Self::Badge => ".svg",
        }
    }

    fn of(uri: &Uri) -> Self {
        match uri.path().starts_with("/badge/") {
            true => Self::Badge,
            false => Self::Feed,
        }
    }

    /// Returns what a token is for. Each part is encoded, so that no other parts make the same text.
    fn signed(self, label: &str, asked: &Asked) -> String {
        let Asked { and, pool } = asked;
        let (folder, label) = (self.folder(), encoded(label));
        format!(
            "{folder}/{label}?and={}&pool={}",
            encoded(and),
            encoded(pool)
        )
    }

    /// Returns the address for programs without a cookie at which a holder reads about a label, in a pool if that is
    /// not empty; `None` for a holder who has no such address.
    pub(super) async fn address(
        self,
        site: &Site,
        visitor: &Visitor,
        label: &str,
        pool: &str,
    ) -> Option<String> {
        let Visitor::Holder(holder) = visitor else {
            return None;
        };
        let asked = Asked {
            and: String::new(),
            pool: pool.to_owned(),
        };
        let signed = self.signed(label, &asked);
        let token = site.key.address_token(&holder.role, &signed)?;
        // A user of a proxy has no secret that the address could end with.
        if !site.cluster.is_current(holder).await.unwrap_or(false) {
            return None;
        }
        let (folder, label, end) = (self.folder(), encoded(label), self.end());
        let query = match pool {
            "" => String::new(),
            pool => format!("?pool={}", encoded(pool)),
        };
        Some(format!("/{folder}/{token}/{label}{end}{query}"))
    }
}

impl FromRequestParts<Arc<Site>> for LabelRequest {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        site: &Arc<Site>,
    ) -> Result<Self, Refusal> {
        let Extension(visit) = Extension::<Visit>::from_request_parts(parts, site)
            .await
            .map_err(|_| Refusal::forbidden())?;
        let kind = Kind::of(&parts.uri);
        let names = Path::<Parts>::from_request_parts(parts, site).await;
        let Path(Parts { token, label }) = names.map_err(|_| Refusal::not_found())?;
        let asked: Result<Query<Asked>, QueryRejection> =
            Query::from_request_parts(parts, site).await;
        let asked = fill::query(asked)?;
        let label = label
            .strip_suffix(kind.end())
            .ok_or_else(Refusal::not_found)?;
        let visitor = match token.as_str() {
            "" => visit.visitor,
            token => {
                let role = site.key.verify_address(token, &kind.signed(label, &asked));
                let role = role.ok_or_else(Refusal::not_found)?;
                let by = String::new();
                let holder = Holder { role, by };
                // Its client may have another secret by now.
                if !site.cluster.is_current(&holder).await? {
                    return Err(Refusal::not_found());
                }
                Visitor::Holder(holder)
            }
        };
        Ok(Self {
            site: Arc::clone(site),
            visitor,
            label: label.to_owned(),
            asked,
        })
    }
}

impl LabelRequest {
    /// Returns the last jobs that it is about, of those that the visitor may know of.
    pub(super) async fn last(&self, at_most: u32) -> Result<Vec<FoundJob>, Refusal> {
        let Asked { and, pool } = &self.asked;
        let labels = [self.label.as_str(), and].into_iter();
        let labels = labels.filter(|label| !label.is_empty()).map(|label| {
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
            client: self.visitor.client().map(str::to_owned),
            pool: Some(pool.clone()).filter(|pool| !pool.is_empty()),
        };
        Ok(self.site.cluster.jobs(query.into()).await?.jobs)
    }
}
