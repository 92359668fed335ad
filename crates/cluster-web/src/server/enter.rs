//! Coming in with a link, and leaving.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::fill::frame;
use super::reply::{self, Refusal, Reply};
use super::site::{Site, unix_now};
use super::visit::{Visit, cookie_name};
use crate::access::LIFETIME;
use crate::cluster::Redeemed;
use crate::pages::{Enter, Section};

/// The longest secret of a link, in bytes.
const MAX_SECRET_BYTES: usize = 100;

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Entry {
    secret: String,
}

/// Shows the form. A script sends it at once if the address has the secret.
pub(super) async fn form(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
) -> Reply {
    let frame = frame(&site, &visit, Section::Other);
    reply::page(&visit, &Enter { frame })
}

/// Exchanges the secret of a link for a session.
pub(super) async fn enter(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Form(Entry { secret }): Form<Entry>,
) -> Reply {
    let may_try = |site: &Site| {
        let guesses = site.guesses.lock();
        guesses.is_ok_and(|mut guesses| guesses.may_try(visit.address, Instant::now()))
    };
    if !may_try(&site) {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong links were tried from your address.",
        )
        .advice("Wait a minute, and try again."));
    }
    let secret = secret.trim().to_owned();
    let redeemed = match secret.len() <= MAX_SECRET_BYTES {
        true => site.cluster.redeem(secret).await?,
        false => None,
    };
    let Some(Redeemed { holder, page }) = redeemed else {
        site.stats.add_wrong_secret();
        if let Ok(mut guesses) = site.guesses.lock() {
            guesses.failed(visit.address);
        }
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "This link was used before, or is too old.",
        )
        .advice("Get another one with \"ocluster-admin web\" or \"ocluster-client web\"."));
    };
    let session = site.key.begin(holder, unix_now());
    let mut response = reply::see_other(&page);
    let value = site.key.sign(&session);
    set_cookie(&site, &mut response, &value, LIFETIME.as_secs());
    Ok(response)
}

/// Ends the session in this browser.
pub(super) async fn leave(State(site): State<Arc<Site>>) -> Response {
    let mut response = reply::see_other("/enter");
    set_cookie(&site, &mut response, "", 0);
    response
}

fn set_cookie(site: &Site, response: &mut Response, value: &str, seconds: u64) {
    let is_secure = site.settings.is_secure();
    let name = cookie_name(is_secure);
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}
