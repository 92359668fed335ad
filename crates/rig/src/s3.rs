//! A server for objects that speaks S3, with a folder for each bucket.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The only bucket.
const BUCKET: &str = "logs";

/// A running server, in a thread of this process. It checks the signatures of requests.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    folder: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// The user, and the key with which that signs requests.
    pub const ACCESS_KEY: &str = "farm";
    /// See [`ACCESS_KEY`](Self::ACCESS_KEY).
    pub const SECRET_KEY: &str = "rig-s3-secret-key";

    /// Starts a server with what is in a folder.
    ///
    /// # Errors
    /// When the folder cannot be used, or there is no port.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), folder)
    }

    /// Starts a server at an address, such as that of an earlier one.
    ///
    /// # Errors
    /// When the folder cannot be used, or the address is in use.
    pub fn start_at(address: SocketAddr, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder).map_err(|error| anyhow!("{error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        let service = service.build();
        let listener = StdListener::bind(address).context("cannot listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("s3".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, service) => {}
                    _ = stopped => {}
                }
            });
            // Connections are closed with it.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            address,
            folder: folder.to_owned(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of a log store in it.
    pub fn log_store(&self) -> String {
        format!("s3://{BUCKET}/farm?endpoint=http://{}", self.address)
    }

    /// Returns the folder with the objects.
    pub fn objects(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the S3 server panicked");
        }
    }
}

async fn serve(listener: StdListener, service: S3Service) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((socket, _)) = listener.accept().await {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        tokio::spawn(async move {
            // Its peer sees it, too.
            drop(connection.await);
        });
    }
}
