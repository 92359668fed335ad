//! Answers: pages, and why there is none.

use askama::Template;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::visit::{Format, Visit};
use crate::ClusterError;
use crate::pages::{Frame, Notice};

/// What a handler returns.
pub(super) type Reply = Result<Response, Refusal>;

/// Why there is no page. It becomes one as soon as it is known in which format.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) advice: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            advice: String::new(),
        }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            ..self
        }
    }

    /// There is nothing under this address, or nothing that the visitor may see: which of them is not told.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
    }

    /// The visitor must come in first.
    pub(super) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "You need a link to see this page, or one that shows more.",
        )
        .advice(
            "Operators get one with \"ocluster-admin web\", and clients with \"ocluster-client web\".",
        )
    }

    pub(super) fn page(&self, visit: &Visit) -> Response {
        let page = Notice {
            frame: Frame::default(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            message: self.message.clone(),
            advice: self.advice.clone(),
        };
        let mut response = page_in(&page, visit.format);
        *response.status_mut() = self.status;
        response
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::NotFound(message) => Self::new(StatusCode::NOT_FOUND, message),
            ClusterError::Refused(message) => Self::new(StatusCode::CONFLICT, message),
            ClusterError::Unavailable(message) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns a page in the format that the visitor wants.
pub(super) fn page<P: Template + Serialize>(visit: &Visit, page: &P) -> Reply {
    match visit.format {
        Format::Neither => Err(not_acceptable()),
        format => Ok(page_in(page, format)),
    }
}

fn not_acceptable() -> Refusal {
    Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        "This page can be had as text/html and as application/json.",
    )
}

fn page_in<P: Template + Serialize>(page: &P, format: Format) -> Response {
    match written(page, format) {
        Ok(written) => text(written, format),
        Err(Refusal { status, .. }) => status.into_response(),
    }
}

/// Returns the text of a page.
pub(super) fn written<P: Template + Serialize>(
    page: &P,
    format: Format,
) -> Result<String, Refusal> {
    let written = match format {
        Format::Html | Format::Neither => page.render().map_err(|error| error.to_string()),
        Format::Json => serde_json::to_string_pretty(page).map_err(|error| error.to_string()),
    };
    written.map_err(|error| {
        tracing::error!(target: "web", "Cannot write a page: {error}");
        unwritten()
    })
}

/// A page cannot be written, which is in the log.
pub(super) fn unwritten() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The page cannot be made.",
    )
}

/// Returns the text of a page as an answer.
pub(super) fn text(text: String, format: Format) -> Response {
    let kind = match format {
        Format::Html | Format::Neither => "text/html; charset=utf-8",
        Format::Json => "application/json",
    };
    typed(text, kind)
}

/// Returns an answer of a type.
pub(super) fn typed(body: impl Into<Body>, kind: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Sends a browser to another page of ours, after a form.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let path = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, path);
    response
}
