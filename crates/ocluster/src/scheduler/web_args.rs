//! Options of the pages for browsers.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use cluster_web::access::{ProxySettings, TrustedNetwork};
use cluster_web::{TlsFiles, WebLimits, WebSettings};

use super::parse_http_address;
use cli::error::CommandError;

/// The pages for browsers.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Pages")]
pub(crate) struct WebArgs {
    /// Address of the pages for browsers: PORT or ADDR:PORT
    ///
    /// A PORT alone is 127.0.0.1:PORT. Visitors need a link, which "ocluster-admin web" and "ocluster-client web"
    /// print.
    #[arg(long, value_name = "PORT", value_parser = parse_http_address)]
    web: Option<SocketAddr>,
    /// What visitors without a link may see
    #[arg(long, value_name = "WHAT", default_value = "nothing")]
    web_public: PublicPages,
    /// TLS certificate of the pages, with its chain, in PEM
    #[arg(long, value_name = "PATH", requires = "web_tls_key")]
    web_tls_cert: Option<PathBuf>,
    /// Private key of --web-tls-cert, in PEM
    #[arg(long, value_name = "PATH", requires = "web_tls_cert")]
    web_tls_key: Option<PathBuf>,
    /// Address of the pages in links, such as https://ci.example.org [default: the address of --web]
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    web_url: Option<String>,
    /// Header in which a proxy names the user that it has authenticated
    #[arg(long, value_name = "NAME", value_parser = parse_header, requires = "web_trust")]
    web_user_header: Option<String>,
    /// Networks of the proxies whose --web-user-header is believed, such as 10.0.0.7 or 10.0.0.0/8
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    web_trust: Vec<TrustedNetwork>,
    /// Users of --web-user-header who are operators; others see the jobs of the client of the same name
    #[arg(
        long,
        value_name = "USERS",
        value_delimiter = ',',
        requires = "web_user_header"
    )]
    web_admins: Vec<String>,
}

/// What visitors without a link may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicPages {
    /// Nothing.
    Nothing,
    /// Names and numbers of pools, workers and queues; no jobs and no logs.
    Queue,
}

impl WebArgs {
    /// Returns how to serve pages; `None` if they are not served.
    pub(super) fn settings(self) -> Result<Option<WebSettings>, CommandError> {
        let Some(listen) = self.web else {
            return Ok(None);
        };
        let tls = self.web_tls_cert.zip(self.web_tls_key);
        let is_open = !listen.ip().is_loopback() && tls.is_none();
        if is_open && self.web_trust.is_empty() {
            tracing::warn!(
                target: "scheduler",
                "Pages are served without TLS at {listen}; give --web-tls-cert and --web-tls-key, or listen on \
                 127.0.0.1 behind a proxy with TLS"
            );
        }
        Ok(Some(WebSettings {
            listen,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            url: self.web_url,
            public_queue: self.web_public == PublicPages::Queue,
            proxy: ProxySettings {
                user_header: self.web_user_header,
                trusted: self.web_trust,
                admins: self.web_admins.into_iter().collect(),
            },
            limits: WebLimits::default(),
        }))
    }
}

/// Parses where browsers reach the pages: a scheme, a host and perhaps a port.
fn parse_url(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte))
    };
    match rest {
        Some(host) if is_host(host) => Ok(text.to_ascii_lowercase()),
        _ => Err("expected https://HOST or https://HOST:PORT, without a path".to_owned()),
    }
}

/// Parses the name of a header.
fn parse_header(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !text.is_empty() && text.bytes().all(is_name) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected the name of a header, such as X-Forwarded-User".to_owned()),
    }
}
