//! The HTTP server: small and short answers, to clients that are not trusted.
//!
//! Each connection is for one request and may live for [`LIMIT`] in all, so that slow or idle clients are
//! disconnected soon. They delay no other client: a new connection replaces the oldest one, and a new page replaces the
//! page that has been in transit for the longest time. So a health check is answered at once, whatever scrapers do.
//! Scrapers send a request every few seconds at most, and can connect again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Endpoint;
use super::body::Text;

/// How many connections there are at most; one more takes the place of the oldest.
const CONNECTIONS: usize = 128;

/// How many pages are on their way at most; one more takes the place of the oldest. A page waits in memory for its
/// readers, so this times the largest page of a worker bounds what slow readers cost.
const PAGES: usize = 16;

/// The size from which an answer counts as a page, in bytes. Smaller ones fit into the system's buffers until they are
/// read.
const PAGE_BYTES: usize = 16 * 1024;

/// How long a request's head may take to come.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection may last: the head, a worker's answer, and a reader at the other end of the world.
const LIMIT: Duration = Duration::from_secs(30);

/// How large a request's head may be: the least that the library allows.
const HEAD_BYTES: usize = 8 * 1024;

/// How long to wait when no connection can be accepted, for example without free file descriptors.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often to log that no connection can be accepted.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A socket that scrapers can connect to.
pub(crate) struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Returns where it listens, with the real port if the system picked one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is awaited. Never ends.
    pub(crate) async fn serve(self, endpoint: Rc<Endpoint>) {
        let pages = Rc::new(Pages::default());
        let mut connections = Connections::new(self.address);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (endpoint, pages) = (Rc::clone(&endpoint), Rc::clone(&pages));
                        connections.add(serve_one(stream, endpoint, pages, self.address));
                    }
                    Err(error) => connections.make_room(&error).await,
                },
                Some(_) = connections.tasks.join_next() => {}
            }
        }
    }
}

/// The connections that there are.
struct Connections {
    tasks: JoinSet<()>,
    /// The same, oldest first; some may have ended.
    by_age: VecDeque<AbortHandle>,
    /// A file descriptor for a health check that comes when there is no other; `None` while it is used.
    reserve: Option<File>,
    address: SocketAddr,
    warned: Option<Instant>,
}

impl Connections {
    fn new(address: SocketAddr) -> Self {
        Self {
            tasks: JoinSet::new(),
            by_age: VecDeque::new(),
            reserve: reserve(),
            address,
            warned: None,
        }
    }

    fn add(&mut self, connection: impl Future<Output = ()> + 'static) {
        self.by_age.retain(|task| !task.is_finished());
        if self.by_age.len() >= CONNECTIONS {
            self.end_oldest();
        }
        self.by_age.push_back(self.tasks.spawn_local(connection));
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
    }

    fn end_oldest(&mut self) -> bool {
        let oldest = self.by_age.pop_front();
        oldest.inspect(AbortHandle::abort).is_some()
    }

    /// No connection can be accepted, most likely for want of file descriptors: gives up one of ours.
    async fn make_room(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now >= warned + WARN_EVERY) {
            self.warned = Some(now);
            let address = self.address;
            tracing::warn!(target: "scheduler", "Cannot accept connections at {address}: {error}");
        }
        self.by_age.retain(|task| !task.is_finished());
        if self.reserve.take().is_some() || self.end_oldest() {
            // The descriptor of an ended task is closed when the task is dropped.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Returns a file descriptor to give up later. `None` when there is none.
fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The pages that are being sent, oldest first. Each can be cancelled.
#[derive(Default)]
struct Pages(RefCell<VecDeque<oneshot::Sender<()>>>);

impl Pages {
    fn add(&self, page: oneshot::Sender<()>) {
        let mut pages = self.0.borrow_mut();
        pages.retain(|page| !page.is_closed());
        if pages.len() >= PAGES
            && let Some(oldest) = pages.pop_front()
        {
            // An error means that it has ended just now.
            oldest.send(()).ok();
        }
        pages.push_back(page);
    }
}

async fn serve_one(
    stream: TcpStream,
    endpoint: Rc<Endpoint>,
    pages: Rc<Pages>,
    address: SocketAddr,
) {
    let (give_up, given_up) = oneshot::channel();
    let give_up = Rc::new(Cell::new(Some(give_up)));
    let answer = service_fn(|request: Request<Incoming>| {
        let endpoint = Rc::clone(&endpoint);
        let (pages, give_up) = (Rc::clone(&pages), Rc::clone(&give_up));
        async move {
            let host = request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok());
            let host = host.map_or_else(|| address.to_string(), str::to_owned);
            let mut response: Response<Text> = endpoint
                .answer(request.method(), request.uri().path(), &host)
                .await;
            // Pages come from workers, too: a browser must not guess another type than the declared one.
            let no_guessing = HeaderValue::from_static("nosniff");
            response
                .headers_mut()
                .insert(X_CONTENT_TYPE_OPTIONS, no_guessing);
            if response.body().len() >= PAGE_BYTES
                && let Some(give_up) = give_up.take()
            {
                pages.add(give_up);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // A failure concerns only its client, which has sent nonsense, was too slow or has disconnected.
    tokio::select! {
        served = tokio::time::timeout(LIMIT, connection) => drop(served),
        Ok(()) = given_up => {}
    }
}
