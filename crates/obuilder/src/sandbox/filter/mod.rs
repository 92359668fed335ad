//! Which system calls a command may make: the filter that the kernel asks before it looks at a call.
//!
//! Capabilities and namespaces decide what a call may do; the filter decides whether the kernel's code for it runs at all.
//! A step has one unless somebody says otherwise. What is in it is data, in the format of Docker's profiles: ours is
//! `default.json`, and any other can take its place.

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

/// What every command is held to that is given no other profile.
const DEFAULT: &str = include_str!("default.json");

/// As much of a profile as is read, in bytes. Docker's has 17 KB.
const LONGEST: u64 = 1 << 20;

/// The filter that commands run with.
#[derive(Debug, Clone, Default)]
pub struct Filter(Kind);

#[derive(Debug, Clone, Default)]
enum Kind {
    /// Ours.
    #[default]
    Default,
    /// Ours, and no calls but those of the machine's own architecture.
    Native,
    /// None: capabilities and namespaces have to do.
    None,
    /// Somebody's.
    File(Arc<Profile>),
}

/// Why a filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Its file cannot be read.
    #[error("cannot read the seccomp profile {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file makes no sense.
    #[error(
        "cannot use the seccomp profile {path:?}: {why}; it has the format of Docker's profiles"
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What a filter depends on besides the profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// The machine's architecture.
    pub(super) architecture: Architecture,
    /// The kernel's version: its first two numbers.
    pub(super) kernel: (u32, u32),
}

impl Machine {
    /// Returns the one that this program runs on, if there can be a filter on it.
    pub(super) fn this() -> Option<Self> {
        let name = rustix::system::uname();
        Some(Self {
            architecture: Architecture::this()?,
            kernel: profile::version(&name.release().to_string_lossy()).unwrap_or_default(),
        })
    }
}

impl Filter {
    /// The filter of those who name none.
    pub const DEFAULT: &str = "default";

    /// Returns the filter called `name`: `default`, `native`, `none`, or the file with a profile.
    ///
    /// `native` is the default without the calls of other architectures: 32-bit programs do not run, which can otherwise
    /// make sockets of every kind.
    ///
    /// # Errors
    /// When the file cannot be read, or is no profile.
    pub fn named(name: &OsStr) -> Result<Self, FilterError> {
        Ok(Self(match name.to_str() {
            Some(Self::DEFAULT) => Kind::Default,
            Some("native") => Kind::Native,
            Some("none") => Kind::None,
            _ => Kind::File(Arc::new(read(Path::new(name))?)),
        }))
    }

    /// Returns what a runtime is told: the rules for a command with these capabilities, or `None` when there is to be no
    /// filter.
    ///
    /// With `fast_sync`, calls that wait for a disk do nothing and succeed.
    ///
    /// # Errors
    /// When the profile cannot be had on this machine: why.
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
                "cannot filter system calls on {}: this architecture's calls are not known; allow all calls with --seccomp=none \
                 (a worker: --obuilder-seccomp=none)",
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

/// Returns what a runtime is told of a profile, for a command without capabilities on x86_64 with a kernel 6.1: for a fuzzer.
///
/// # Errors
/// When it is none: what is wrong.
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

/// Returns the numbers of an architecture's calls, by the names that rules have for them.
///
/// `None` for an architecture that no filter is made for.
pub(super) fn numbers(architecture: oci::Arch) -> Option<HashMap<&'static str, u32>> {
    Some(Architecture::of(architecture)?.numbers())
}

/// Returns our own profile.
fn default() -> Result<&'static Profile, String> {
    static READ: OnceLock<Result<Profile, String>> = OnceLock::new();
    let read = READ.get_or_init(|| Profile::parse(DEFAULT.as_bytes()));
    read.as_ref().map_err(String::clone)
}

/// Returns the rules of a profile for a machine of this architecture, with none of the capabilities.
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
