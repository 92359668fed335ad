//! The address of a Docker engine, and a client for it.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::{checked, every_program, succeeds_within};
use crate::holder::Holder;
use crate::network::Network;

/// The time limit for a call of a client or an engine, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// An engine's address, and a client program that supports all of its features.
#[derive(Clone, Debug)]
pub struct Docker {
    pub(crate) host: String,
    /// A folder with one program, `docker`. It is the first of PATH, so that a worker finds that program.
    pub(crate) programs: PathBuf,
    /// The client's settings and log-ins: an empty folder, not those of the user who runs the tests.
    pub(crate) config: PathBuf,
    /// The network of its containers; `None` for this machine's network.
    pub(crate) network: Option<Network>,
}

impl Docker {
    /// Prepares to use the engine at `host`, with the files for that in `folder`.
    ///
    /// # Errors
    /// When this machine has no `docker` client that can build with BuildKit.
    pub(crate) fn new(host: &str, folder: &Path) -> Result<Self> {
        let client = find_client()?;
        let programs = folder.join("programs");
        let config = folder.join("docker-config");
        std::fs::create_dir(&programs)?;
        std::fs::create_dir(&config)?;
        symlink(client, programs.join("docker"))?;
        Ok(Self {
            host: host.to_owned(),
            programs,
            config,
            network: None,
        })
    }

    /// Returns the client program.
    pub fn program(&self) -> PathBuf {
        self.programs.join("docker")
    }

    /// Returns the engine's address, as in DOCKER_HOST.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns a `docker` command that talks to this engine.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.envs(self.env());
        command
    }

    /// Runs `docker ARGS` within a minute and returns its standard output, trimmed.
    ///
    /// # Errors
    /// When it fails, with what it wrote to standard error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        checked(self.command().args(args))
    }

    /// Returns the environment for a program that runs `docker`, such as a worker, and is to use this engine.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut path = OsString::from(&self.programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        vec![
            ("DOCKER_HOST", self.host.clone().into()),
            ("DOCKER_CONFIG", self.config.clone().into()),
            ("PATH", path),
        ]
    }

    /// Forwards a port of the engine's loopback to this machine's loopback, for as long as `holder` lives. The engine
    /// and its containers with `--network=host` can use it.
    ///
    /// # Errors
    /// When that port is taken in the engine's network.
    pub fn reach(&self, holder: &Holder, port: u16) -> Result<()> {
        match &self.network {
            Some(network) => network.reach(holder, port),
            None => Ok(()),
        }
    }

    /// Returns whether the engine answers.
    pub fn answers(&self) -> bool {
        let mut version = self.command();
        succeeds_within(
            version.args(["version", "--format", "{{.Server.Version}}"]),
            ANSWER_LIMIT,
        )
    }
}

/// Returns the address that the user's own `docker` commands use, if an engine answers there.
pub(crate) fn default_host_that_answers() -> Option<String> {
    let host = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let client = find_client().ok()?;
    let mut version = Command::new(client);
    version
        .env("DOCKER_HOST", &host)
        .args(["version", "--format", "{{.Server.Version}}"]);
    succeeds_within(&mut version, ANSWER_LIMIT).then_some(host)
}

/// Returns the first `docker` in PATH with which BuildKit works.
///
/// From release 23 on, the client builds with a plug-in that may be missing. In older ones it is built in.
fn find_client() -> Result<PathBuf> {
    every_program("docker")
        .into_iter()
        .find(|client| has_builtin_buildkit(client) || has_buildx(client))
        .context(
            "cannot find a docker client that can build with BuildKit: install docker.io, or docker-buildx",
        )
}

fn has_buildx(client: &Path) -> bool {
    succeeds_within(
        Command::new(client).args(["buildx", "version"]),
        ANSWER_LIMIT,
    )
}

fn has_builtin_buildkit(client: &Path) -> bool {
    // `Docker version 20.10.24+dfsg1, build 297e128`
    checked(Command::new(client).arg("--version"))
        .ok()
        .and_then(|text| major(&text))
        < Some(23)
}

fn major(version_line: &str) -> Option<u32> {
    let version = version_line.strip_prefix("Docker version ")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_in_the_version_line() {
        assert_eq!(
            major("Docker version 20.10.24+dfsg1, build 297e128"),
            Some(20)
        );
        assert_eq!(major("Docker version 28.2.2, build e6534b4"), Some(28));
        assert_eq!(major("podman version 4.3.1"), None);
    }
}
