//! A registry that does what a test tells it, over loopback.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rig::{OciImage, OciLayout};

/// What the registry does to a blob that is asked for, by how often it was asked for any.
pub(crate) type Mischief = fn(&mut Vec<u8>, usize) -> Then;

/// How an answer ends.
pub(crate) enum Then {
    /// As it should.
    Done,
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// Nothing more comes.
    Hang,
    /// It is refused with this status.
    Refuse(u16),
}

pub(crate) struct FakeRegistry {
    pub(crate) image: String,
    /// How often a blob was asked for.
    pub(crate) asked: Arc<AtomicUsize>,
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
}

impl FakeRegistry {
    /// Serves an image, with mischief.
    pub(crate) fn start(folder: &Path, images: &[OciImage], mischief: Mischief) -> Self {
        let folder = folder.join("fake");
        OciLayout::write(&folder, "latest", images).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stopped) = (asked.clone(), stop.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (folder, counter) = (folder.clone(), counter.clone());
                std::thread::spawn(move || {
                    serve(&connection.unwrap(), &folder, &counter, mischief);
                });
            }
        });
        Self {
            image: format!("{address}/fake"),
            asked,
            address,
            stop,
        }
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener up, to see that.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(connection: &TcpStream, folder: &Path, asked: &AtomicUsize, mischief: Mischief) {
    let mut lines = BufReader::new(connection).lines();
    loop {
        let Some(Ok(request)) = lines.next() else {
            return;
        };
        let headers: Vec<String> = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let range = headers.iter().find_map(|header| {
            let (name, value) = header.split_once(": ")?;
            let start = value.strip_prefix("bytes=")?.strip_suffix('-')?;
            name.eq_ignore_ascii_case("range")
                .then(|| start.parse::<usize>().unwrap())
        });
        if !answer(connection, folder, &path, range, asked, mischief) {
            return;
        }
    }
}

/// Answers one request, and returns whether there may be another.
fn answer(
    mut to: &TcpStream,
    folder: &Path,
    path: &str,
    range: Option<usize>,
    asked: &AtomicUsize,
    mischief: Mischief,
) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut body = if path == "/v2/" {
        Vec::new()
    } else {
        std::fs::read(file(folder, name)).unwrap()
    };
    let mut then = Then::Done;
    if path.contains("/blobs/") {
        then = mischief(&mut body, asked.fetch_add(1, Ordering::SeqCst));
    }
    let mut status = "200 OK".to_owned();
    if let Then::Refuse(code) = then {
        status = format!("{code} No");
        body.clear();
    } else if let Some(start) = range {
        status = "206 Partial Content".to_owned();
        body.drain(..start.min(body.len()));
    }
    let length = body.len();
    let sent = match then {
        Then::Cut(at) => at.min(length),
        Then::Hang => length / 2,
        _ => length,
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    let written = to
        .write_all(head.as_bytes())
        .and_then(|()| to.write_all(&body[..sent]));
    match then {
        Then::Cut(_) => false,
        // Until the other side has had enough.
        Then::Hang => written.is_ok() && std::io::copy(&mut { to }, &mut std::io::sink()).is_err(),
        _ => written.is_ok(),
    }
}

/// Returns the file of an image, by its digest or its only tag.
pub(crate) fn file(folder: &Path, name: &str) -> PathBuf {
    let blobs = folder.join("blobs/sha256");
    match name.strip_prefix("sha256:") {
        Some(digest) => blobs.join(digest),
        None => {
            let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
            let (_, rest) = index.split_once("sha256:").unwrap();
            blobs.join(&rest[..64])
        }
    }
}
