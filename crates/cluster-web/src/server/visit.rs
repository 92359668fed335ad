//! Who asks, and for what kind of answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::header::{ACCEPT, COOKIE};
use axum::http::{HeaderMap, HeaderName, request};

use super::site::{Site, unix_now};
use crate::access::{Role, Session, Visitor};

/// Who asks, and for what kind of answer.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) visitor: Visitor,
    pub(super) format: Format,
    /// Where the browser is, as far as it is known.
    pub(super) address: IpAddr,
    /// What forms of this visitor are signed with; empty for a visitor without forms.
    pub(super) who: Vec<u8>,
    /// The path of the page, without `.json`.
    pub(super) path: String,
}

/// What an answer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    /// What is asked for can only be had otherwise.
    Neither,
}

/// Where a proxy says that the browser is.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The longest name of a user that a proxy may send, in bytes.
const MAX_USER_BYTES: usize = 255;

impl Format {
    /// Returns what a browser wants, of the two that there are.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let wanted = headers.get_all(ACCEPT).iter();
        let wanted: Vec<&str> = wanted.filter_map(|value| value.to_str().ok()).collect();
        if wanted.is_empty() {
            return Self::Html;
        }
        let quality = |types: [&str; 3]| {
            let listed = wanted.iter().flat_map(|value| value.split(','));
            let qualities = listed.filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next()?;
                let place = types
                    .iter()
                    .position(|kind| kind.eq_ignore_ascii_case(name))?;
                let given = parts.find_map(|part| part.strip_prefix("q="));
                let quality: f32 = given.map_or(Some(1.0), |given| given.parse().ok())?;
                Some((types.len() - place, quality))
            });
            // The most specific range counts.
            let best = qualities.max_by_key(|(rank, _)| *rank);
            best.map_or(0.0, |(_, quality)| quality)
        };
        let html = quality(["text/html", "text/*", "*/*"]);
        let json = quality(["application/json", "application/*", "*/*"]);
        match (html, json) {
            (html, json) if html <= 0.0 && json <= 0.0 => Self::Neither,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }
}

/// Returns the name of the cookie that has a session. With HTTPS no other host can set it.
pub(super) fn cookie_name(is_secure: bool) -> &'static str {
    match is_secure {
        true => "__Host-ocluster",
        false => "ocluster",
    }
}

/// Returns the session that a browser shows, if it has not ended.
fn session(site: &Site, headers: &HeaderMap) -> Option<Session> {
    let name = cookie_name(site.settings.is_secure());
    let cookies = headers.get_all(COOKIE).iter();
    let pairs = cookies.filter_map(|cookies| cookies.to_str().ok());
    let values = pairs
        .flat_map(|pairs| pairs.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name);
    // Somebody may have planted others; each costs a signature.
    let mut sessions = values
        .take(4)
        .filter_map(|(_, value)| site.key.verify(value, unix_now()).ok());
    sessions.next()
}

/// Returns the user that a trusted proxy names.
fn user<'a>(site: &Site, peer: SocketAddr, headers: &'a HeaderMap) -> Option<&'a str> {
    let proxy = &site.settings.proxy;
    let value = headers.get(proxy.user_header.as_ref()?)?;
    if !proxy.trusts(peer.ip()) {
        tracing::debug!(
            target: "web",
            "Ignored the user that {peer} names: it is not in --web-trust"
        );
        return None;
    }
    let user = value.to_str().ok()?;
    (!user.is_empty() && user.len() <= MAX_USER_BYTES).then_some(user)
}

/// Returns where the browser is: where a trusted proxy says, or where the connection comes from.
fn address(site: &Site, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let latest = headers.get_all(FORWARDED_FOR).iter().next_back()?;
        let latest = latest.to_str().ok()?.rsplit(',').next()?;
        latest.trim().parse::<IpAddr>().ok()
    };
    match site.settings.proxy.trusts(peer.ip()) {
        true => forwarded().unwrap_or(peer.ip()),
        false => peer.ip(),
    }
}

impl Visit {
    /// Returns who has sent a request for this path.
    pub(super) async fn of(
        site: &Arc<Site>,
        peer: SocketAddr,
        request: &request::Parts,
        format: Format,
    ) -> Self {
        let headers = &request.headers;
        let (visitor, who) = Self::identify(site, peer, headers).await;
        Self {
            visitor,
            format,
            address: address(site, peer, headers),
            who,
            path: request.uri.path().to_owned(),
        }
    }

    async fn identify(
        site: &Arc<Site>,
        peer: SocketAddr,
        headers: &HeaderMap,
    ) -> (Visitor, Vec<u8>) {
        if let Some(session) = session(site, headers) {
            let is_current = match &session.holder.role {
                Role::Admin | Role::Job { .. } => true,
                Role::Client { .. } => {
                    let current = site.cluster.is_current(&session.holder).await;
                    current.unwrap_or(false)
                }
            };
            if is_current {
                let who = session.nonce().to_vec();
                return (Visitor::Holder(session.holder), who);
            }
        }
        if let Some(user) = user(site, peer, headers) {
            let is_client = site.cluster.is_client(user.to_owned()).await;
            let visitor = site
                .settings
                .proxy
                .visitor(user, is_client.unwrap_or(false));
            return (visitor, [b"user ", user.as_bytes()].concat());
        }
        let visitor = match site.settings.public_queue {
            true => Visitor::Public,
            false => Visitor::Stranger,
        };
        (visitor, Vec::new())
    }

    /// Returns the token of this visitor's forms; `None` for a visitor that may do nothing.
    pub(super) fn form_token(&self, site: &Site) -> Option<String> {
        (!self.who.is_empty()).then(|| site.key.form_token(&self.who))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn format(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::of(&headers)
    }

    #[test]
    fn a_browser_gets_html_and_a_program_what_it_asks_for() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        assert_eq!(format(chromium), Format::Html);
        assert_eq!(format("*/*"), Format::Html);
        assert_eq!(format("application/json"), Format::Json);
        assert_eq!(format("application/json, */*;q=0.1"), Format::Json);
        assert_eq!(format("text/html;q=0.5, application/json"), Format::Json);
        assert_eq!(format("text/html;q=0, */*"), Format::Json);
        assert_eq!(format("image/png"), Format::Neither);
        assert_eq!(Format::of(&HeaderMap::new()), Format::Html);
    }
}
