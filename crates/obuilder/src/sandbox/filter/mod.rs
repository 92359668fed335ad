//! The seccomp filter of a command: the system calls that the kernel permits.
//!
//! Capabilities and namespaces decide what a call may do; the filter decides whether the kernel's code for it runs at
//! all. A step has a filter unless the operator turns it off. Its rules are data, in the format of Docker's profiles:
//! ours is `default.json`, and any other can replace it.

mod calls;
mod profile;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use oci_spec::runtime::{self as oci, Capability, LinuxSeccomp};

pub(super) use self::calls::Architecture;
use self::profile::Profile;

/// The default profile.
const DEFAULT: &str = include_str!("default.json");

/// The largest profile, in bytes. Docker's has 17 KB.
const LONGEST: u64 = 1 << 20;

/// The filter that commands run with.
#[derive(Debug, Clone, Default)]
pub struct Filter(Kind);

#[derive(Debug, Clone, Default)]
enum Kind {
    /// The default profile.
    #[default]
    Default,
    /// The default profile, with calls of the machine's own architecture only.
    Native,
    /// None: only capabilities and namespaces restrict commands.
    None,
    /// A profile of the operator's.
    File(Arc<Profile>),
}

/// Why a filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Its file cannot be read.
    #[error("cannot read the seccomp profile {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file is not a profile.
    #[error(
        "cannot use the seccomp profile {}: {why}; write it in the format of Docker's profiles",
        .path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The machine for which a filter is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// The machine's architecture.
    pub(super) architecture: Architecture,
    /// The kernel's version: its first two numbers.
    pub(super) kernel: (u32, u32),
}

impl Machine {
    /// Returns this machine, if filters are supported on it.
    pub(super) fn this() -> Option<Self> {
        let name = rustix::system::uname();
        Some(Self {
            architecture: Architecture::this()?,
            kernel: profile::version(&name.release().to_string_lossy()).unwrap_or_default(),
        })
    }
}

impl Filter {
    /// The name of the default filter.
    pub const DEFAULT: &str = "default";

    /// Returns the filter with the name `name`: `default`, `native`, `none`, or the file of a profile.
    ///
    /// `native` is the default without calls of other architectures. 32-bit programs, which can otherwise create
    /// sockets of every kind, do not run.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a profile.
    pub fn named(name: &OsStr) -> Result<Self, FilterError> {
        Ok(Self(match name.to_str() {
            Some(Self::DEFAULT) => Kind::Default,
            Some("native") => Kind::Native,
            Some("none") => Kind::None,
            _ => Kind::File(Arc::new(read(Path::new(name))?)),
        }))
    }

    /// Returns the rules for a command with these capabilities, for a runtime. `None` for no filter.
    ///
    /// With `fast_sync`, calls that wait for a disk do nothing and succeed.
    ///
    /// # Errors
    /// If the profile is not supported on this machine: the reason.
    pub(super) fn rules(
        &self,
        capabilities: &[Capability],
        machine: Option<Machine>,
        fast_sync: bool,
    ) -> Result<Option<LinuxSeccomp>, String> {
        let all;
        let profile = match &self.0 {
            Kind::None if !fast_sync => return Ok(None),
            Kind::None => {
                all = Profile::all_allowed();
                &all
            }
            Kind::Default | Kind::Native => default()?,
            Kind::File(profile) => profile,
        };
        let machine = machine.ok_or_else(|| {
            format!(
                "cannot filter system calls on {}: this architecture is not supported; allow all calls with \
                 --seccomp=none (a worker: --obuilder-seccomp=none)",
                std::env::consts::ARCH
            )
        })?;
        let only_native = matches!(self.0, Kind::Native);
        profile
            .rules(capabilities, machine, only_native, fast_sync)
            .map(Some)
            .map_err(|error: oci_spec::OciSpecError| error.to_string())
    }
}

fn read(path: &Path) -> Result<Profile, FilterError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|source| FilterError::Read {
            path: path.to_owned(),
            source,
        })?;
    let invalid = |why: String| FilterError::Invalid {
        path: path.to_owned(),
        why,
    };
    if bytes.len() as u64 > LONGEST {
        return Err(invalid(format!("it has more than {LONGEST} bytes")));
    }
    Profile::parse(&bytes).map_err(invalid)
}

/// Returns the rules of a profile for a command without capabilities on x86_64 with kernel 6.1, for a fuzzer.
///
/// # Errors
/// If it is not a profile: the reason.
pub fn rules_of(
    profile: &[u8],
    only_native: bool,
    fast_sync: bool,
) -> Result<LinuxSeccomp, String> {
    let machine = Machine {
        architecture: Architecture::X86_64,
        kernel: (6, 1),
    };
    Profile::parse(profile)?
        .rules(&[], machine, only_native, fast_sync)
        .map_err(|error| error.to_string())
}

/// Returns the numbers of an architecture's calls, by their names in rules. `None` for an architecture without filters.
pub(super) fn numbers(architecture: oci::Arch) -> Option<HashMap<&'static str, u32>> {
    Some(Architecture::of(architecture)?.numbers())
}

/// Returns the default profile.
fn default() -> Result<&'static Profile, String> {
    static READ: OnceLock<Result<Profile, String>> = OnceLock::new();
    let read = READ.get_or_init(|| Profile::parse(DEFAULT.as_bytes()));
    read.as_ref().map_err(String::clone)
}

/// Returns the rules of a profile for a machine of this architecture, without capabilities.
#[cfg(test)]
pub(super) fn for_test(profile: &str, architecture: Architecture) -> LinuxSeccomp {
    let machine = Machine {
        architecture,
        kernel: (6, 1),
    };
    let profile = Profile::parse(profile.as_bytes()).unwrap();
    profile.rules(&[], machine, false, false).unwrap()
}

#[cfg(test)]
mod tests;
