//! HTTP requests to hosts that a job names: only to permitted addresses, and with a limit to the size of a response.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, NoProxy, Proxy, RequestBuilder, Response, Url};

use super::address::{AddressRule, Refused};
use super::settings::Proxies;

/// How long a host may take to accept a connection.
const LIMIT_TO_CONNECT: Duration = Duration::from_secs(20);

/// How long a host may pause in the middle of a response.
const LIMIT_TO_READ: Duration = Duration::from_secs(60);

/// How many redirects a request may have.
const MOST_REDIRECTS: usize = 10;

/// An HTTP client for hosts that jobs name.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    guard: Guard,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The host must not be contacted.
    #[error(transparent)]
    Refused(Refused),
    /// The request failed.
    #[error("{}", causes(.0))]
    Failed(reqwest::Error),
    /// The URL has no host. It is not shown, because it may come from a service.
    #[error("the URL to request has no host")]
    BadUrl,
    /// The response is too large.
    #[error("its response is too large: more than {0} bytes")]
    TooLarge(u64),
}

impl HttpError {
    /// Returns whether a retry may help.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        match refusal(&error) {
            Some(refused) => Self::Refused(refused),
            // Its URL may contain a secret. The message that this goes into names the host.
            None => Self::Failed(error.without_url()),
        }
    }
}

impl Http {
    /// Makes a client for the hosts that `rule` permits, which uses `proxies`.
    pub(super) fn new(rule: &AddressRule, proxies: &Proxies) -> Result<Self, HttpError> {
        // The first caller decides for the process. All callers install the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let names = [&proxies.http, &proxies.https];
        let names = names.into_iter().flatten().filter_map(|proxy| host(proxy));
        let guard = Guard {
            rule: Arc::new(rule.clone()),
            proxies: names.collect(),
        };
        let redirected = guard.clone();
        let mut builder = reqwest::Client::builder()
            .user_agent("obuilder")
            .connect_timeout(LIMIT_TO_CONNECT)
            .read_timeout(LIMIT_TO_READ)
            .redirect(Policy::custom(move |attempt| follow(&redirected, attempt)))
            .dns_resolver(guard.clone())
            // A library does not read the proxies of the environment.
            .no_proxy();
        // No proxy reaches this machine's own hosts.
        let except = proxies.except.as_deref().unwrap_or_default();
        let except = NoProxy::from_string(&format!("localhost,127.0.0.0/8,{except}"));
        if let Some(proxy) = &proxies.http {
            builder = builder.proxy(Proxy::http(proxy)?.no_proxy(except.clone()));
        }
        if let Some(proxy) = &proxies.https {
            builder = builder.proxy(Proxy::https(proxy)?.no_proxy(except));
        }
        Ok(Self {
            client: builder.build()?,
            guard,
        })
    }

    /// Starts a GET request.
    pub(super) fn get(&self, url: &str) -> Result<RequestBuilder, HttpError> {
        let url = Url::parse(url).map_err(|_| HttpError::BadUrl)?;
        self.request(Method::GET, url)
    }

    /// Starts a request.
    pub(super) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, HttpError> {
        self.guard.check(&url)?;
        Ok(self.client.request(method, url))
    }
}

/// Reads a response of at most `limit` bytes to its end.
pub(super) async fn body(mut answer: Response, limit: u64) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(HttpError::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn follow(guard: &Guard, attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error("too many redirects");
    }
    match guard.check(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(HttpError::Refused(refused)) => attempt.error(refused),
        Err(_) => attempt.error("it redirects to a URL without a host"),
    }
}

/// Resolves names to permitted addresses. The client connects to these and to no others.
#[derive(Debug, Clone)]
struct Guard {
    rule: Arc<AddressRule>,
    /// The names of the operator's proxies, which may have any address.
    proxies: Arc<[String]>,
}

impl Guard {
    /// Checks whether a URL may be requested, as far as is known before its name is resolved.
    fn check(&self, url: &Url) -> Result<(), HttpError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(HttpError::BadUrl);
        };
        let checked = if self.is_proxy(host) {
            // A proxy's name is resolved to any address, but only to be used as a proxy.
            self.rule.check_listed(host, port)
        } else {
            self.rule.check(host, port)
        };
        checked.map_err(HttpError::Refused)
    }

    fn is_proxy(&self, host: &str) -> bool {
        self.proxies
            .iter()
            .any(|proxy| proxy.eq_ignore_ascii_case(host))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (rule, name) = (Arc::clone(&self.rule), name.as_str().to_owned());
        let is_proxy = self.is_proxy(&name);
        Box::pin(async move {
            // The port is the URL's.
            let addresses: Addrs = if is_proxy {
                let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Box::new(addresses.collect::<Vec<_>>().into_iter())
            } else {
                Box::new(rule.resolve(&name, 0).await?.into_iter())
            };
            Ok(addresses)
        })
    }
}

/// Returns the name of a proxy's host. `None` if it is an address, which is not resolved.
fn host(proxy: &str) -> Option<String> {
    let url = Url::parse(proxy)
        .ok()
        .filter(Url::has_host)
        .or_else(|| Url::parse(&format!("http://{proxy}")).ok())?;
    let name = url.domain()?;
    name.parse::<IpAddr>().is_err().then(|| name.to_owned())
}

/// Returns why a host was refused, if that is the cause of an error.
fn refusal(error: &(dyn Error + 'static)) -> Option<Refused> {
    let mut error = Some(error);
    while let Some(cause) = error {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref()?.downcast_ref::<Refused>());
        if let Some(refused) = inner {
            return Some(refused.clone());
        }
        error = cause.source();
    }
    None
}

/// Returns an error's text with its causes, in one line.
fn causes(error: &dyn Error) -> String {
    super::log::plain(visible::with_causes(error).trim())
        .replace('\n', " ")
        .chars()
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_used_as_a_proxy_only() {
        let proxies = Proxies {
            https: Some("http://proxy.lab:3128".to_owned()),
            ..Proxies::default()
        };
        let url = "https://Proxy.lab:9090/v2/";
        let asked = |listed: &str| Http::new(&listed.parse().unwrap(), &proxies)?.get(url);
        for listed in ["", "proxy.lab:80", "10.0.0.0/8"] {
            assert!(
                matches!(asked(listed), Err(HttpError::Refused(_))),
                "{listed}"
            );
        }
        assert!(asked("proxy.lab:9090").is_ok());
    }

    #[test]
    fn a_proxy_may_be_given_without_a_scheme() {
        for proxy in [
            "http://me:pw@proxy.lab:3128/",
            "proxy.lab:3128",
            "proxy.lab",
        ] {
            assert_eq!(host(proxy).as_deref(), Some("proxy.lab"), "{proxy}");
        }
        for proxy in ["http://10.0.0.1:3128", "[::1]:3128", "socks5://10.0.0.1"] {
            assert_eq!(host(proxy), None, "{proxy}");
        }
    }
}
