//! Runs a program for a store, and waits for it. To be called on a thread that may block.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::StoreError;

/// Runs `argv`, and returns its output.
pub(super) fn run(argv: &[OsString], about: &Path) -> Result<Vec<u8>, StoreError> {
    let command = || {
        argv.iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let failed = |reason: String| StoreError::Command {
        command: command(),
        reason,
    };
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| failed("no program was named".to_owned()))?;
    let output = Command::new(program)
        .args(args)
        // Its message about a full disk is parsed below.
        .env("LC_ALL", "C")
        // The program must not notify the service manager of this process.
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => no_program(&program.to_string_lossy()),
            _ => failed(error.to_string()),
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("No space left on device") || stderr.contains("out of space") {
        return Err(StoreError::Full {
            action: format!("run {} on", program.to_string_lossy()),
            path: PathBuf::from(about),
        });
    }
    Err(failed(format!("{}: {}", output.status, stderr.trim())))
}

fn no_program(program: &str) -> StoreError {
    let package = match program {
        "zfs" | "zpool" => "zfsutils-linux",
        "btrfs" => "btrfs-progs",
        program => program,
    };
    StoreError::NoProgram {
        program: program.to_owned(),
        package: package.to_owned(),
    }
}
