//! What the runtime is told of a command: its `config.json`.
//!
//! Every line of it is a promise to those who write specs, or to those whose machine this is. So it is made from
//! nothing but what is given, and the tests pin the whole of it.

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

/// How many pages of memory an argument or a variable may take, to Linux.
const LONGEST_WORD_PAGES: usize = 32;

/// How many files a command may have open.
const OPEN_FILES: u64 = 1024;

/// What tells of the machine, or of what others do on it, and helps no build. As Docker's, but for the throttling of each
/// processor, which would be a mount for each.
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

/// The filesystems that every command has.
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

/// How a file of ours is shown to a command.
const SHOWN: [&str; 3] = ["ro", "rbind", "rprivate"];
/// How a cache is. Programs in it may be run: builds do that.
const SHARED: [&str; 3] = ["bind", "nosuid", "nodev"];

/// What surrounds a command.
pub(super) struct Surroundings<'a> {
    /// The root filesystem.
    pub(super) rootfs: &'a Path,
    /// Where the command's things go in it.
    pub(super) targets: &'a Targets,
    /// The file to show as `/etc/hosts`.
    pub(super) hosts: PathBuf,
    /// The files with the secrets, in the order of the command's.
    pub(super) secrets: Vec<PathBuf>,
    /// The control group, as the runtime is told it.
    pub(super) cgroup: PathBuf,
    /// The file to show as `/etc/resolv.conf` to a command with a network, if there is one.
    pub(super) resolv_conf: Option<PathBuf>,
    /// The network namespace that a command with the machine's network gets in its place.
    pub(super) network_namespace: Option<PathBuf>,
    /// Whether it gets a terminal of its own.
    pub(super) terminal: bool,
    /// What it may do as root.
    pub(super) capabilities: Vec<Capability>,
    /// Which system calls it may make, unless it may make all.
    pub(super) seccomp: Option<LinuxSeccomp>,
}

/// Returns the config, as the runtime reads it.
///
/// # Errors
/// [`SandboxError::Unsupported`] when the command cannot be written down: JSON holds no text that is not UTF-8.
pub(super) fn config(
    command: &Command,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<u8>, SandboxError> {
    let mounts = mounts(command, surroundings)?;
    let process = process(command, surroundings)?;
    let rootfs = text("the root filesystem", &path_bytes(surroundings.rootfs))?;
    let spec = assemble(process, mounts, &rootfs, command.network, surroundings);
    let spec = spec.map_err(|error| SandboxError::Unsupported(error.to_string()))?;
    serde_json::to_vec(&spec).map_err(|error| SandboxError::Unsupported(error.to_string()))
}

fn assemble(
    process: Process,
    mounts: Vec<Mount>,
    rootfs: &str,
    network: Network,
    surroundings: &Surroundings<'_>,
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
        .set_linux(Some(linux(network, surroundings)?));
    Ok(spec)
}

fn process(command: &Command, surroundings: &Surroundings<'_>) -> Result<Process, SandboxError> {
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
    let cwd = text("the working directory", &surroundings.targets.cwd)?;
    let (uid, gid) = ids(&command.user)?;
    let user = UserBuilder::default().uid(uid).gid(gid).build();
    let process = user.and_then(|user| {
        let all: Capabilities = surroundings.capabilities.iter().copied().collect();
        let mut capabilities = LinuxCapabilitiesBuilder::default()
            .bounding(all.clone())
            .effective(all.clone())
            // Programs that are not root's should not have them, whatever their files say (CVE-2022-24769).
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
            .terminal(surroundings.terminal)
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

fn linux(network: Network, surroundings: &Surroundings<'_>) -> Result<Linux, OciSpecError> {
    let own_network = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network);
    let own_network = match (network, &surroundings.network_namespace) {
        (Network::None, _) => Some(own_network),
        (Network::Host, Some(path)) => Some(own_network.path(path)),
        (Network::Host, None) => None,
    };
    let namespaces = [
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
        // Of the machine's control groups, it sees its own alone.
        LinuxNamespaceType::Cgroup,
    ]
    .into_iter()
    .map(|kind| LinuxNamespaceBuilder::default().typ(kind))
    .chain(own_network)
    .map(|namespace| namespace.build())
    .collect::<Result<Vec<_>, _>>()?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .cgroups_path(&surroundings.cgroup)
        .masked_paths(MASKED.map(str::to_owned))
        .readonly_paths(READ_ONLY.map(str::to_owned))
        .build()?;
    linux.set_seccomp(surroundings.seccomp.clone());
    // The library's default is a rule about devices. The runtime has its own.
    linux.set_resources(None);
    Ok(linux)
}

fn mounts(command: &Command, surroundings: &Surroundings<'_>) -> Result<Vec<Mount>, SandboxError> {
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
    } = surroundings.targets;
    let file = text("the path", &path_bytes(&surroundings.hosts))?;
    let target = text("the target of /etc/hosts", hosts)?;
    mounts.push(mount(&target, Some("bind"), &file, &SHOWN)?);
    if let (Some(target), Some(source)) = (resolv_conf, &surroundings.resolv_conf) {
        let target = text("the target of /etc/resolv.conf", target)?;
        let source = text("the path", &path_bytes(source))?;
        mounts.push(mount(&target, Some("bind"), &source, &SHOWN)?);
    }
    for (target, file) in secrets.iter().zip(&surroundings.secrets) {
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
        mounts.push(mount(&target, Some("bind"), &source, &SHARED)?);
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
/// When it is known by name, or by a number that no user can have.
pub(super) fn ids(user: &User) -> Result<(u32, u32), SandboxError> {
    let number = |what: &str, number: i64| {
        // The last one means "nobody in particular" to the system.
        u32::try_from(number)
            .ok()
            .filter(|&n| n != u32::MAX)
            .ok_or_else(|| SandboxError::Unsupported(format!("there can be no {what} {number}")))
    };
    match user {
        User::Unix { uid, gid } => Ok((number("user", *uid)?, number("group", *gid)?)),
        User::Named(name) => Err(SandboxError::Unsupported(format!(
            "the user {name:?} has a name: on Linux, give (uid …) and (gid …)"
        ))),
    }
}

/// Returns a word that the command is started with.
///
/// # Errors
/// When the kernel takes none that is as long. It would say so as well, but not of which word, nor what to do.
fn word(what: &str, bytes: &BString) -> Result<String, SandboxError> {
    // With the zero at its end.
    let most = LONGEST_WORD_PAGES * rustix::param::page_size() - 1;
    if bytes.len() > most {
        return Err(SandboxError::Unsupported(format!(
            "{what} {:?} has {} bytes, and the kernel starts no program with more than {most} in one: put a long script into a file, \
             copy that, and run it",
            excerpt(bytes.as_bstr()),
            bytes.len(),
        )));
    }
    text(what, bytes)
}

fn text(what: &str, bytes: &BString) -> Result<String, SandboxError> {
    let refuse = |why: &str| {
        let shown = excerpt(bytes.as_bstr());
        SandboxError::Unsupported(format!("{what} {shown:?} {why}"))
    };
    if bytes.contains(&0) {
        return Err(refuse(
            "has a zero byte in it, which no program can be given",
        ));
    }
    let text = bytes
        .to_str()
        .map_err(|_| refuse("is not UTF-8, and the runtime's config.json can hold nothing else"))?;
    Ok(text.to_owned())
}

fn path_bytes(path: &Path) -> BString {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().into()
}

#[cfg(test)]
mod tests;
