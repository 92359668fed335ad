//! The program of the healthcheck: an ELF file with some forty bytes of code, so that it needs neither an image nor a
//! libc.
//!
//! It writes `healthcheck` and a newline to its standard output, and exits with 0, or with 1 if that fails.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bstr::BString;

use crate::StepId;

/// What the program prints.
pub(super) const WORD: &str = "healthcheck";

/// A program that prints [`WORD`], and how to call it.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Its path in the image.
    path: &'static str,
    /// The words before the command [`WORD`].
    pub(super) shell: Vec<BString>,
    content: Vec<u8>,
}

impl Program {
    /// Returns one for this machine.
    pub(super) fn here() -> Result<Self, NoProgram> {
        let own = match std::env::consts::ARCH {
            "x86_64" => Some(x86_64()),
            "aarch64" => Some(aarch64()),
            _ => None,
        };
        let shell = |words: &[&str]| words.iter().copied().map(BString::from).collect();
        if let Some(content) = own {
            return Ok(Self {
                path: "healthcheck",
                shell: shell(&["/healthcheck"]),
                content,
            });
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"];
        let found = busybox.iter().find_map(|path| fs::read(path).ok());
        let content = found.ok_or(NoProgram { path: busybox[0] })?;
        Ok(Self {
            path: "busybox",
            shell: shell(&["/busybox", "echo"]),
            content,
        })
    }

    /// Returns the id of the base image that has nothing else in it.
    pub(super) fn base_id(&self) -> StepId {
        let text = format!("ocluster healthcheck base {}", StepId::of(&self.content));
        StepId::of(text.as_bytes())
    }

    /// Puts it into an empty root filesystem.
    pub(super) fn install(&self, rootfs: &Path) -> Result<(), InstallError> {
        let path = rootfs.join(self.path);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(&self.content));
        written.map_err(|source| InstallError { path, source })
    }
}

/// This machine has no program that a healthcheck could run.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot find a program to run on {}: install a statically linked busybox as {path}",
    std::env::consts::ARCH
)]
pub(super) struct NoProgram {
    path: &'static str,
}

/// The program could not be put into the image.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path:?}: {source}")]
pub(super) struct InstallError {
    path: PathBuf,
    source: io::Error,
}

/// What it prints.
const MESSAGE: &[u8] = b"healthcheck\n";

/// Where it is loaded: where linkers put programs of fixed address.
const ADDRESS: u64 = 0x40_0000;

/// The largest pages of either architecture.
const PAGE: u64 = 0x1_0000;

/// The size of an ELF header and of one program header.
const HEADERS: u64 = 64 + 56;

/// Returns the program for x86-64.
fn x86_64() -> Vec<u8> {
    const MACHINE: u16 = 62;
    #[rustfmt::skip]
    const CODE: &[u8] = &[
        0xb8, 1, 0, 0, 0,                // mov  eax, 1          write
        0xbf, 1, 0, 0, 0,                // mov  edi, 1          standard output
        0x48, 0x8d, 0x35, 25, 0, 0, 0,   // lea  rsi, [rip+25]   MESSAGE, behind the code
        0xba, 12, 0, 0, 0,               // mov  edx, 12         its length
        0x0f, 0x05,                      // syscall
        0x31, 0xff,                      // xor  edi, edi
        0x83, 0xf8, 12,                  // cmp  eax, 12
        0x40, 0x0f, 0x95, 0xc7,          // setne dil            1 unless all was written
        0xb8, 60, 0, 0, 0,               // mov  eax, 60         exit
        0x0f, 0x05,                      // syscall
        0xf4, 0xf4,                      // hlt                  never reached
    ];
    program(MACHINE, CODE)
}

/// Returns the program for AArch64.
fn aarch64() -> Vec<u8> {
    const MACHINE: u16 = 183;
    const CODE: [u32; 10] = [
        0xd280_0020, // mov  x0, 1        standard output
        0x1000_0121, // adr  x1, .+36     MESSAGE, behind the code
        0xd280_0182, // mov  x2, 12       its length
        0xd280_0808, // mov  x8, 64       write
        0xd400_0001, // svc  0
        0xf100_301f, // cmp  x0, 12
        0x9a9f_07e0, // cset x0, ne       1 unless all was written
        0xd280_0ba8, // mov  x8, 93       exit
        0xd400_0001, // svc  0
        0xd420_0000, // brk  0            never reached
    ];
    program(MACHINE, CODE.map(u32::to_le_bytes).as_flattened())
}

/// Returns an executable for a little-endian machine of 64 bits that consists of `code` and [`MESSAGE`].
fn program(machine: u16, code: &[u8]) -> Vec<u8> {
    let size = HEADERS + (code.len() + MESSAGE.len()) as u64;
    let mut file = Vec::new();
    // The ELF header: 64 bits, little-endian, version 1, System V.
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(&2_u16.to_le_bytes()); // An executable
    put(&machine.to_le_bytes());
    put(&1_u32.to_le_bytes()); // Version
    put(&(ADDRESS + HEADERS).to_le_bytes()); // Entry
    put(&64_u64.to_le_bytes()); // Offset of the program headers
    put(&0_u64.to_le_bytes()); // No sections
    put(&0_u32.to_le_bytes()); // Flags
    // The sizes of this header and of a program header, one of those; the size and number of sections, and their names.
    for half in [64_u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // The program header: the whole file, to be read and executed.
    put(&1_u32.to_le_bytes()); // To be loaded
    put(&5_u32.to_le_bytes()); // Readable and executable
    // Offset, address, physical address, size in the file and in memory, alignment.
    for word in [0, ADDRESS, ADDRESS, size, size, PAGE] {
        put(&word.to_le_bytes());
    }
    put(code);
    put(MESSAGE);
    file
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "aarch64")]
    use super::aarch64 as here;
    #[cfg(target_arch = "x86_64")]
    use super::x86_64 as here;

    #[test]
    fn the_message_is_behind_the_code() {
        assert_eq!(super::x86_64().len(), 120 + 42 + 12);
        assert_eq!(super::aarch64().len(), 120 + 40 + 12);
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn the_program_prints_a_word() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("healthcheck");
        std::fs::write(&path, here()).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let output = std::process::Command::new(&path).output().unwrap();
        assert_eq!(output.stdout, b"healthcheck\n");
        assert_eq!(output.status.code(), Some(0));
        let full = std::fs::File::create("/dev/full").unwrap();
        let status = std::process::Command::new(&path).stdout(full).status();
        assert_eq!(status.unwrap().code(), Some(1));
    }
}
