//! Temporary directories and files, in memory if possible.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use tempfile::TempDir;

/// Returns a new directory, which is removed with its content.
pub(crate) fn directory() -> TempDir {
    // The fuzzer ends its process without cleanup, so `cargo xtask fuzz` removes what is left.
    let named = std::env::var_os("FUZZ_SCRATCH").map(PathBuf::from);
    let memory = named.unwrap_or_else(|| PathBuf::from("/dev/shm"));
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("fuzz-");
    let made = if memory.is_dir() {
        builder.tempdir_in(&memory)
    } else {
        builder.tempdir()
    };
    made.expect("a scratch directory")
}

/// Returns an open file without a name, which contains these bytes.
pub(crate) fn file(bytes: &[u8]) -> File {
    let made = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile());
    let mut file = made.expect("a file for a layer");
    let written = file.write_all(bytes).and_then(|()| file.rewind());
    written.expect("a layer can be written");
    file
}
