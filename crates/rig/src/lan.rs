//! Several machines at one switch, each of which can be unplugged: then all its packets are dropped silently.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::checked;
use crate::holder::{Holder, Process};
use crate::name::Name;
use crate::network::Network;

/// The name of the interface in each namespace of a machine.
const LINK: &str = "lan";

/// Network namespaces, connected by a bridge in another one. They are removed with the [`Holder`].
#[derive(Debug)]
pub struct Lan {
    machines: Vec<String>,
    switch: String,
}

impl Lan {
    /// Creates the namespaces of so many machines.
    ///
    /// # Errors
    /// When this user is not root, or a program is missing.
    pub fn new(holder: &Holder, machines: u8) -> Result<Self> {
        let name = Name::new()?;
        let lan = Self {
            machines: (0..machines)
                .map(|number| format!("{name}-{number}"))
                .collect(),
            switch: format!("{name}-switch"),
        };
        for name in lan.machines.iter().chain([&lan.switch]) {
            holder.undo(&["ip", "netns", "del", name])?;
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        let switch = &lan.switch;
        ip(&["-n", switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", switch, "link", "set", "bridge", "up"])?;
        for (number, machine) in lan.machines.iter().enumerate() {
            let port = port(number);
            let veth = ["link", "add", LINK, "type", "veth", "peer", "name", &port];
            ip(&[&["-n", machine][..], &veth, &["netns", switch]].concat())?;
            let address = format!("{}/24", Self::address(number));
            ip(&["-n", machine, "addr", "add", &address, "dev", LINK])?;
            ip(&["-n", machine, "link", "set", LINK, "up"])?;
            ip(&["-n", switch, "link", "set", &port, "master", "bridge"])?;
            ip(&["-n", switch, "link", "set", &port, "up"])?;
        }
        Ok(lan)
    }

    /// Returns the address of a machine.
    pub fn address(machine: usize) -> String {
        format!("10.78.0.{}", machine + 1)
    }

    /// Returns the file by which a thread enters a machine.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn namespace(&self, machine: usize) -> Result<PathBuf> {
        let name = self.machines.get(machine).context("no such machine")?;
        Ok(Path::new("/run/netns").join(name))
    }

    /// Plugs a machine in, or unplugs it.
    ///
    /// Its own end stays up, so that its programs are not told: the switch takes its port out of the bridge.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn plug(&self, machine: usize, on: bool) -> Result<()> {
        let place: &[&str] = if on {
            &["master", "bridge"]
        } else {
            &["nomaster"]
        };
        let port = port(machine);
        ip(&[&["-n", &self.switch, "link", "set", &port], place].concat())
    }

    /// Forwards connections to a port of a machine's loopback to the same port of the loopback of the holder's network,
    /// until `holder` ends. A process that is stopped holds all bytes, and answers nothing.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn forward(&self, holder: &Holder, machine: usize, port: u16) -> Result<Process> {
        let log = format!("forward-{machine}-{port}.log");
        Network::at(self.namespace(machine)?).forward(holder, port, &log)
    }
}

/// Returns the name of a machine's port of the switch.
fn port(machine: usize) -> String {
    format!("port{machine}")
}

fn ip(arguments: &[&str]) -> Result<()> {
    checked(Command::new("ip").args(arguments)).map(drop)
}
