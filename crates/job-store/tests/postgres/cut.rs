//! A way to the server that can be cut: in the middle of a commit, and for as long as a test likes.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use cluster_postgres::Settings;

/// Passes on what comes through a socket of its own, until it is dropped.
pub(crate) struct Cut {
    folder: tempfile::TempDir,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Switches {
    /// How many commits are passed on whose answers are not, and which end their connections.
    lost_answers: AtomicU32,
    /// No connection is accepted.
    is_away: AtomicBool,
    is_ending: AtomicBool,
}

impl Cut {
    pub(crate) fn start(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_ending.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that is dropped is closed.
                if shared.is_away.load(Ordering::SeqCst) {
                    continue;
                }
                if let Ok(server) = UnixStream::connect(&server) {
                    pass_on(client, server, &shared);
                }
            }
        });
        Self {
            folder,
            switches,
            thread: Some(thread),
        }
    }

    /// Returns the same database through this way.
    pub(crate) fn settings(&self, database: &str) -> Settings {
        let folder = self.folder.path().display();
        Settings::parse(&format!("postgres://ocluster@/{database}?host={folder}"))
            .expect("an address")
    }

    /// The answers of so many commits are lost, with their connections.
    pub(crate) fn lose_answers(&self, count: u32) {
        self.switches.lost_answers.store(count, Ordering::SeqCst);
    }

    /// New connections fail, or do no longer.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.switches.is_away.store(is_away, Ordering::SeqCst);
    }

    pub(crate) fn answers_to_lose(&self) -> u32 {
        self.switches.lost_answers.load(Ordering::SeqCst)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.switches.is_ending.store(true, Ordering::SeqCst);
        // Wakes the thread up.
        drop(UnixStream::connect(
            self.folder.path().join(".s.PGSQL.5432"),
        ));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread ends");
        }
    }
}

/// Passes bytes on in both directions. The threads end with the connection.
fn pass_on(client: UnixStream, server: UnixStream, switches: &Arc<Switches>) {
    let (mut from_client, mut to_client) = (client.try_clone().expect("a socket"), client);
    let (mut from_server, mut to_server) = (server.try_clone().expect("a socket"), server);
    let is_cut = Arc::new(AtomicBool::new(false));
    let (switches, cut) = (Arc::clone(switches), Arc::clone(&is_cut));
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from_client.read(&mut buffer) {
            let bytes = &buffer[..length];
            // The simple query "COMMIT", which comes alone.
            if bytes.starts_with(b"Q") && bytes.ends_with(b"COMMIT\0") {
                let take = |left: u32| left.checked_sub(1);
                let lost = &switches.lost_answers;
                if lost
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                    .is_ok()
                {
                    cut.store(true, Ordering::SeqCst);
                }
            }
            if to_server.write_all(bytes).is_err() {
                break;
            }
        }
        drop(to_server.shutdown(Shutdown::Write));
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from_server.read(&mut buffer) {
            if is_cut.load(Ordering::SeqCst) || to_client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to_client.shutdown(Shutdown::Both));
        drop(from_server.shutdown(Shutdown::Both));
    });
}
