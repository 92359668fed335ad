//! A copy of the database of a store that another process owns, for a process that only reads.
//!
//! The owner keeps the file locked while it runs, so that no other process can read it in place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// How often to retry because the owner has begun a new write-ahead log meanwhile. It does so after some thousand
/// changes.
const ATTEMPTS: usize = 10;

/// The database's file, its logs, and the mark that it may be behind.
const FILES: [&str; 4] = ["db.sqlite", "db.sqlite-wal", "db.sqlite-journal", "behind"];

/// Size of the header of a write-ahead log, in bytes. Each log has another header.
const HEADER: usize = 32;

/// Copies the database in the directory `from` to the directory `to`.
///
/// The rows of an incomplete copy are rebuilt from the store when it is opened.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for _ in 0..ATTEMPTS {
        // Pages that are moved from the log into the file meanwhile stay in the log, until the log begins anew.
        let header = header(from)?;
        for name in FILES {
            copy_if_there(&from.join(name), &to.join(name))?;
        }
        if self::header(from)? == header {
            break;
        }
    }
    Ok(())
}

fn header(dir: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    match File::open(dir.join("db.sqlite-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        file => drop(file?.take(HEADER as u64).read_to_end(&mut header)?),
    }
    Ok(header)
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        copied => copied.map(drop),
    }
}
