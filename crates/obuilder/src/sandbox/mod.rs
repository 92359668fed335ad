//! Runs commands in containers.
//!
//! There is one sandbox, [`OciSandbox`], and two ways to make its containers: a runtime that is a program of its own,
//! or the [built-in one](builtin), which is faster. `config` has the settings of a container, `bundle` its private
//! files, and `container` runs it to its end.

pub mod builtin;
mod bundle;
mod capabilities;
mod cleanup;
mod config;
mod container;
mod error;
mod failure;
mod filter;
pub(crate) mod fuzzing;
mod groups;
mod limit;
mod mount_points;
mod network;
mod oci;
mod options;
mod outbound;
mod runtime;
mod stdio;
mod targets;

use std::fmt;
use std::path::{Path, PathBuf};

use bstr::BString;
use futures::future::LocalBoxFuture;
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

pub use self::capabilities::{StepCapabilities, UnknownCapabilities};
pub use self::cleanup::cleanup;
pub use self::error::SandboxError;
pub use self::filter::{Filter, FilterError};
pub use self::limit::LimitReached;
pub use self::network::{StepNetwork, UnknownNetwork};
pub use self::oci::OciSandbox;
pub use self::options::SandboxOptions;
pub use self::runtime::Runtime;
use crate::Sink;

/// Runs one command in a root filesystem, isolated from the rest of the machine.
pub trait Sandbox {
    /// Returns the shell of a build without a `shell` op.
    fn default_shell(&self) -> Vec<BString> {
        ["/usr/bin/env", "bash", "-c"].map(BString::from).into()
    }

    /// Runs a command with an empty standard input, passes its output to `output`, and waits for it.
    ///
    /// When `cancel` fires, all processes of the container are killed before this returns [`SandboxError::Cancelled`].
    fn run<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>>;

    /// Runs a command on the terminal of this process: standard input, output and error are passed on as they are.
    fn interact<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>>;
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<BString>,
    /// The working directory. Created if it is missing.
    pub cwd: BString,
    /// The user that runs it.
    pub user: User,
    /// Its whole environment, in order.
    pub env: Vec<(BString, BString)>,
    /// Its network.
    pub network: Network,
    /// Its secrets.
    pub secrets: Vec<SecretFile>,
    /// The directories that are mounted for it.
    pub mounts: Vec<Mount>,
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A loopback interface of its own, and nothing else.
    None,
    /// The machine's.
    Host,
}

impl Network {
    /// Returns the words of `(network …)` for this network.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Host => &["host"],
        }
    }
}

/// A secret as a file.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Its content.
    pub value: Vec<u8>,
    /// Its path in the container.
    pub target: BString,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({:?}, hidden)", self.target)
    }
}

/// A directory of the machine that is mounted for a command, writable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path on the machine.
    pub source: PathBuf,
    /// Its path in the container.
    pub target: BString,
}

/// How a command exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// Killed by this signal.
    Signal(i32),
}

impl Exit {
    /// Returns the exit code; `None` if a signal killed the command.
    pub fn code(self) -> Option<u8> {
        match self {
            Self::Status(status) => u8::try_from(status).ok(),
            Self::Signal(_) => None,
        }
    }

    /// Returns whether this is the exit of a killed program, or of a shell whose program was killed.
    pub(crate) fn is_killed(self) -> bool {
        match self {
            Self::Status(status) => cgroup::is_killed_status(status),
            Self::Signal(signal) => signal == rustix::process::Signal::KILL.as_raw(),
        }
    }
}
