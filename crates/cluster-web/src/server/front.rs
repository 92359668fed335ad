//! What every request goes through: limits, who sends it, and what every answer says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, request};
use axum::response::{IntoResponse as _, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::headers;
use super::reply::Refusal;
use super::site::Site;
use super::visit::{Format, Visit};
use crate::access::Visitor;

/// The longest address that is answered, in bytes.
const MAX_PATH_BYTES: usize = 2_048;

/// The largest form, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;

/// How long the body of a request may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(15);

/// The field of a form that has its token.
pub(super) const TOKEN_FIELD: &str = "token";

/// Where a form is sent that needs no token: its visitor has no session yet.
pub(super) const ENTER: &str = "/enter";

/// Where styles and scripts are, which no scheduler is asked for.
const ASSETS: &str = "/assets/";

/// The end of the address of a page as JSON.
const JSON: &str = ".json";

/// What the page at `/` is called as JSON.
const INDEX: &str = "/index.json";

/// Answers a request.
pub(super) async fn answer(
    site: &Arc<Site>,
    router: axum::Router,
    peer: SocketAddr,
    request: Request<Body>,
) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let mut response = answer_with(site, router, peer, request, begun).await;
    headers::secure(response.headers_mut(), site.settings.is_secure());
    let status = response.status().as_u16();
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    site.stats.add_answer(status, micros);
    // Without the path, which may have the id of a shared job.
    tracing::debug!(target: "web", "Answered {method} from {peer} with {status} in {micros} us");
    response
}

async fn answer_with(
    site: &Arc<Site>,
    router: axum::Router,
    peer: SocketAddr,
    request: Request<Body>,
    begun: Instant,
) -> Response {
    let (mut head, body) = request.into_parts();
    let format = take_format(&mut head);
    let visit = Visit::of(site, peer, &head, format).await;
    if let Err(refusal) = check_head(site, &head) {
        return refusal.page(&visit);
    }
    if let Some(why) = site.cluster.unavailable()
        && !head.uri.path().starts_with(ASSETS)
    {
        return Refusal::from(why).page(&visit);
    }
    let body = match check_form(site, &visit, &head, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal.page(&visit),
    };
    head.extensions.insert(visit.clone());
    let request = Request::from_parts(head, body);
    let response = match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let mut response = explained(response, &visit);
    // Strangers do not learn how long it took to look for what they may not see.
    if let Visitor::Holder(_) = &visit.visitor {
        headers::time(response.headers_mut(), begun.elapsed());
    }
    response
}

/// Returns an answer with a page in place of nothing but a status.
fn explained(response: Response, visit: &Visit) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        return refusal.page(visit);
    }
    let refusal = match status {
        StatusCode::NOT_FOUND => Refusal::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::new(status, "This address does not take requests of this kind.")
        }
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Refusal::new(
            status,
            "The address or the form has something that cannot be read.",
        ),
        _ => return response,
    };
    let mut explained = refusal.page(visit);
    // Such as `Allow`.
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != axum::http::header::CONTENT_LENGTH {
            explained.headers_mut().insert(name, value.clone());
        }
    }
    explained
}

/// Takes `.json` off the address, and returns the format of the answer.
fn take_format(head: &mut request::Parts) -> Format {
    let path = head.uri.path();
    let page = match path {
        INDEX => Some("/"),
        _ => path.strip_suffix(JSON).filter(|page| page.len() > 1),
    };
    let Some(page) = page else {
        return Format::of(&head.headers);
    };
    let query = head.uri.query().map(|query| format!("?{query}"));
    let uri = format!("{page}{}", query.unwrap_or_default());
    match uri.parse::<Uri>() {
        Ok(uri) => {
            head.uri = uri;
            Format::Json
        }
        Err(_) => Format::of(&head.headers),
    }
}

fn check_head(site: &Site, head: &request::Parts) -> Result<(), Refusal> {
    let length = head
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if length > MAX_PATH_BYTES {
        return Err(Refusal::new(
            StatusCode::URI_TOO_LONG,
            format!("The address is longer than {MAX_PATH_BYTES} bytes."),
        ));
    }
    if !is_ours(site, &head.headers) {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "These pages are not served under this name.",
        )
        .advice("The scheduler's --web-url says under which one they are."));
    }
    Ok(())
}

/// Returns whether a request is for a name of ours. A server that only this machine can reach has no other names than
/// this machine: otherwise the page of an attacker, whose name it makes lead here, could read ours.
fn is_ours(site: &Site, headers: &HeaderMap) -> bool {
    if site.settings.url.is_some() || !site.settings.listen.ip().is_loopback() {
        return true;
    }
    let Some(host) = host(headers) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// Reads a form, and checks that a page of ours has sent it.
async fn check_form(
    site: &Site,
    visit: &Visit,
    head: &request::Parts,
    body: Body,
) -> Result<Body, Refusal> {
    if head.method != Method::POST {
        // Nothing else has a body that counts.
        return Ok(Body::empty());
    }
    if !is_same_origin(site, &head.headers) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The form was sent by another site.",
        ));
    }
    let read = tokio::time::timeout(BODY_LIMIT, to_bytes(body, MAX_FORM_BYTES)).await;
    let form = match read {
        Ok(Ok(form)) => form,
        Ok(Err(_)) => {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The form has more than {MAX_FORM_BYTES} bytes."),
            ));
        }
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "The form took too long.",
            ));
        }
    };
    if head.uri.path() != ENTER && !has_token(site, visit, &form) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The form does not belong to your session.",
        )
        .advice("Load the page again, and repeat what you did."));
    }
    Ok(Body::from(form))
}

fn has_token(site: &Site, visit: &Visit, form: &[u8]) -> bool {
    if visit.who.is_empty() {
        return false;
    }
    let Ok(form) = std::str::from_utf8(form) else {
        return false;
    };
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    // A token has no characters that would be encoded.
    let token = fields.find(|(name, _)| *name == TOKEN_FIELD);
    token.is_some_and(|(_, token)| site.key.is_form_token(&visit.who, token))
}

/// Returns whether a page of ours has sent a form. Browsers say so.
fn is_same_origin(site: &Site, headers: &HeaderMap) -> bool {
    // Neither header can be set by a page.
    let fetched_from = headers.get("sec-fetch-site");
    if let Some(fetched_from) = fetched_from {
        return fetched_from == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return false;
    };
    if site.settings.url.as_deref() == Some(origin) {
        return true;
    }
    let scheme = if site.settings.is_secure() {
        "https"
    } else {
        "http"
    };
    host(headers).is_some_and(|host| origin == format!("{scheme}://{host}"))
}

/// Returns the answer for what no route answers.
pub(super) async fn nothing() -> Response {
    Refusal::not_found().into_response()
}
