//! A copy of the database of a store that another process owns, for who only reads.
//!
//! The owner has the file locked for as long as it lives, so that nobody can read it in place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// How often to copy again because the owner has begun a new write-ahead log meanwhile. It does after some thousand changes.
const ATTEMPTS: usize = 10;

/// Its file, what is not in it yet, and the mark that it may be behind.
const FILES: [&str; 4] = ["db.sqlite", "db.sqlite-wal", "db.sqlite-journal", "behind"];

/// How long the header of a write-ahead log is. Each has another.
const HEADER: usize = 32;

/// Copies the database in the directory `from` to the directory `to`.
///
/// Of a copy that did not come out whole, the rows are made again from the store when it is opened.
///
/// # Errors
/// If the system refuses something.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for _ in 0..ATTEMPTS {
        // What is moved from the log into the file meanwhile is in the log, too, until the log begins anew.
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
