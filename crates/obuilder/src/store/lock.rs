//! The lock of a store. One process owns a store: its numbers, its cleanup and its pins would conflict with another's.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often, and how long, to wait for the lock of a process that has exited: ten seconds, for an overloaded machine.
const MOST_ATTEMPTS: u32 = 500;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// The ownership of a store, while this exists. The kernel releases the lock when the process exits, in any way.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough while a process is being started: until then it has our files open, too.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!("Cannot unlock the store: {error}");
        }
    }
}

/// The outcome of an attempt to lock.
#[derive(Debug)]
pub(super) enum Locked {
    /// This process has the lock.
    Ours(Lock),
    /// Another process has it: its program and process id.
    Taken(String),
}

impl Lock {
    /// Takes the lock `path`, and writes our program and process id into it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a store is opened before there is anything else to do"
    )]
    pub(super) fn take(path: &Path) -> io::Result<Locked> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut attempts = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
            let mut owner = String::new();
            file.rewind()?;
            (&file).take(4096).read_to_string(&mut owner)?;
            if attempts == MOST_ATTEMPTS || !has_ended(&owner) {
                return Ok(Locked::Taken(owner.trim().to_owned()));
            }
            // If it was killed while it started a program, that has its files open until it has started.
            attempts += 1;
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        file.rewind()?;
        let owner = format!("{} (pid {})\n", program(), std::process::id());
        file.write_all(owner.as_bytes())?;
        // Not truncated to zero first: ext4 would then write the file to the disk when it is closed.
        file.set_len(owner.len() as u64)?;
        Ok(Locked::Ours(Self(file)))
    }
}

/// Returns whether the process with this program and process id has exited.
fn has_ended(owner: &str) -> bool {
    let pid = owner.rsplit_once("(pid ").map(|(_, rest)| rest.trim_end());
    let pid = pid.and_then(|rest| rest.strip_suffix(')')?.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
