//! The private directory of one container, with the runtime's files and the secrets.
//!
//! It leads to everything of a container that remains if this process is killed: it has the same name as the container
//! and its cgroups, and contains the runtime's state. So the cleanup begins with listing these directories, and is
//! done if there are none.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::config::{ContainerSetup, config};
use super::filter::Machine;
use super::groups::Groups;
use super::outbound::Outbound;
use super::{Command, Network, SandboxError, SandboxOptions, SecretFile, mount_points, targets};

/// The beginning of the ids of our containers.
pub(super) const PREFIX: &str = "obuilder-";

/// A command's `/etc/hosts`, the same as in the reference: without a newline, unless more follows.
const HOSTS: &str = "127.0.0.1 localhost builder";

/// The longest `/etc/hosts` of the machine that is read, in bytes.
const MOST_HOSTS: u64 = 1 << 20;

/// Returns a command's `/etc/hosts`.
///
/// With the machine's network, it has the machine's names as well: these hosts can be reached from the container, and a
/// name server may not know them.
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
            // The file is optional.
            Err(error) => tracing::debug!("Cannot read /etc/hosts: {error}"),
        }
    }
    hosts
}

/// How often a new file may appear in a bundle while it is being removed.
const MOST_LATE_FILES: u32 = 20;

/// Returns the directory of a store's bundles.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("sandbox")
}

/// The directory of a container. Dropping it removes it, and the secrets with it.
#[derive(Debug)]
pub(super) struct Bundle {
    id: String,
    dir: PathBuf,
    /// Whether the next start must remove it, because processes may still run there.
    kept: bool,
}

impl Bundle {
    /// Creates the directory `id`, and prepares the root filesystem for the mounts. `runtime` and `groups` are
    /// recorded for the cleanup.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are all parts of a container"
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
        let setup = ContainerSetup {
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
        let config = config(command, &setup)?;
        let action = |action: &str| format!("{action} {}", bundle.dir.display());
        bundle
            .fill(runtime, groups, &config, &hosts(command.network, outbound))
            .map_err(|source| {
                SandboxError::io(action("cannot create the sandbox's directory"), source)
            })?;
        bundle
            .keep_secrets(&command.secrets)
            .map_err(|source| SandboxError::io(action("cannot write secrets to"), source))?;
        Ok(bundle)
    }

    /// Returns the file to mount on `/etc/resolv.conf` for a command with a network.
    fn resolv_conf(&self, outbound: Option<&Outbound>) -> Option<PathBuf> {
        match outbound {
            Some(_) => Some(self.dir.join("resolv.conf")),
            None => Some("/etc/resolv.conf".into()).filter(|file: &PathBuf| file.exists()),
        }
    }

    /// Returns the bundle `id`, which need not exist.
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
        fs::write(self.dir.join("runtime"), mount_points::bytes(runtime))?;
        groups.record().write(&self.dir)?;
        fs::write(self.dir.join("config.json"), config)?;
        fs::write(self.dir.join("hosts"), hosts)?;
        fs::write(self.dir.join("resolv.conf"), Outbound::resolv_conf())?;
        // Readable by the step's user, whatever our umask.
        for file in ["hosts", "resolv.conf"] {
            fs::set_permissions(self.dir.join(file), Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Writes the secrets into memory that is never swapped out, and is freed by the unmount.
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
            // Only root can enter the directory; in the container, the step's user reads the file.
            file.set_permissions(Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Returns the id of the container.
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

    /// Returns the directory for the runtime's state.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Returns the file for the runtime's errors.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Returns the file that exists once the command has been started.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// Keeps everything but the secrets, for the next start to remove.
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
            tracing::warn!("Cannot remove {}: {error}", self.dir.display());
        }
    }
}

/// Removes a bundle's directory, its secrets first. It is no error if there is none.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    unmount_secrets(dir)?;
    for _ in 0..MOST_LATE_FILES {
        match fs::remove_dir_all(dir) {
            // The runtime may still write the end of its container.
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
        // There is no such directory, or it is not a mount.
        Err(Errno::NOENT | Errno::INVAL) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
