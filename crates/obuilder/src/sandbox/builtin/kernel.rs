//! The three things asked of the kernel for which there is no safe interface.
#![expect(
    unsafe_code,
    reason = "no crate offers to install a seccomp filter that leaves sudo usable, nor signal dispositions and keyrings without it"
)]

use std::io;

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
