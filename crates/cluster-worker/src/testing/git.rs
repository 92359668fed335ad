//! Real git repositories, and servers for them on loopback.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A directory of repositories, served as `git://127.0.0.1:PORT/NAME`.
pub(crate) struct GitServer {
    pub(crate) dir: tempfile::TempDir,
    server: Server,
    frozen: Arc<AtomicBool>,
}

impl GitServer {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().to_owned();
        let frozen = Arc::new(AtomicBool::new(false));
        let is_frozen = Arc::clone(&frozen);
        let mut held = Vec::new();
        let server = Server::start(move |connection| {
            if is_frozen.load(Ordering::SeqCst) {
                held.push(connection);
                return;
            }
            // The daemon as inetd runs it: one process for one connection, and the port is ours to choose.
            let output = OwnedFd::from(connection.try_clone().unwrap());
            let ended = git(&base)
                .args(["daemon", "--inetd", "--export-all", "--base-path=."])
                .stdin(OwnedFd::from(connection))
                .stdout(output)
                .stderr(Stdio::null())
                .status();
            ended.unwrap();
        });
        Self {
            dir,
            server,
            frozen,
        }
    }

    /// From now on it accepts connections and never answers.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.server.address)
    }

    /// Makes an empty repository.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let repository = Repository { path };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }
}

/// A repository with a work tree.
pub(crate) struct Repository {
    pub(crate) path: PathBuf,
}

impl Repository {
    /// Runs git in it, and returns what it prints.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = git(&self.path).args(args).output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file and commits it on the current branch. Returns the commit's id.
    pub(crate) fn commit(&self, file: &str, text: &str) -> String {
        std::fs::write(self.path.join(file), text).unwrap();
        self.commit_all()
    }

    /// Makes a submodule of a repository that only git's own programs can reach.
    pub(crate) fn add_submodule(&self, url: &str, path: &str) -> String {
        let allow = "protocol.file.allow=always";
        self.git(&["-c", allow, "submodule", "--quiet", "add", url, path]);
        self.commit_all()
    }

    /// Has the submodules follow their repositories.
    pub(crate) fn update_submodules(&self) -> String {
        let allow = "protocol.file.allow=always";
        self.git(&["-c", allow, "submodule", "--quiet", "update", "--remote"]);
        self.commit_all()
    }

    pub(crate) fn commit_all(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a commit"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", dir)
        .envs([
            ("GIT_AUTHOR_NAME", "A U Thor"),
            ("GIT_COMMITTER_NAME", "A U Thor"),
            ("EMAIL", "author@example.com"),
        ]);
    command
}

/// A web server that has nothing, and remembers what it was asked.
pub(crate) struct WebServer {
    server: Server,
    requests: Arc<Mutex<String>>,
}

/// The answer of a server that wants a password.
pub(crate) const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n";

impl WebServer {
    pub(crate) fn new() -> Self {
        Self::answering(|_| "HTTP/1.1 404 Not Found\r\n".to_owned())
    }

    /// A server that answers a request with a status line and headers.
    pub(crate) fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let requests = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&requests);
        let server = Server::start(move |mut connection| {
            let mut request = vec![0; 4096];
            let size = connection.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..size]);
            seen.lock().unwrap().push_str(&request);
            let answer = answer(&request);
            let answer = format!("{answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
            drop(std::io::Write::write_all(
                &mut connection,
                answer.as_bytes(),
            ));
        });
        Self { server, requests }
    }

    /// A server that wants a password.
    pub(crate) fn closed() -> Self {
        Self::answering(|_| UNAUTHORIZED.to_owned())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub(crate) fn requests(&self) -> String {
        self.requests.lock().unwrap().clone()
    }
}

/// A thread that accepts connections until this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(mut serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                serve(connection.unwrap());
            }
        });
        Self {
            address,
            ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it up, so that it notices.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
