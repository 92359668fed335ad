//! Servers for the repositories in a folder. They are threads of this process and end with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::backend;
use super::repository::git;

/// How long a peer may be silent before its connection is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The user and the password that a server requires.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name, encoded as in a URL.
    pub user: String,
    /// The password, encoded as in a URL.
    pub password: String,
}

impl Credentials {
    /// Returns the value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }
}

/// Serves every `NAME.git` in a folder until it is dropped.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    scheme: &'static str,
    credentials: Option<Credentials>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GitServer {
    /// Serves `base` over `http://`, by git's own `http-backend`.
    ///
    /// # Errors
    /// When git has no `http-backend`, or no port is free.
    pub fn http(base: &Path) -> Result<Self> {
        Self::start_http(base, None)
    }

    /// Like [`http`](Self::http), but only for clients with these credentials.
    ///
    /// # Errors
    /// As for `http`.
    pub fn http_with_password(base: &Path, credentials: Credentials) -> Result<Self> {
        Self::start_http(base, Some(credentials))
    }

    /// Serves `base` over `git://`, by git's own `daemon`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn daemon(base: &Path) -> Result<Self> {
        let base = base.to_owned();
        Self::start("git", None, move |stream| run_daemon(&base, stream))
    }

    fn start_http(base: &Path, credentials: Option<Credentials>) -> Result<Self> {
        let base: PathBuf = base.to_owned();
        let exec_path = PathBuf::from(crate::command::checked(git(&base).arg("--exec-path"))?);
        let program = exec_path.join("git-http-backend");
        ensure!(
            program.is_file(),
            "cannot serve over HTTP: {} is missing; install all of git",
            program.display()
        );
        let authorization = credentials.as_ref().map(Credentials::authorization);
        Self::start("http", credentials, move |stream| {
            backend::serve(stream, &program, &base, authorization.as_deref())
        })
    }

    fn start(
        scheme: &'static str,
        credentials: Option<Credentials>,
        serve: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot get a port on loopback")?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || accept(&listener, &stop, &Arc::new(serve)));
        Ok(Self {
            address,
            scheme,
            credentials,
            stopping,
            thread: Some(thread),
        })
    }

    /// Returns the URL of a repository, without credentials.
    pub fn url(&self, name: &str) -> String {
        format!("{}://{}/{name}.git", self.scheme, self.address)
    }

    /// Returns the URL of a repository with the server's credentials in it, if it has any.
    pub fn url_with_password(&self, name: &str) -> String {
        match &self.credentials {
            None => self.url(name),
            Some(Credentials { user, password }) => {
                format!(
                    "{}://{user}:{password}@{}/{name}.git",
                    self.scheme, self.address
                )
            }
        }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The thread checks the flag after each connection, so this makes one. If that fails, the thread has ended.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn accept<S>(listener: &TcpListener, stopping: &AtomicBool, serve: &Arc<S>)
where
    S: Fn(TcpStream) -> Result<()> + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let serve = Arc::clone(serve);
        thread::spawn(move || {
            let served = set_idle_limit(&stream).and_then(|()| serve(stream));
            // A client may close its connection at any time. Tests check the output of their own clients.
            drop(served);
        });
    }
}

fn set_idle_limit(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(IDLE_LIMIT))?;
    Ok(stream.set_write_timeout(Some(IDLE_LIMIT))?)
}

/// Passes the connection to a new git daemon, as inetd does. So the daemon needs no port.
fn run_daemon(base: &Path, stream: TcpStream) -> Result<()> {
    let mut daemon: Command = git(base);
    daemon
        .args(["daemon", "--inetd", "--export-all", "--timeout=60"])
        .arg(format!("--base-path={}", base.display()))
        .stdin(OwnedFd::from(stream.try_clone()?))
        .stdout(OwnedFd::from(stream))
        .status()?;
    Ok(())
}
