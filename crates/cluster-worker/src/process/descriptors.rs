//! Prevents the worker's programs from inheriting its open files.

use std::fs;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first descriptor after the standard ones.
const FIRST: i32 = 3;

/// The end of the descriptors to check if they cannot be listed. Inherited ones have low numbers.
const UNLISTED: i32 = 256;

/// Sets the close-on-exec flag of all descriptors of this process.
///
/// Rust sets it on all files that it opens. Inherited descriptors (a shell's redirections, a service manager's sockets)
/// may lack it, and so may files that a C library opens. Programs could read, write or accept on them.
pub(crate) fn close_on_exec() {
    let open: Vec<i32> = match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect(),
        // For example, because there is no /proc.
        Err(_) => (FIRST..UNLISTED).collect(),
    };
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= FIRST) {
        let Ok(flags) = fcntl(descriptor, FcntlArg::F_GETFD) else {
            // Closed by now, such as the descriptor of the directory.
            continue;
        };
        let flags = FdFlag::from_bits_retain(flags);
        if flags.contains(FdFlag::FD_CLOEXEC) {
            continue;
        }
        let set = fcntl(descriptor, FcntlArg::F_SETFD(flags | FdFlag::FD_CLOEXEC));
        if let Err(error) = set {
            tracing::warn!(
                "Cannot prevent programs from inheriting descriptor {descriptor}: {error}"
            );
        }
    }
}
