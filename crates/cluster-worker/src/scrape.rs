//! Fetches metrics from other programs on this machine, to pass them on.
//!
//! A few lines of HTTP do for that: one request on a connection of its own, in the old version of the protocol, in which the
//! answer is simply all that comes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cluster_api::Metric;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::config::ConfigError;

/// How long everything together may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: an exporter of a large machine says about 1 MiB.
const MAX_ANSWER: u64 = 4 << 20;

/// Where metrics are found: `http://HOST:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsUrl {
    host: String,
    port: u16,
    path: String,
}

impl MetricsUrl {
    /// Returns where the machine's own metrics usually are.
    pub(crate) fn node_exporter() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 9100,
            path: "/metrics".into(),
        }
    }
}

impl FromStr for MetricsUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let read = || {
            let url = Url::parse(text).ok().filter(|url| url.scheme() == "http")?;
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            let query = url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            let path = format!("{}{query}", url.path());
            Some(Self {
                host,
                port: url.port_or_known_default()?,
                path,
            })
        };
        read().ok_or_else(|| ConfigError::MetricsUrl(text.to_owned()))
    }
}

impl fmt::Display for MetricsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// Why there are no metrics. Each names their source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("Failed to connect to {0}")]
    NotConnected(String),
    #[error("{from}: {status}")]
    Status { from: String, status: String },
    #[error("Missing Content-Type in HTTP response from {0}")]
    NoContentType(String),
    #[error("{from}: {problem}")]
    BadAnswer { from: String, problem: &'static str },
}

/// Fetches metrics. `source` is what they are called in errors.
pub(crate) async fn scrape(source: &str, url: &MetricsUrl) -> Result<Metric, ScrapeError> {
    let answer = match tokio::time::timeout(LIMIT, get(url)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!("{url}: {error}");
            return Err(ScrapeError::NotConnected(source.to_owned()));
        }
        Err(_) => return Err(bad(source, "no answer in time")),
    };
    if answer.len() as u64 > MAX_ANSWER {
        return Err(bad(source, "the answer is too large"));
    }
    read(source, &answer)
}

async fn get(url: &MetricsUrl) -> std::io::Result<Vec<u8>> {
    let MetricsUrl { host, port, path } = url;
    let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER + 1).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn bad(source: &str, problem: &'static str) -> ScrapeError {
    ScrapeError::BadAnswer {
        from: source.to_owned(),
        problem,
    }
}

/// Reads an HTTP answer.
fn read(source: &str, answer: &[u8]) -> Result<Metric, ScrapeError> {
    let answer = str::from_utf8(answer).map_err(|_| bad(source, "the answer is not text"))?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(bad(source, "the answer is not HTTP"));
    };
    let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let Some((_, status)) = status
        .split_once(' ')
        .filter(|_| status.starts_with("HTTP/1."))
    else {
        return Err(bad(source, "the answer is not HTTP"));
    };
    if !status.starts_with("200") {
        return Err(ScrapeError::Status {
            from: source.to_owned(),
            status: status.to_owned(),
        });
    }
    let header = |wanted: &str| {
        headers.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    if header("Transfer-Encoding").is_some() {
        return Err(bad(
            source,
            "the answer is in a form that was not asked for",
        ));
    }
    let length = header("Content-Length").and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length != body.len()) {
        return Err(bad(source, "the answer is incomplete"));
    }
    let content_type =
        header("Content-Type").ok_or_else(|| ScrapeError::NoContentType(source.to_owned()))?;
    Ok(Metric {
        content_type: content_type.to_owned(),
        data: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use expect_test::expect;

    use super::{MetricsUrl, read, scrape};
    use crate::testing::git::Server;
    use crate::testing::local;

    #[test]
    fn answers() {
        let mut shown = String::new();
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\r\nup 1",
            "HTTP/1.0 404 Not Found\r\n\r\nnothing here",
            "HTTP/1.0 200 OK\r\n\r\nup 1",
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\nup 1",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "",
        ] {
            shown += &match read("prometheus-node-exporter", answer.as_bytes()) {
                Ok(metric) => format!("{metric:?}\n"),
                Err(error) => format!("{error}\n"),
            };
        }
        expect![[r#"
            Metric { content_type: "text/plain; version=0.0.4", data: "up 1" }
            prometheus-node-exporter: 404 Not Found
            Missing Content-Type in HTTP response from prometheus-node-exporter
            prometheus-node-exporter: the answer is incomplete
            prometheus-node-exporter: the answer is in a form that was not asked for
            prometheus-node-exporter: the answer is not HTTP
            prometheus-node-exporter: the answer is not HTTP
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_real_server_and_none() {
        local(async {
            let server = Server::start(|mut connection| {
                let size = connection.read(&mut [0; 1000]).unwrap();
                let text = format!(
                    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nrequest_bytes {size}\n"
                );
                connection.write_all(text.as_bytes()).unwrap();
            });
            let url: MetricsUrl = format!("http://{}/metrics", server.address)
                .parse()
                .unwrap();
            let metric = scrape("disks", &url).await.unwrap();
            assert!(metric.data.starts_with("request_bytes "), "{metric:?}");
            drop(server);
            let error = scrape("disks", &url).await.unwrap_err();
            assert_eq!(error.to_string(), "Failed to connect to disks");
        });
    }

    #[test]
    fn urls() {
        let shown = |text: &str| text.parse::<MetricsUrl>().map(|url| url.to_string()).ok();
        assert_eq!(
            shown("http://localhost/x?y=1").as_deref(),
            Some("http://localhost:80/x?y=1")
        );
        assert_eq!(shown("https://localhost/x"), None);
        assert_eq!(shown("localhost"), None);
    }
}
