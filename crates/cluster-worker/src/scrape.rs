//! Fetches metrics from other programs on this machine, to forward them.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use cluster_api::Metric;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::metrics_url::MetricsUrl;

/// The time limit of a request.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: the exporter of a large machine sends about 1 MiB.
const MAX_ANSWER: u64 = 4 << 20;

/// Why metrics cannot be fetched. All texts name the source.
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

/// Fetches metrics. `source` is their name in errors.
pub(crate) async fn scrape(source: &str, url: &MetricsUrl) -> Result<Metric, ScrapeError> {
    match tokio::time::timeout(LIMIT, get(source, url)).await {
        Ok(result) => result,
        Err(_) => Err(bad(source, "no answer in time")),
    }
}

/// Sends a request on a connection of its own. Redirects are not followed.
async fn get(source: &str, url: &MetricsUrl) -> Result<Metric, ScrapeError> {
    let MetricsUrl { host, port, path } = url;
    let authority = format!("{host}:{port}");
    let stream = match TcpStream::connect(&authority).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!("Cannot connect to {url}: {error}");
            return Err(ScrapeError::NotConnected(source.to_owned()));
        }
    };
    let request = Request::get(path)
        .header(HOST, authority)
        .header(CONNECTION, "close")
        .body(String::new())
        .map_err(|_| bad(source, "its URL cannot be requested"))?;
    let not_http = |error: hyper::Error| {
        tracing::debug!("Cannot read the answer of {url}: {error}");
        bad(source, "the answer is not HTTP")
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(not_http)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(not_http)?;
        let (head, body) = response.into_parts();
        if head.status != hyper::StatusCode::OK {
            return Err(ScrapeError::Status {
                from: source.to_owned(),
                status: head.status.to_string(),
            });
        }
        let data = read(source, body).await?;
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|content_type| content_type.to_str().ok());
        Ok(Metric {
            content_type: content_type
                .ok_or_else(|| ScrapeError::NoContentType(source.to_owned()))?
                .to_owned(),
            data,
        })
    };
    // Awaiting the connection drives it; the exchange returns its errors.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = connection => exchange.await,
    }
}

async fn read(source: &str, mut body: Incoming) -> Result<String, ScrapeError> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| bad(source, "the answer is incomplete"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (bytes.len() + data.len()) as u64 > MAX_ANSWER {
            return Err(bad(source, "the answer is too large"));
        }
        bytes.extend_from_slice(&data);
    }
    String::from_utf8(bytes).map_err(|_| bad(source, "the answer is not text"))
}

fn bad(source: &str, problem: &'static str) -> ScrapeError {
    ScrapeError::BadAnswer {
        from: source.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use expect_test::expect;

    use super::{MAX_ANSWER, MetricsUrl, scrape};
    use crate::testing::git::Server;
    use crate::testing::local;

    /// Starts a server that sends this answer.
    fn server(answer: impl Into<Vec<u8>>) -> (Server, MetricsUrl) {
        let answer = answer.into();
        let server = Server::start(move |mut connection| {
            assert!(connection.read(&mut [0; 1000]).unwrap() > 0);
            // A client that has read enough closes the connection.
            drop(connection.write_all(&answer));
        });
        let url = format!("http://{}/metrics", server.address);
        (server, url.parse().unwrap())
    }

    fn shown(answer: impl Into<Vec<u8>>) -> String {
        local(async {
            let (_server, url) = server(answer);
            match scrape("prometheus-node-exporter", &url).await {
                Ok(metric) => format!("{metric:?}\n"),
                Err(error) => format!("{error}\n"),
            }
        })
    }

    #[test]
    fn answers() {
        let answers = [
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\r\nup 1",
            "HTTP/1.0 404 Not Found\r\n\r\nnothing here",
            "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nup 1",
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\nup 1",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nup 1\r\n0\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "",
        ];
        let shown: String = answers.map(shown).concat();
        expect![[r#"
            Metric { content_type: "text/plain; version=0.0.4", data: "up 1" }
            prometheus-node-exporter: 404 Not Found
            prometheus-node-exporter: 302 Found
            Missing Content-Type in HTTP response from prometheus-node-exporter
            prometheus-node-exporter: the answer is incomplete
            Metric { content_type: "text/plain", data: "up 1" }
            prometheus-node-exporter: the answer is not HTTP
            prometheus-node-exporter: the answer is not HTTP
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn answers_that_are_too_large_or_not_text_are_refused() {
        let mut answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_vec();
        answer.resize(answer.len() + MAX_ANSWER as usize + 1, b'x');
        assert_eq!(
            shown(answer),
            "prometheus-node-exporter: the answer is too large\n"
        );
        let binary = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n\xff";
        assert_eq!(
            shown(*binary),
            "prometheus-node-exporter: the answer is not text\n"
        );
        let mut head = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nX: ".to_vec();
        head.resize(head.len() + 500_000, b'x');
        assert_eq!(
            shown(head),
            "prometheus-node-exporter: the answer is not HTTP\n"
        );
    }

    #[test]
    fn a_server_is_scraped_until_it_is_gone() {
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
}
