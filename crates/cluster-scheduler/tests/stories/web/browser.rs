//! A browser, as far as it is needed: it keeps cookies, and sends forms.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A browser.
pub(super) struct Browser {
    pub(super) address: SocketAddr,
    pub(super) cookie: Option<String>,
    /// More headers of each request, each with its end of line.
    pub(super) headers: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// Returns the value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (given, value) = line.split_once(": ")?;
            given.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Returns the body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn has(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "no {text:?} in {self:#?}");
        self
    }

    pub(super) fn has_not(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} in {self:#?}");
        self
    }
}

impl Browser {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookie: None,
            headers: String::new(),
        }
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connects, and sends a request.
    pub(super) async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Returns the head of a request.
    pub(super) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let cookie = self.cookie.as_ref();
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n"));
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}{}{more}\r\n",
            self.address,
            self.headers,
            cookie.unwrap_or_default()
        )
    }

    /// Sends a request, and returns the whole answer.
    pub(super) async fn ask(&self, request: &str) -> Answer {
        let mut stream = self.send(request).await;
        let mut bytes = Vec::new();
        // An end without a proper goodbye is an end.
        stream.read_to_end(&mut bytes).await.ok();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer to {request:?}: {text:?}"));
        let is_chunked = head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: if is_chunked {
                joined(body)
            } else {
                body.to_owned()
            },
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        let request = self.head("GET", path, "Connection: close\r\n");
        self.ask(&request).await
    }

    /// Sends a form as a page of ours does.
    pub(super) async fn post(&self, path: &str, form: &str) -> Answer {
        let origin = self.origin();
        self.post_from(&origin, path, form).await
    }

    /// Sends a form as a page of another site does.
    pub(super) async fn post_from(&self, origin: &str, path: &str, form: &str) -> Answer {
        let more = format!(
            "Connection: close\r\nOrigin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n",
            form.len()
        );
        let request = self.head("POST", path, &more) + form;
        self.ask(&request).await
    }

    /// Uses a link. Returns where it leads.
    pub(super) async fn enter(&mut self, link: &str) -> String {
        let answer = self.try_to_enter(link).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        self.cookie = cookie.split(';').next().map(str::to_owned);
        answer.header("location").unwrap().to_owned()
    }

    pub(super) async fn try_to_enter(&self, link: &str) -> Answer {
        let (page, secret) = link.split_once('#').unwrap();
        assert!(page.ends_with("/enter"), "{page}");
        self.post("/enter", &format!("secret={secret}")).await
    }

    /// Returns the token of the forms of a page.
    pub(super) async fn token(&self, page: &str) -> String {
        let page = self.get(page).await;
        let (_, rest) = page
            .body
            .split_once("name=\"token\" value=\"")
            .unwrap_or_else(|| panic!("no form in {page:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Joins the chunks of a body.
fn joined(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size) else {
            break;
        };
        if size == 0 {
            break;
        }
        whole.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}
