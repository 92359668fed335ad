//! One process owns a store: its numbers, its clean-up and its idea of what is in use would clash with another's.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often, and how long, to wait for the lock of a process that has ended: ten seconds, on a machine out of breath.
const MOST_ATTEMPTS: u32 = 500;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// What owns the store, for as long as this lives. The kernel lets go of it when the process ends, however it does.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were no process being started just now: until it is, it has our files open too.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!("Cannot unlock the store: {error}");
        }
    }
}

/// Whether the lock could be had.
#[derive(Debug)]
pub(super) enum Locked {
    /// It is ours.
    Ours(Lock),
    /// It is another's, who says this of itself.
    Taken(String),
}

impl Lock {
    /// Takes the lock `path`, and writes into it who we are.
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
            // A program that it was starting when it was killed has its files open until it has started.
            attempts += 1;
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        file.rewind()?;
        let owner = format!("{} (pid {})\n", program(), std::process::id());
        file.write_all(owner.as_bytes())?;
        // Not to nothing first: ext4 takes that for a file to be saved, and writes it to the disk when it is closed.
        file.set_len(owner.len() as u64)?;
        Ok(Locked::Ours(Self(file)))
    }
}

/// Returns whether the process that an owner says it is has ended.
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
