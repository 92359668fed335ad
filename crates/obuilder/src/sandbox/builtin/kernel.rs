//! System calls without a safe interface.
#![expect(
    unsafe_code,
    reason = "no crate has safe calls for seccomp filters with which sudo works, signal dispositions, keyrings and \
              forks into a control group"
)]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::Pid;

/// Resets all signals to their defaults: this program ignores broken pipes, and its parent may ignore others, as a
/// shell does for background programs.
pub(super) fn reset_signals() {
    for signal in 1..=libc::SIGSYS {
        // SAFETY: the default disposition runs no code of ours. Signals that cannot be changed stay the same.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Leaves the session keyring of the parent process, which may have keys such as those of an encrypted home: namespaces
/// do not separate keyrings.
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
        // This kernel has no keyrings, or does not permit them: then a command has no access either.
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Makes the kernel run `program` before every system call of this process and its children. This cannot be undone.
///
/// Without `PR_SET_NO_NEW_PRIVS` this needs `CAP_SYS_ADMIN`, and `sudo` still works.
pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which outlives the call and has the given length.
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

/// One of two processes after a fork.
pub(super) enum Fork {
    /// The original: the copy has this process id.
    Original(Pid),
    Copy,
}

/// Forks this process, which has a single thread, into the control group of the second version with this directory.
///
/// # Errors
/// If the kernel is older than 5.7, or the group cannot have processes.
pub(super) fn fork_into(group: &OwnedFd) -> io::Result<Fork> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    // SAFETY: a `clone_args` may be all zeroes: each field then has no effect.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = u64::try_from(group.as_raw_fd()).map_err(io::Error::other)?;
    args.exit_signal = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    // SAFETY: without `CLONE_VM` and a stack this is a fork, and no other thread could hold a lock of the C
    // library in the copy.
    let made = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match i32::try_from(made) {
        Ok(made) if made >= 0 => Ok(Pid::from_raw(made).map_or(Fork::Copy, Fork::Original)),
        _ => Err(io::Error::last_os_error()),
    }
}
