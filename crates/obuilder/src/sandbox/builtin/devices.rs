//! Restricts a container to the devices that every container has, whatever nodes it creates.
//!
//! With cgroups of the first version, that is a list in a file. With the second version, it is a small BPF program,
//! which is assembled here by hand.
#![expect(
    unsafe_code,
    reason = "no crate loads a program into the kernel without a C library beside it"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

/// The character devices that may be used: null, zero, full, random and urandom; tty, console and ptmx.
const ALLOWED: [(i32, &[i32]); 2] = [(1, &[3, 5, 7, 8, 9]), (5, &[0, 1, 2])];
/// The terminals themselves.
const PTS: i32 = 136;

const CHARACTER_DEVICE: i32 = 2;
/// The access to create a node, but not to open it.
const MAKE: i32 = 1;

// From the kernel's linux/bpf.h.
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const SHIFT_RIGHT: u8 = 0x77;
const AND: u8 = 0x57;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// An instruction in the kernel's format.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// The destination in the lower half, the source in the upper.
    registers: u8,
    offset: i16,
    value: i32,
}

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Restricts a cgroup of the first version to the allowed devices.
pub(super) fn restrict_first_version(cgroup: &Path) -> io::Result<()> {
    std::fs::write(cgroup.join("devices.deny"), "a")?;
    // Any node may be created, but not opened.
    let mut allowed = vec![
        "c *:* m".to_owned(),
        "b *:* m".to_owned(),
        format!("c {PTS}:* rwm"),
    ];
    for (major, minors) in ALLOWED {
        allowed.extend(minors.iter().map(|minor| format!("c {major}:{minor} rwm")));
    }
    for line in allowed {
        // The file takes one at a time.
        std::fs::write(cgroup.join("devices.allow"), line)?;
    }
    Ok(())
}

/// Restricts a cgroup of the second version to the allowed devices.
pub(super) fn restrict(cgroup: &Path) -> io::Result<()> {
    let cgroup = File::open(cgroup)?;
    let program = load(&program())?;
    let raw = |fd: i32| u32::try_from(fd).map_err(io::Error::other);
    let attach = Attach {
        cgroup: raw(cgroup.as_raw_fd())?,
        program: raw(program.as_raw_fd())?,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: the kernel reads a structure of the given size.
    let attached = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            &raw const attach,
            size_of::<Attach>(),
        )
    };
    match attached {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"MIT";
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads a structure of the given size, and its pointers, whose targets outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just created it for this process.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the program. Its context is three words: kind and access in one, major, and minor. It returns whether to
/// allow.
fn program() -> Vec<Instruction> {
    let instruction = |code, registers, offset, value| Instruction {
        code,
        registers,
        offset,
        value,
    };
    let (deny, allow) = (instruction(MOVE, 0, 0, 0), instruction(MOVE, 0, 0, 1));
    let exit = instruction(EXIT, 0, 0, 0);
    let mut program = vec![
        // r2 = kind, r3 = major, r4 = minor, r5 = access.
        instruction(LOAD_WORD, 0x12, 0, 0),
        instruction(LOAD_WORD, 0x13, 4, 0),
        instruction(LOAD_WORD, 0x14, 8, 0),
        instruction(MOVE_REGISTER, 0x25, 0, 0),
        instruction(SHIFT_RIGHT, 0x05, 0, 16),
        instruction(AND, 0x02, 0, 0xffff),
        instruction(JUMP_IF_NOT_EQUAL, 0x05, 2, MAKE),
        allow,
        exit,
        instruction(JUMP_IF_EQUAL, 0x02, 2, CHARACTER_DEVICE),
        deny,
        exit,
        instruction(JUMP_IF_NOT_EQUAL, 0x03, 2, PTS),
        allow,
        exit,
    ];
    for (major, minors) in ALLOWED {
        for minor in minors {
            program.extend([
                instruction(JUMP_IF_NOT_EQUAL, 0x03, 3, major),
                instruction(JUMP_IF_NOT_EQUAL, 0x04, 2, *minor),
                allow,
                exit,
            ]);
        }
    }
    program.extend([deny, exit]);
    program
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// The program works with the second version alone and beside the first.
    #[test]
    fn only_the_allowed_devices_open() {
        let name = "only_the_allowed_devices_open";
        let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .map(Path::new)
            .into_iter()
            .find(|root| root.join("cgroup.controllers").exists());
        let Some(root) = root.filter(|_| rig::is_root()) else {
            return rig::report_not_run(name, "root, and cgroups of the second version");
        };
        let cgroup = root.join(format!("obuilder-test-{}", std::process::id()));
        fs::create_dir(&cgroup).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let restricted = restrict(&cgroup);
        let script = "echo $$ > $0/cgroup.procs && mknod $1/null c 1 3 && mknod $1/kmsg c 1 11 && \
                      mknod $1/mem c 1 1 && cat $1/null && echo null && cat /dev/tty; \
                      head -c 1 $1/kmsg; head -c 1 $1/mem";
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(&cgroup)
            .arg(dir.path())
            .output();
        fs::remove_dir(&cgroup).unwrap();
        restricted.unwrap();
        let output = output.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.stdout, b"null\n", "{stderr}");
        assert_eq!(
            stderr
                .matches("kmsg' for reading: Operation not permitted")
                .count(),
            1,
            "{stderr}"
        );
        assert_eq!(
            stderr
                .matches("mem' for reading: Operation not permitted")
                .count(),
            1,
            "{stderr}"
        );
    }
}
