//! Servers for the repositories in a folder. They are threads of this process, so they end with it.

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

/// How long a peer may say nothing before we hang up on it.
const LIMIT_OF_SILENCE: Duration = Duration::from_secs(60);

/// A user and a password that a server asks for.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name, as it is to be in a URL.
    pub user: String,
    /// The password, as it is to be in a URL.
    pub password: String,
}

impl Credentials {
    /// Returns the value of the `Authorization` header that proves them.
    pub(crate) fn authorization(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }
}

/// Serves every `NAME.git` in a folder for as long as it lives.
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
    /// When git has no `http-backend`, or there is no port.
    pub fn http(base: &Path) -> Result<Self> {
        Self::start_http(base, None)
    }

    /// As [`http`](Self::http), for those who give these credentials only.
    ///
    /// # Errors
    /// As for `http`.
    pub fn http_with_password(base: &Path, credentials: Credentials) -> Result<Self> {
        Self::start_http(base, Some(credentials))
    }

    /// Serves `base` over `git://`, by git's own `daemon`.
    ///
    /// # Errors
    /// When there is no port.
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
            "git has no http-backend: {} is missing",
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
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on loopback")?;
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
        // The thread looks at the flag after each connection, so we make one. If that fails, it has ended already.
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
            let served = limit_silence(&stream).and_then(|()| serve(stream));
            // Clients hang up when they like; a test sees what its own client says.
            drop(served);
        });
    }
}

fn limit_silence(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(LIMIT_OF_SILENCE))?;
    Ok(stream.set_write_timeout(Some(LIMIT_OF_SILENCE))?)
}

/// Gives the connection to a git daemon of its own, as inetd would. So it needs no port, and none can be taken from it.
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
