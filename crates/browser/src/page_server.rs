//! A server of fixed pages, for tests of the browser and for the pages of attackers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

/// How long a browser may take to send its request.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// The most lines of a request that are read.
const MAX_LINES: usize = 200;

/// Serves fixed pages on a port of this machine. It stops when this is dropped.
#[derive(Debug)]
pub struct PageServer {
    address: SocketAddr,
    has_stopped: Arc<AtomicBool>,
}

impl PageServer {
    /// Serves `pages`: each a path and its HTML. Other paths are not found.
    ///
    /// # Errors
    /// When the system has no port.
    pub fn start(pages: &[(&str, &str)]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self {
            address: listener.local_addr()?,
            has_stopped: Arc::default(),
        };
        let pages: Vec<(String, String)> = pages
            .iter()
            .map(|(path, html)| ((*path).to_owned(), (*html).to_owned()))
            .collect();
        let pages = Arc::new(pages);
        let has_stopped = Arc::clone(&server.has_stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if has_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let pages = Arc::clone(&pages);
                // A browser that goes away before it has its page is not the server's business.
                std::thread::spawn(move || drop(answer(stream, &pages)));
            }
        });
        Ok(server)
    }

    /// Returns its origin, such as `http://127.0.0.1:4321`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address of a page.
    pub fn url(&self, path: &str) -> String {
        self.origin() + path
    }

    /// Returns the address of a page at another name of this machine, such as `evil.test`.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.has_stopped.store(true, Ordering::Relaxed);
        // Wakes the thread, which sees that. If that fails, it has ended.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, pages: &[(String, String)]) -> Result<()> {
    stream.set_read_timeout(Some(REQUEST_LIMIT))?;
    let mut lines = BufReader::new(&stream).lines().take(MAX_LINES);
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let found = pages.iter().find(|(of_page, _)| of_page == path);
    let (status, html) = match found {
        Some((_, html)) => ("200 OK", html.as_str()),
        None => ("404 Not Found", "not found"),
    };
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{html}",
        html.len()
    )?;
    Ok(())
}
