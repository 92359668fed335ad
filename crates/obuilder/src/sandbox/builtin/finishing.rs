//! What the library leaves undone, and every line of `config.json` promises all the same.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use libcontainer::capabilities::CapabilityExt as _;
use libcontainer::network::link::LinkClient;
use libcontainer::network::wrapper::create_network_client;
use libcontainer::oci_spec::runtime::{
    Capabilities, Capability, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxNamespaceType,
    LinuxResources, Spec,
};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::devices;
use super::executor::INSTALLS_FILTERS;

const CGROUPS: &str = "/sys/fs/cgroup";

/// Adds to a config what other runtimes take for granted: all devices are denied but the usual ones, and cgroups of the
/// first version, which the library mounts without regard to the options, are read-only.
///
/// Where there is to be a filter, the first process is left what it takes to install it, until it has: see
/// [`OwnExecutor`](super::executor::OwnExecutor).
pub(super) fn harden(spec: &mut Spec) -> Result<(), String> {
    if has_filter(spec) {
        lend_capability(spec);
    }
    let Some(linux) = spec.linux_mut().as_mut() else {
        return Ok(());
    };
    let none = LinuxDeviceCgroupBuilder::default()
        .allow(false)
        .typ(LinuxDeviceType::A)
        .access("rwm")
        .build()
        .map_err(|error| error.to_string())?;
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(vec![none]));
    linux.set_resources(Some(resources));

    let mut read_only = linux.readonly_paths().clone().unwrap_or_default();
    read_only.push(CGROUPS.to_owned());
    if !is_unified() {
        let hierarchies = fs::read_dir(CGROUPS).map_err(|error| format!("{CGROUPS}: {error}"))?;
        for hierarchy in hierarchies.flatten() {
            if hierarchy.file_type().is_ok_and(|kind| kind.is_dir()) {
                read_only.extend(hierarchy.path().to_str().map(str::to_owned));
            }
        }
    }
    linux.set_readonly_paths(Some(read_only));
    Ok(())
}

fn has_filter(spec: &Spec) -> bool {
    let linux = spec.linux().as_ref();
    linux.is_some_and(|linux| linux.seccomp().is_some())
}

/// Adds what installs filters to what the first process has, and not to what a program that it becomes can have.
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

fn is_unified() -> bool {
    Path::new(CGROUPS).join("cgroup.controllers").exists()
}

/// Does the rest to a container whose first process `init` is there, and waits to become the command.
pub(super) fn finish(spec: &Spec, init: Pid) -> io::Result<()> {
    let Some(linux) = spec.linux().as_ref() else {
        return Ok(());
    };
    if is_unified() {
        let path = linux.cgroups_path().as_ref();
        let name = path.and_then(|path| path.strip_prefix("/").ok());
        let name = name.ok_or_else(|| io::Error::other("the container has no cgroup"))?;
        devices::restrict(&Path::new(CGROUPS).join(name))?;
    }
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    if namespaces
        .iter()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Network)
    {
        set_loopback_up(init)?;
    }
    Ok(())
}

/// Enters the container's network, which nothing else of ours uses, and sets its loopback up.
fn set_loopback_up(init: Pid) -> io::Result<()> {
    let network = File::open(format!("/proc/{}/ns/net", init.as_raw_pid()))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let mut links = LinkClient::new(create_network_client()).map_err(io::Error::other)?;
    let loopback = links.get_by_name("lo").map_err(io::Error::other)?;
    links
        .set_up(loopback.header.index)
        .map_err(io::Error::other)
}
