//! What is asked of the kernel for which there is no safe interface.
#![expect(
    unsafe_code,
    reason = "no crate offers to install a seccomp filter that leaves sudo usable, nor signal dispositions, keyrings and processes in a \
              control group without it"
)]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::Pid;

/// Puts all signals back to their defaults: this program ignores broken pipes, and whoever started it may ignore others, as a
/// shell does for what it starts in the background.
pub(super) fn reset_signals() {
    for signal in 1..=libc::SIGSYS {
        // SAFETY: the default disposition runs no code of ours. Those that cannot be changed stay as they are.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Leaves the keys of whoever started us behind, such as those of an encrypted home: no namespace keeps them apart.
pub(super) fn join_new_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name, the kernel reads nothing of ours.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, no_name) };
    if joined >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // There are no keys in this kernel, or not for us: then a command gets at none either.
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Has the kernel ask `program` before every system call of this process, and of all that it starts. There is no way back.
///
/// Without `PR_SET_NO_NEW_PRIVS` this takes `CAP_SYS_ADMIN`, and `sudo` goes on working.
pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which outlives the call and is as long as it says.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0_u64,
            &raw const program,
        )
    };
    match installed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Which of two processes this is.
pub(super) enum Fork {
    /// The one that was there before: the copy has this process id.
    Original(Pid),
    Copy,
}

/// Makes a copy of this process, which has a single thread, in the control group of the second version whose directory this is.
///
/// # Errors
/// When the kernel cannot: older than 5.7, or the group cannot have processes.
pub(super) fn fork_into(group: &OwnedFd) -> io::Result<Fork> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    // SAFETY: a `clone_args` may be all zeroes: each field says "nothing of that kind".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = u64::try_from(group.as_raw_fd()).map_err(io::Error::other)?;
    args.exit_signal = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    // SAFETY: without `CLONE_VM` and a stack this is a fork, and there is no other thread that could hold a lock of the C library
    // in the copy.
    let made = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match i32::try_from(made) {
        Ok(made) if made >= 0 => Ok(Pid::from_raw(made).map_or(Fork::Copy, Fork::Original)),
        _ => Err(io::Error::last_os_error()),
    }
}
