//! Something that answers HTTP and is no registry, or a bad one.

use std::io::{BufRead as _, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Answers a request: all of the answer, status line included.
pub(crate) type Answer = Box<dyn Fn(&Request, &mut dyn Write) -> std::io::Result<()> + Send + Sync>;

/// What somebody asks for.
pub(crate) struct Request {
    pub(crate) path: String,
    /// What it says of who asks.
    pub(crate) authorization: Option<String>,
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Service {
    /// Starts one on a port of its own.
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let stop = Arc::<AtomicBool>::default();
        let (paths, stopped, answer) = (asked.clone(), stop.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (paths, answer) = (paths.clone(), answer.clone());
                std::thread::spawn(move || serve(&connection.unwrap(), &paths, &answer));
            }
        });
        Self {
            address,
            asked,
            stop,
        }
    }

    /// Starts one that answers everything alike.
    pub(crate) fn saying(status: &'static str, headers: String, body: &'static str) -> Self {
        Self::start(Box::new(move |_, to| {
            let length = body.len();
            write!(
                to,
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
            )
        }))
    }

    /// Returns the paths that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns the name of an image that is here, if any is.
    pub(crate) fn image(&self) -> String {
        format!("{}/image", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener up, to see that.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut connection: &TcpStream, paths: &Mutex<Vec<String>>, answer: &Answer) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let authorization = headers.iter().find_map(|header| {
            let (name, value) = header.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        });
        paths.lock().unwrap().push(path.clone());
        let request = Request {
            path,
            authorization,
        };
        if answer(&request, &mut connection).is_err() {
            return;
        }
    }
}
