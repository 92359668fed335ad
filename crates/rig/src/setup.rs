//! The Debian packages that the machine must have, and their installation.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::find_program;
use crate::holder::Holder;
use crate::name::Name;

/// A Debian package, and its programs that are needed. It is not installed if those exist already.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name for `apt-get install`.
    pub name: &'static str,
    programs: &'static [&'static str],
}

const fn package(name: &'static str, programs: &'static [&'static str]) -> Package {
    Package { name, programs }
}

/// What `cargo xtask demo` needs, except for its Docker half.
pub const DEMO_PACKAGES: &[Package] = &[
    package("git", &["git"]),
    package("runc", &["runc"]),
    package("busybox-static", &["busybox"]),
    package("util-linux", &["unshare", "setpriv"]),
];

/// What a new Docker engine needs.
pub const DOCKER_PACKAGES: &[Package] = &[
    package("docker.io", &["docker", "dockerd", "containerd", "runc"]),
    package("iproute2", &["ip"]),
];

/// What `cargo xtask test` needs in addition.
pub const TEST_PACKAGES: &[Package] = &[
    package("git-lfs", &["git-lfs"]),
    package("docker-registry", &["docker-registry"]),
    package("apache2-utils", &["htpasswd"]),
    package("capnproto", &["capnp"]),
    package("openssl", &["openssl"]),
    package("e2fsprogs", &["mkfs.ext4"]),
    package("btrfs-progs", &["mkfs.btrfs"]),
    package("xfsprogs", &["mkfs.xfs"]),
    package("mount", &["mount", "umount"]),
    package("nftables", &["nft"]),
    package("rsync", &["rsync"]),
    package("slirp4netns", &["slirp4netns"]),
    package("bsdutils", &["script"]),
    package("runc", &["runc"]),
    package("crun", &["crun"]),
    package("skopeo", &["skopeo"]),
    package("umoci", &["umoci"]),
    package("prometheus", &["promtool", "prometheus"]),
    package("binutils", &["strip"]),
    package("debootstrap", &["debootstrap"]),
    package("docker-compose", &["docker-compose"]),
    package("groff-base", &["groff"]),
    package("systemd", &["systemd-analyze"]),
    package("systemd-container", &["systemd-nspawn"]),
    package("dpkg-dev", &["dpkg-shlibdeps"]),
    package("chromium", &["chromium"]),
    package("npm", &["npm"]),
    package("postgresql", &["psql"]),
    package("haproxy", &["haproxy"]),
    package("keepalived", &["keepalived"]),
    package("curl", &["curl"]),
    package("python3-pip", &["pip3"]),
];

/// The program by which Debian decides which services may start during an installation. Ours allows none (101).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes sure that packages are installed.
#[derive(Debug)]
pub struct Setup;

impl Setup {
    /// Returns those of `packages` that are missing here.
    pub fn missing(packages: &[Package]) -> Vec<Package> {
        let is_there =
            |package: &Package| package.programs.iter().all(|p| find_program(p).is_some());
        packages
            .iter()
            .copied()
            .filter(|package| !is_there(package))
            .collect()
    }

    /// Installs those of `packages` that are missing, and prints their names.
    ///
    /// # Errors
    /// When the installation fails, this user is not root, or this is not Debian; then with the command to run.
    pub fn ensure(packages: &[Package]) -> Result<()> {
        let missing = Self::missing(packages);
        if missing.is_empty() {
            return Ok(());
        }
        let names = names(&missing);
        if !is_root() || find_program("apt-get").is_none() {
            bail!("missing: {names}. On Debian, run: sudo apt-get install {names}");
        }
        println!("Installing {names}");
        install(&missing)?;
        let still = Self::missing(packages);
        if !still.is_empty() {
            bail!(
                "installed, but some programs are still missing: {}",
                self::names(&still)
            );
        }
        Ok(())
    }
}

fn names(packages: &[Package]) -> String {
    packages
        .iter()
        .map(|package| package.name)
        .collect::<Vec<_>>()
        .join(" ")
}

fn install(packages: &[Package]) -> Result<()> {
    let block = ServiceStartBlock::new()?;
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    // The package lists of a new machine may be missing or old, so a failure may be due to them.
    if apt_get("install", &names).is_err() {
        apt_get("update", &[])?;
        apt_get("install", &names)?;
    }
    drop(block);
    if names.contains(&"docker-registry") {
        disable_service("docker-registry")?;
    }
    Ok(())
}

fn apt_get(action: &str, names: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_SUSPEND", "1")
        .args(["-y", "-qq", "-o", "Dpkg::Use-Pty=0", action])
        .args((action == "install").then_some("--no-install-recommends"))
        .args(names)
        .status()
        .context("cannot start apt-get")?;
    if !status.success() {
        bail!("apt-get {action} {} failed ({status})", names.join(" "));
    }
    Ok(())
}

/// Prevents a service from starting with the machine: only its program is needed, not a registry on port 5000.
fn disable_service(name: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    let status = Command::new("systemctl")
        .args(["disable", "--quiet", name])
        .status()?;
    if !status.success() {
        bail!("systemctl disable {name} failed ({status})");
    }
    Ok(())
}

/// Prevents packages from starting services while this lives. A policy that the machine has already is kept.
struct ServiceStartBlock {
    _holder: Option<Holder>,
}

impl ServiceStartBlock {
    fn new() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { _holder: None });
        }
        let holder = Holder::start(&Name::new()?)?;
        holder.undo(&["rm", "-f", POLICY])?;
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        std::fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
        Ok(Self {
            _holder: Some(holder),
        })
    }
}

/// Returns whether this user may install packages, start engines and create network namespaces.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_a_missing_program_is_missing() {
        let packages = [
            package("coreutils", &["ls", "cat"]),
            package("nonesuch", &["nonesuch-1"]),
        ];
        assert_eq!(names(&Setup::missing(&packages)), "nonesuch");
    }
}
