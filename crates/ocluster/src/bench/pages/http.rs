//! HTTP, as far as the visitors of pages need it. Each has its own connections, as browsers have.

use std::net::Ipv4Addr;
use std::pin::Pin;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use cli::error::CommandError;

/// What stands before the secret in a link.
const SECRET: &str = "#";

/// The first address at which visitors are.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Where pages are served, and the cookie of a visitor who has come in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The host with its port.
    host: String,
    cookie: String,
    /// Where it is, as a proxy would tell: all visitors of this benchmark come from one address, and a scheduler with
    /// `--web-trust=127.0.0.1` believes that they do not.
    address: Ipv4Addr,
}

/// A connection to the pages. Dropping it closes it.
pub(super) struct Connection {
    visitor: Visitor,
    sender: SendRequest<String>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An answer that was read to its end.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// How long it took at the server, in milliseconds; `None` if the server does not tell.
    pub(super) server_millis: Option<f64>,
}

impl Visitor {
    /// Comes in with a link.
    pub(super) async fn enter(link: &str) -> Result<Self, CommandError> {
        let unusable =
            || CommandError::failed("cannot use the link to the pages: it is not for plain HTTP");
        let rest = link.strip_prefix("http://").ok_or_else(unusable)?;
        let (host, rest) = rest.split_once('/').ok_or_else(unusable)?;
        let (_, secret) = rest.split_once(SECRET).ok_or_else(unusable)?;
        let mut visitor = Self {
            host: host.to_owned(),
            cookie: String::new(),
            address: ADDRESSES,
        };
        let mut connection = visitor.connect().await?;
        let form = format!("secret={secret}");
        let answer = connection.send(Method::POST, "/enter", form).await?;
        let cookie = answer.headers().get(SET_COOKIE);
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        let (Some(cookie), Some(_)) = (cookie, answer.headers().get(LOCATION)) else {
            let status = answer.status();
            return Err(CommandError::failed(format_args!(
                "cannot come in with a link to the pages: the answer was {status}"
            )));
        };
        cookie.clone_into(&mut visitor.cookie);
        Ok(visitor)
    }

    /// Returns the same visitor at another address.
    pub(super) fn elsewhere(&self, number: u32) -> Self {
        let address = ADDRESSES.to_bits().saturating_add(number);
        Self {
            address: Ipv4Addr::from_bits(address),
            ..self.clone()
        }
    }

    /// Connects to the pages.
    pub(super) async fn connect(&self) -> Result<Connection, CommandError> {
        let failed = |error: &dyn std::error::Error| {
            CommandError::failed(format_args!("cannot connect to the pages: {error}"))
        };
        let stream = TcpStream::connect(&self.host).await;
        let stream = stream.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = connected.map_err(|error| failed(&error))?;
        let driver = tokio::spawn(async move {
            // An error of a connection is one of its request, too.
            connection.await.ok();
        });
        Ok(Connection {
            visitor: self.clone(),
            sender,
            driver,
        })
    }
}

impl Connection {
    /// Sends a request, and returns the beginning of the answer.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: String,
    ) -> Result<Response<Incoming>, CommandError> {
        let Visitor {
            host,
            cookie,
            address,
        } = &self.visitor;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(ORIGIN, format!("http://{host}"))
            .header(COOKIE, cookie)
            .header("x-forwarded-for", address.to_string())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .map_err(CommandError::caused)?;
        let answer = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        answer.await.map_err(|error| broken(path, &error))
    }

    /// Begins to read a page, or a stream of events.
    pub(super) async fn open(&mut self, path: &str) -> Result<Response<Incoming>, CommandError> {
        self.send(Method::GET, path, String::new()).await
    }

    /// Reads a page.
    pub(super) async fn get(&mut self, path: &str) -> Result<Page, CommandError> {
        let mut answer = self.open(path).await?;
        let timing = answer.headers().get("server-timing");
        let timing = timing.and_then(|timing| timing.to_str().ok());
        let millis = timing.and_then(|timing| timing.split_once("dur="));
        let mut page = Page {
            status: answer.status(),
            body: Vec::new(),
            server_millis: millis.and_then(|(_, millis)| millis.parse().ok()),
        };
        while let Some(bytes) = next(answer.body_mut()).await {
            let bytes = bytes.map_err(|error| broken(path, &error))?;
            page.body.extend_from_slice(&bytes);
        }
        Ok(page)
    }
}

/// Returns the next piece of an answer; `None` after its end.
pub(super) async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

fn broken(path: &str, error: &hyper::Error) -> CommandError {
    CommandError::failed(format_args!("cannot read the page {path}: {error}"))
}
