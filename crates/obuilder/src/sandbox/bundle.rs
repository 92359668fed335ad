//! The private directory of one container: what the runtime reads and writes, and the secrets.
//!
//! Everything of a container that outlives a `kill -9` of ours is found through it: its name is the container's and its
//! cgroups', and it holds the runtime's state. So removing what is left over begins with listing these directories, and
//! that is all it takes when there are none.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::config::{Surroundings, config};
use super::filter::Machine;
use super::groups::Groups;
use super::outbound::Outbound;
use super::{Command, Network, SandboxError, SandboxOptions, SecretFile, inside, targets};

/// What a container of ours is called, up to what tells it from others.
pub(super) const PREFIX: &str = "obuilder-";

/// What a command sees as `/etc/hosts`, as it does in every build ever made: without a newline, unless more follows.
const HOSTS: &str = "127.0.0.1 localhost builder";

/// How much of the machine's `/etc/hosts` a command sees, in bytes.
const MOST_HOSTS: u64 = 1 << 20;

/// Returns what a command sees as `/etc/hosts`.
///
/// One that has the machine's network knows the machine's names as well: what is called by them can be reached from there, and a name
/// server need not know them.
fn hosts(network: Network, outbound: Option<&Outbound>) -> Vec<u8> {
    let mut hosts = HOSTS.as_bytes().to_vec();
    if network == Network::Host && outbound.is_none() {
        let mut machines = Vec::new();
        let read = fs::File::open("/etc/hosts")
            .and_then(|file| file.take(MOST_HOSTS).read_to_end(&mut machines));
        match read {
            Ok(_) => {
                hosts.push(b'\n');
                hosts.extend(machines);
            }
            // There need not be one.
            Err(error) => tracing::debug!("Cannot read /etc/hosts: {error}"),
        }
    }
    hosts
}

/// How often something may appear in a bundle while it is being removed.
const MOST_LATE_FILES: u32 = 20;

/// Returns where the bundles of a store are.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("sandbox")
}

/// The directory of a container. Dropping it removes it, and the secrets with it.
#[derive(Debug)]
pub(super) struct Bundle {
    id: String,
    dir: PathBuf,
    /// Whether it is left for the next start to remove, because something may still run there.
    kept: bool,
}

impl Bundle {
    /// Makes the directory `id`, and prepares the root filesystem for what the runtime mounts.
    ///
    /// `runtime` is what the container will be run by, for those who clean up, and `groups` those that it will be in.
    #[expect(
        clippy::too_many_arguments,
        reason = "it is all that a container is made of"
    )]
    pub(super) fn new(
        parent: &Path,
        id: String,
        runtime: &Path,
        groups: &Groups,
        outbound: Option<&Outbound>,
        rootfs: &Path,
        command: &Command,
        terminal: bool,
        options: &SandboxOptions,
    ) -> Result<Self, SandboxError> {
        let bundle = Self::at(parent, id);
        let targets = targets::prepare(rootfs, command)?;
        let capabilities = options.capabilities.of(command.network);
        let rules = options
            .filter
            .rules(&capabilities, Machine::this(), options.fast_sync);
        let surroundings = Surroundings {
            rootfs,
            targets: &targets,
            hosts: bundle.dir.join("hosts"),
            secrets: (0..command.secrets.len())
                .map(|number| bundle.secrets().join(number.to_string()))
                .collect(),
            cgroup: groups.path_for_runtime(),
            resolv_conf: bundle.resolv_conf(outbound),
            network_namespace: outbound.map(Outbound::path),
            terminal,
            capabilities,
            seccomp: rules.map_err(SandboxError::Unsupported)?,
        };
        let config = config(command, &surroundings)?;
        let doing = |doing: &str| format!("{doing} {:?}", bundle.dir);
        bundle
            .fill(runtime, groups, &config, &hosts(command.network, outbound))
            .map_err(|source| {
                SandboxError::io(doing("cannot make the sandbox's directory"), source)
            })?;
        bundle
            .keep_secrets(&command.secrets)
            .map_err(|source| SandboxError::io(doing("cannot keep secrets in"), source))?;
        Ok(bundle)
    }

    /// Returns the file to show as `/etc/resolv.conf` to a command that has a network.
    fn resolv_conf(&self, outbound: Option<&Outbound>) -> Option<PathBuf> {
        match outbound {
            Some(_) => Some(self.dir.join("resolv.conf")),
            None => Some("/etc/resolv.conf".into()).filter(|file: &PathBuf| file.exists()),
        }
    }

    /// Returns the bundle `id`, which need not be there.
    pub(super) fn at(parent: &Path, id: String) -> Self {
        Self {
            dir: parent.join(&id),
            id,
            kept: false,
        }
    }

    fn fill(&self, runtime: &Path, groups: &Groups, config: &[u8], hosts: &[u8]) -> io::Result<()> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        private.create(&self.dir)?;
        private.create(self.state())?;
        fs::write(self.dir.join("runtime"), inside::bytes(runtime))?;
        groups.record().write(&self.dir)?;
        fs::write(self.dir.join("config.json"), config)?;
        fs::write(self.dir.join("hosts"), hosts)?;
        fs::write(self.dir.join("resolv.conf"), Outbound::resolv_conf())?;
        // Whoever runs the command reads them, whatever our umask is.
        for file in ["hosts", "resolv.conf"] {
            fs::set_permissions(self.dir.join(file), Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Writes the secrets into memory that is never swapped out, and goes when it is unmounted.
    fn keep_secrets(&self, secrets: &[SecretFile]) -> io::Result<()> {
        if secrets.is_empty() {
            return Ok(());
        }
        let dir = self.secrets();
        DirBuilder::new().mode(0o700).create(&dir)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("obuilder-secrets", &dir, "ramfs", flags, Some(c"mode=0700"))?;
        for (number, secret) in secrets.iter().enumerate() {
            let path = dir.join(number.to_string());
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(&secret.value)?;
            // The directory is root's alone; in the container, the step's user reads it.
            file.set_permissions(Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Returns the name of the container.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    /// Returns where the runtime keeps what it knows of the container.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Returns the file in which the runtime's errors are.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Returns the file that is there once the command has been started.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// Leaves everything but the secrets for the next start to remove.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let removed = if self.kept {
            unmount_secrets(&self.dir)
        } else {
            remove(&self.dir)
        };
        if let Err(error) = removed {
            tracing::warn!("Cannot remove {:?}: {error}", self.dir);
        }
    }
}

/// Removes a bundle's directory, its secrets first. It is no error if there is none.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    unmount_secrets(dir)?;
    for _ in 0..MOST_LATE_FILES {
        match fs::remove_dir_all(dir) {
            // The runtime still writes how its container ended, of which it has just heard.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => return removed,
        }
    }
    fs::remove_dir_all(dir)
}

fn unmount_secrets(dir: &Path) -> io::Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match rustix::mount::unmount(dir.join("secrets"), flags) {
        // There is no such directory, or nothing is mounted on it.
        Err(Errno::NOENT | Errno::INVAL) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
