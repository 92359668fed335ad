//! The `config.json` of a command, for the runtime.
//!
//! Authors of specs and operators rely on every line of it. So it depends only on its arguments, and the
//! tests check all of it.

use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice as _};
use obuilder_spec::User;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, Capability, Linux, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder,
    LinuxNamespaceType, LinuxSeccomp, Mount, MountBuilder, PosixRlimitBuilder, PosixRlimitType,
    Process, ProcessBuilder, RootBuilder, Spec, UserBuilder,
};

use super::targets::Targets;
use super::{Command, Network, SandboxError};
use crate::excerpt::excerpt;

/// The largest argument or variable on Linux, in pages of memory.
const LONGEST_WORD_PAGES: usize = 32;

/// How many files a process of a command may have open.
const OPEN_FILES: u64 = 1024;

/// Files with information about the machine, or about other users, which no build needs. The same as Docker's, except
/// for the throttling of each processor, which would need a mount for each.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The filesystems of every command.
const FILESYSTEMS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
];

/// The mount options of a file of ours.
const FILE_OPTIONS: [&str; 3] = ["ro", "rbind", "rprivate"];
/// The mount options of a cache. Programs in it can run: builds need that.
const CACHE_OPTIONS: [&str; 3] = ["bind", "nosuid", "nodev"];

/// The container of a command.
pub(super) struct ContainerSetup<'a> {
    /// The root filesystem.
    pub(super) rootfs: &'a Path,
    /// The paths of the mounts in it.
    pub(super) targets: &'a Targets,
    /// The file to mount on `/etc/hosts`.
    pub(super) hosts: PathBuf,
    /// The files with the secrets, in the order of the command's.
    pub(super) secrets: Vec<PathBuf>,
    /// The control group, as its `cgroupsPath`.
    pub(super) cgroup: PathBuf,
    /// The file to mount on `/etc/resolv.conf` for a command with a network, if there is one.
    pub(super) resolv_conf: Option<PathBuf>,
    /// The network namespace that a command gets instead of the machine's network.
    pub(super) network_namespace: Option<PathBuf>,
    /// Whether it has a terminal of its own.
    pub(super) terminal: bool,
    /// Its capabilities as root.
    pub(super) capabilities: Vec<Capability>,
    /// Its seccomp filter. `None` to permit all system calls.
    pub(super) seccomp: Option<LinuxSeccomp>,
}

/// Returns the config, in the runtime's format.
///
/// # Errors
/// [`SandboxError::Unsupported`] if the command has text that is not UTF-8, which JSON cannot represent.
pub(super) fn config(
    command: &Command,
    setup: &ContainerSetup<'_>,
) -> Result<Vec<u8>, SandboxError> {
    let mounts = mounts(command, setup)?;
    let process = process(command, setup)?;
    let rootfs = text("the root filesystem", &path_bytes(setup.rootfs))?;
    let spec = assemble(process, mounts, &rootfs, command.network, setup);
    let spec = spec.map_err(|error| SandboxError::Unsupported(error.to_string()))?;
    serde_json::to_vec(&spec).map_err(|error| SandboxError::Unsupported(error.to_string()))
}

fn assemble(
    process: Process,
    mounts: Vec<Mount>,
    rootfs: &str,
    network: Network,
    setup: &ContainerSetup<'_>,
) -> Result<Spec, OciSpecError> {
    let mut spec = Spec::default();
    spec.set_version("1.0.1-dev".to_owned())
        .set_process(Some(process))
        .set_root(Some(
            RootBuilder::default()
                .path(rootfs)
                .readonly(false)
                .build()?,
        ))
        .set_hostname(Some("builder".to_owned()))
        .set_mounts(Some(mounts))
        .set_annotations(None)
        .set_linux(Some(linux(network, setup)?));
    Ok(spec)
}

fn process(command: &Command, setup: &ContainerSetup<'_>) -> Result<Process, SandboxError> {
    let args = command
        .argv
        .iter()
        .map(|bytes| word("the word", bytes))
        .collect::<Result<Vec<_>, _>>()?;
    let mut env = Vec::new();
    for (name, value) in &command.env {
        let mut pair = name.clone();
        pair.push(b'=');
        pair.extend_from_slice(value);
        env.push(word("the environment variable", &pair)?);
    }
    let cwd = text("the working directory", &setup.targets.cwd)?;
    let (uid, gid) = ids(&command.user)?;
    let user = UserBuilder::default().uid(uid).gid(gid).build();
    let process = user.and_then(|user| {
        let all: Capabilities = setup.capabilities.iter().copied().collect();
        let mut capabilities = LinuxCapabilitiesBuilder::default()
            .bounding(all.clone())
            .effective(all.clone())
            // Programs of other users must not get them by file capabilities (CVE-2022-24769).
            .inheritable(Capabilities::new())
            .permitted(all)
            .build()?;
        capabilities.set_ambient(None);
        let open_files = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .hard(OPEN_FILES)
            .soft(OPEN_FILES)
            .build()?;
        ProcessBuilder::default()
            .terminal(setup.terminal)
            .user(user)
            .args(args)
            .env(env)
            .cwd(cwd)
            .capabilities(capabilities)
            .rlimits([open_files])
            // Programs such as sudo work.
            .no_new_privileges(false)
            .build()
    });
    process.map_err(|error| SandboxError::Unsupported(error.to_string()))
}

fn linux(network: Network, setup: &ContainerSetup<'_>) -> Result<Linux, OciSpecError> {
    let own_network = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network);
    let own_network = match (network, &setup.network_namespace) {
        (Network::None, _) => Some(own_network),
        (Network::Host, Some(path)) => Some(own_network.path(path)),
        (Network::Host, None) => None,
    };
    let namespaces = [
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
        // It sees its own control group only.
        LinuxNamespaceType::Cgroup,
    ]
    .into_iter()
    .map(|kind| LinuxNamespaceBuilder::default().typ(kind))
    .chain(own_network)
    .map(|namespace| namespace.build())
    .collect::<Result<Vec<_>, _>>()?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .cgroups_path(&setup.cgroup)
        .masked_paths(MASKED.map(str::to_owned))
        .readonly_paths(READ_ONLY.map(str::to_owned))
        .build()?;
    linux.set_seccomp(setup.seccomp.clone());
    // The library's default is a rule for devices. The runtime has its own.
    linux.set_resources(None);
    Ok(linux)
}

fn mounts(command: &Command, setup: &ContainerSetup<'_>) -> Result<Vec<Mount>, SandboxError> {
    let mut mounts = Vec::new();
    for (target, kind, source, options) in FILESYSTEMS {
        mounts.push(mount(target, Some(kind), source, options)?);
    }
    let Targets {
        hosts,
        resolv_conf,
        secrets,
        mounts: caches,
        cwd: _,
    } = setup.targets;
    let file = text("the path", &path_bytes(&setup.hosts))?;
    let target = text("the target of /etc/hosts", hosts)?;
    mounts.push(mount(&target, Some("bind"), &file, &FILE_OPTIONS)?);
    if let (Some(target), Some(source)) = (resolv_conf, &setup.resolv_conf) {
        let target = text("the target of /etc/resolv.conf", target)?;
        let source = text("the path", &path_bytes(source))?;
        mounts.push(mount(&target, Some("bind"), &source, &FILE_OPTIONS)?);
    }
    for (target, file) in secrets.iter().zip(&setup.secrets) {
        let target = text("the target of a secret", target)?;
        let file = text("the path", &path_bytes(file))?;
        mounts.push(mount(
            &target,
            Some("bind"),
            &file,
            &["rbind", "rprivate", "ro"],
        )?);
    }
    for (target, cache) in caches.iter().zip(&command.mounts) {
        let target = text("the target of a cache", target)?;
        let source = text("the path", &path_bytes(&cache.source))?;
        mounts.push(mount(&target, Some("bind"), &source, &CACHE_OPTIONS)?);
    }
    Ok(mounts)
}

fn mount(
    target: &str,
    kind: Option<&str>,
    source: &str,
    options: &[&str],
) -> Result<Mount, SandboxError> {
    let mut mount = MountBuilder::default()
        .destination(target)
        .source(source)
        .options(options.iter().map(|&o| o.to_owned()).collect::<Vec<_>>());
    if let Some(kind) = kind {
        mount = mount.typ(kind);
    }
    mount
        .build()
        .map_err(|error| SandboxError::Unsupported(error.to_string()))
}

/// Returns the numbers of a user.
///
/// # Errors
/// If the user has a name, or a number that no user can have.
pub(super) fn ids(user: &User) -> Result<(u32, u32), SandboxError> {
    let number = |what: &str, number: i64| {
        // The last number means "no user" to the system.
        u32::try_from(number)
            .ok()
            .filter(|&n| n != u32::MAX)
            .ok_or_else(|| {
                SandboxError::Unsupported(format!(
                    "cannot run a command as {what} {number}: there can be no such number"
                ))
            })
    };
    match user {
        User::Unix { uid, gid } => Ok((number("user", *uid)?, number("group", *gid)?)),
        User::Named(name) => Err(SandboxError::Unsupported(format!(
            "cannot run a command as the user {name:?}: on Linux, write (uid …) and (gid …)"
        ))),
    }
}

/// Returns an argument or variable of the command as text.
///
/// # Errors
/// If it is too long for the kernel, whose own error names neither the word nor a remedy.
fn word(what: &str, bytes: &BString) -> Result<String, SandboxError> {
    // Including the zero byte at its end.
    let most = LONGEST_WORD_PAGES * rustix::param::page_size() - 1;
    if bytes.len() > most {
        return Err(SandboxError::Unsupported(format!(
            "cannot pass {what} {:?} of {} bytes: the limit of the kernel is {most} bytes; put a long script into \
             a file, copy that, and run it",
            excerpt(bytes.as_bstr()),
            bytes.len(),
        )));
    }
    text(what, bytes)
}

fn text(what: &str, bytes: &BString) -> Result<String, SandboxError> {
    let refuse = |why: &str| {
        let shown = excerpt(bytes.as_bstr());
        SandboxError::Unsupported(format!("cannot pass {what} {shown:?}: {why}"))
    };
    if bytes.contains(&0) {
        return Err(refuse("it has a zero byte, which is not allowed"));
    }
    let text = bytes
        .to_str()
        .map_err(|_| refuse("it is not UTF-8, which the runtime's config.json requires"))?;
    Ok(text.to_owned())
}

fn path_bytes(path: &Path) -> BString {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().into()
}

#[cfg(test)]
mod tests;
