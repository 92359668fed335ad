//! The built-in runtime: a copy of this program that makes one container, with youki's library, and waits for it.
//!
//! Making a container needs a fork, which is safe only in a process with a single thread. So a process of its own does
//! it. It is started from a read-only copy of this program in memory: otherwise a command could open the program
//! through `/proc/self/exe` and change it on the machine's disk (CVE-2019-5736).
//!
//! That process and its container end when this process exits, in any way.

mod bpf;
mod devices;
mod entering;
mod executor;
mod finishing;
mod helper;
mod hierarchies;
mod home;
mod kernel;
mod terminal;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use self::entering::Maker;
use super::bundle::Bundle;
use super::stdio::Input;
use super::{Exit, SandboxError};

/// The first argument of the process that makes a container.
const ASKED: &str = "obuilder-make-one-container";

/// How the command ended, as reported by the process that made its container.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Report {
    Exit(i32),
    Signal(i32),
    /// It was not started: the reason.
    Failed(String),
}

/// Makes a container, if this process was started for that: then `main` must return this exit code.
///
/// A program that uses [`Runtime::Builtin`](super::Runtime::Builtin) must call this first, before it
/// starts a second thread.
#[expect(
    clippy::disallowed_methods,
    reason = "the helper process of a container is a program of its own"
)]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ASKED {
        return None;
    }
    let (input, bundle, id) = (args.next()?, args.next()?, args.next()?);
    let inbox = args.next()?;
    let input = match input.to_str()? {
        "empty" => Input::Empty,
        "inherited" => Input::Inherited,
        _ => Input::Terminal,
    };
    let (bundle, id) = (Path::new(&bundle), id.to_str()?);
    let report = match entering::start(bundle, input) {
        Ok(Maker::Copy(copy)) => match entering::wait(copy) {
            Ok(None) => return Some(ExitCode::SUCCESS),
            Ok(Some(signal)) => Err(format!(
                "the process that makes the container was killed by signal {signal}"
            )),
            Err(error) => Err(format!(
                "cannot wait for the process that makes the container: {error}"
            )),
        },
        Ok(Maker::Here(entrance)) => helper::run(bundle, id, input, &entrance),
        Err(error) => Err(format!("cannot enter the control groups: {error}")),
    };
    let report = report.unwrap_or_else(Report::Failed);
    let written = serde_json::to_vec(&report)
        .map_err(io::Error::from)
        .and_then(|report| fs::write(inbox, report));
    // Without a report, the other process reports an error.
    Some(if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The file for the report of the process that makes a container. In memory, because the command may have filled the
/// disk.
#[derive(Debug)]
pub(super) struct ReportFile(fs::File);

impl ReportFile {
    pub(super) fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create(c"obuilder-report", MemfdFlags::CLOEXEC)?;
        Ok(Self(memory.into()))
    }

    /// Returns the last argument of that process, after those of [`run_args`].
    pub(super) fn path(&self) -> PathBuf {
        let (process, fd) = (std::process::id(), self.0.as_raw_fd());
        format!("/proc/{process}/fd/{fd}").into()
    }

    fn report(&self) -> Option<Report> {
        let (mut file, mut report) = (&self.0, Vec::new());
        file.rewind().ok()?;
        file.read_to_end(&mut report).ok()?;
        serde_json::from_slice(&report).ok()
    }
}

/// Returns the arguments that make a program run the container of `bundle`.
pub(super) fn run_args(bundle: &Bundle, input: Input) -> Vec<OsString> {
    let input = match input {
        Input::Empty => "empty",
        Input::Inherited => "inherited",
        Input::Terminal => "terminal",
    };
    vec![
        ASKED.into(),
        input.into(),
        bundle.dir().into(),
        bundle.id().into(),
    ]
}

/// Returns how the command ended.
pub(super) fn outcome(inbox: &ReportFile, status: ExitStatus) -> Result<Exit, SandboxError> {
    match (inbox.report(), status.signal()) {
        (Some(Report::Exit(status)), _) => Ok(Exit::Status(status)),
        (Some(Report::Signal(signal)), _) => Ok(Exit::Signal(signal)),
        (Some(Report::Failed(why)), _) => Err(SandboxError::NotStarted(format!(
            "the built-in runtime cannot start the command: {why}"
        ))),
        (None, Some(signal)) => Err(SandboxError::NotStarted(format!(
            "the built-in runtime was killed by signal {signal}"
        ))),
        (None, None) => Err(SandboxError::NotStarted(format!(
            "the built-in runtime exited with status {} and no report; the program must call run_if_asked first",
            status.code().unwrap_or_default()
        ))),
    }
}

/// Returns a read-only copy of a program in memory.
pub(super) fn sealed(program: &Path) -> io::Result<OwnedFd> {
    let name = c"obuilder-sandbox";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // Kernels before 6.3 do not have this flag: their files in memory can always be run.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        memory => memory?,
    };
    let mut memory = fs::File::from(memory);
    let mut program = fs::File::open(program)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = program.read(&mut buffer)?;
        match buffer.get(..length) {
            Some([]) | None => break,
            Some(bytes) => memory.write_all(bytes)?,
        }
    }
    // Not `WRITE`, which also covers earlier mappings, and sometimes fails while the kernel still uses the pages.
    // There are no mappings.
    let seals = SealFlags::FUTURE_WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    // A file that is open for writing cannot be run.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(
        path_of_fd(memory.as_raw_fd()),
        flags,
        Mode::empty(),
    )?)
}

/// Returns a path from which a child process can start a program.
pub(super) fn path_of(program: &OwnedFd) -> PathBuf {
    path_of_fd(program.as_raw_fd())
}

fn path_of_fd(fd: i32) -> PathBuf {
    format!("/proc/self/fd/{fd}").into()
}

/// Compiles rules to a program for the kernel, for a fuzzer. Each instruction is its code, its two jumps and its value.
///
/// # Errors
/// If the rules are not supported: the reason.
#[doc(hidden)]
pub fn compiled_filter(
    rules: &oci_spec::runtime::LinuxSeccomp,
) -> Result<Vec<(u16, u8, u8, u32)>, String> {
    let program = bpf::compile(rules)?;
    let parts = |one: libc::sock_filter| (one.code, one.jt, one.jf, one.k);
    Ok(program.into_iter().map(parts).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn the_sealed_program_is_read_only() {
        let program = std::env::current_exe().unwrap();
        let sealed = sealed(&program).unwrap();
        let path = path_of(&sealed);
        assert!(fs::read(&path).unwrap() == fs::read(program).unwrap());
        let changed = OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"#!"));
        assert_eq!(changed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(
            OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&path)
                .is_err()
        );
    }
}
