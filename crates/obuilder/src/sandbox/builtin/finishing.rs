//! Settings of `config.json` that the library does not apply.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use libcontainer::capabilities::CapabilityExt as _;
use libcontainer::network::link::LinkClient;
use libcontainer::network::wrapper::create_network_client;
use libcontainer::oci_spec::OciSpecError;
use libcontainer::oci_spec::runtime::{
    Capabilities, Capability, LinuxNamespaceType, Mount, MountBuilder, Spec,
};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::executor::INSTALLS_FILTERS;
use super::hierarchies::VisibleHierarchy;

const CGROUPS: &str = "/sys/fs/cgroup";

/// Gives the first process the capability for installing a filter, if there is one, until it has done so: see
/// [`OwnExecutor`](super::executor::OwnExecutor).
pub(super) fn lend_for_filter(spec: &mut Spec) {
    if has_filter(spec) {
        lend_capability(spec);
    }
}

/// Changes a config so that its container sees its own control groups, read-only: the library mounts those of the first
/// version without the options, and searches for the machine's.
pub(super) fn mount_groups(spec: &mut Spec, visible: &[VisibleHierarchy]) -> Result<(), String> {
    let describe = |error: OciSpecError| error.to_string();
    let mut groups = Vec::new();
    let mut add = |target: PathBuf, kind: &str, source: &Path, more: &[&str]| {
        let options = ["nosuid", "noexec", "nodev"].iter().chain(more);
        let mount = MountBuilder::default()
            .destination(target)
            .typ(kind)
            .source(source)
            .options(options.map(|&option| option.to_owned()).collect::<Vec<_>>())
            .build();
        mount.map(|mount| groups.push(mount))
    };
    if visible.is_empty() {
        add(CGROUPS.into(), "cgroup2", Path::new("cgroup2"), &["ro"]).map_err(describe)?;
    } else {
        add(CGROUPS.into(), "tmpfs", Path::new("tmpfs"), &["mode=755"]).map_err(describe)?;
    }
    for VisibleHierarchy { name, source } in visible {
        let target = Path::new(CGROUPS).join(name);
        add(target, "bind", source, &["bind", "ro"]).map_err(describe)?;
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let old = |mount: &Mount| mount.destination() == Path::new(CGROUPS);
    let place = mounts.iter().position(old).unwrap_or(mounts.len());
    mounts.retain(|mount| !old(mount));
    mounts.splice(place..place, groups);
    spec.set_mounts(Some(mounts));
    let Some(linux) = spec.linux_mut().as_mut() else {
        return Ok(());
    };
    let mut read_only = linux.readonly_paths().clone().unwrap_or_default();
    read_only.push(CGROUPS.to_owned());
    linux.set_readonly_paths(Some(read_only));
    Ok(())
}

fn has_filter(spec: &Spec) -> bool {
    let linux = spec.linux().as_ref();
    linux.is_some_and(|linux| linux.seccomp().is_some())
}

/// Adds the capability for filters to the sets of the first process, but not to the sets that a new program inherits.
fn lend_capability(spec: &mut Spec) {
    let Some(process) = spec.process_mut().as_mut() else {
        return;
    };
    let Some(mut capabilities) = process.capabilities().clone() else {
        return;
    };
    let lent = Capability::from_cap(INSTALLS_FILTERS);
    let with = |set: &Option<Capabilities>| {
        let set = set.iter().flatten().copied();
        Some(set.chain([lent]).collect::<Capabilities>())
    };
    let effective = with(capabilities.effective());
    let permitted = with(capabilities.permitted());
    capabilities
        .set_effective(effective)
        .set_permitted(permitted);
    process.set_capabilities(Some(capabilities));
}

/// Applies the other settings to a container whose first process `init` exists, and waits to become the command.
pub(super) fn finish(spec: &Spec, init: Pid) -> io::Result<()> {
    let Some(linux) = spec.linux().as_ref() else {
        return Ok(());
    };
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    if namespaces
        .iter()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Network)
    {
        set_loopback_up(init)?;
    }
    Ok(())
}

/// Enters the container's network namespace, and sets its loopback interface up.
fn set_loopback_up(init: Pid) -> io::Result<()> {
    let network = File::open(format!("/proc/{}/ns/net", init.as_raw_pid()))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let mut links = LinkClient::new(create_network_client()).map_err(io::Error::other)?;
    let loopback = links.get_by_name("lo").map_err(io::Error::other)?;
    links
        .set_up(loopback.header.index)
        .map_err(io::Error::other)
}
