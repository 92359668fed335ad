//! Keeps what the worker has open from the programs that it starts.

use std::fs;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first descriptor that is not a standard one.
const FIRST: i32 = 3;

/// The highest descriptor to check where they cannot be listed: inherited ones have low numbers.
const UNLISTED: i32 = 256;

/// Makes the descriptors of this process end where another program begins.
///
/// All that Rust opens is so already. What the worker was started with is not (a shell's redirections, a service
/// manager's sockets), nor is all that a library in C opens; and a program could read, write or accept what they are.
pub(crate) fn keep() {
    let open: Vec<i32> = match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect(),
        // Where there is no /proc, say.
        Err(_) => (FIRST..UNLISTED).collect(),
    };
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= FIRST) {
        let Ok(flags) = fcntl(descriptor, FcntlArg::F_GETFD) else {
            // Closed by now, as the one is that the directory was read by.
            continue;
        };
        let flags = FdFlag::from_bits_retain(flags);
        if flags.contains(FdFlag::FD_CLOEXEC) {
            continue;
        }
        let kept = fcntl(descriptor, FcntlArg::F_SETFD(flags | FdFlag::FD_CLOEXEC));
        if let Err(error) = kept {
            tracing::warn!("Cannot keep descriptor {descriptor} from programs: {error}");
        }
    }
}
