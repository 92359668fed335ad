//! The three things asked of the kernel for which there is no safe interface.
#![expect(
    unsafe_code,
    reason = "no crate offers a seccomp filter for several architectures that leaves sudo usable, nor signal dispositions without it"
)]

use std::io;

/// Puts SIGPIPE back to what it is for every program but those written in Rust.
pub(super) fn heed_broken_pipes() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
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

/// The calls that wait for a disk, by their numbers: on this architecture, and on those whose programs it runs as well.
///
/// In the order `fsync`, `fdatasync`, `msync`, `sync`, `syncfs`, `sync_file_range`.
#[cfg(target_arch = "x86_64")]
const SYNC_CALLS: [(u32, &[u32]); 2] = [
    // With the numbers of x32, which has those of x86_64 with a bit set.
    (
        0xc000_003e,
        &[
            74,
            75,
            26,
            162,
            306,
            277,
            0x4000_004a,
            0x4000_004b,
            0x4000_001a,
            0x4000_00a2,
            0x4000_0132,
            0x4000_0115,
        ],
    ),
    (0x4000_0003, &[118, 148, 144, 36, 344, 314]),
];
#[cfg(target_arch = "aarch64")]
const SYNC_CALLS: [(u32, &[u32]); 2] = [
    (0xc000_00b7, &[82, 83, 227, 81, 267, 84]),
    (0x4000_0028, &[118, 148, 144, 36, 373, 341]),
];
/// Elsewhere they wait: nothing is wrong but the time it takes.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const SYNC_CALLS: [(u32, &[u32]); 0] = [];

/// Offsets into what a filter sees: the call's number, and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Makes the calls that wait for a disk do nothing and succeed, in this process and all that it starts.
pub(super) fn skip_syncs() -> io::Result<()> {
    let mut program = filter(&SYNC_CALLS);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives until then and is as long as it says. Without
    // PR_SET_NO_NEW_PRIVS this takes CAP_SYS_ADMIN, which we have, and `sudo` goes on working.
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

/// Returns a filter that answers some calls with success, and lets all others through.
fn filter(calls: &[(u32, &[u32])]) -> Vec<libc::sock_filter> {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = vec![instruction(load, ARCHITECTURE, 0)];
    for (architecture, numbers) in calls {
        // If it is another one: past the loading, two for each call, and the end.
        let past = u8::try_from(2 + 2 * numbers.len()).unwrap_or(u8::MAX);
        program.push(instruction(equal, *architecture, past));
        program.push(instruction(load, NUMBER, 0));
        for number in *numbers {
            program.push(instruction(equal, *number, 1));
            program.push(instruction(answer, libc::SECCOMP_RET_ERRNO, 0));
        }
        program.push(instruction(answer, libc::SECCOMP_RET_ALLOW, 0));
    }
    program.push(instruction(answer, libc::SECCOMP_RET_ALLOW, 0));
    program
}

/// Returns an instruction that, if it compares, skips `otherwise` instructions when the two are not equal.
fn instruction(code: u32, value: u32, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf: otherwise,
        k: value,
    }
}
