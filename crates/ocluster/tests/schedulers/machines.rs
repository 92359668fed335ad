//! Machines with a network between them: network namespaces on a bridge.

use std::path::Path;
use std::process::Command;

use rig::{Holder, Name};

/// Three machines on one network, whose interfaces are called `eth0`. They are removed with the [`Holder`].
pub(crate) struct Machines {
    names: [String; 3],
}

impl Machines {
    /// The network: the machines have its addresses from 1 on.
    pub(crate) const NETWORK: &str = "192.0.2";

    /// Creates them. The user must be root.
    pub(crate) fn new(holder: &Holder) -> Self {
        let name = Name::new().expect("a name");
        let bridge = format!("{name}-net");
        let names = [1, 2, 3].map(|number| format!("{name}-{number}"));
        for namespace in names.iter().chain([&bridge]) {
            holder
                .undo(&["ip", "netns", "del", namespace])
                .expect("the reaper lives");
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&["-n", &bridge, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &bridge, "link", "set", "bridge", "up"]);
        for (number, namespace) in (1..).zip(&names) {
            let port = format!("port{number}");
            ip(&[
                "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", &port,
                "netns", &bridge,
            ]);
            ip(&[
                "-n", &bridge, "link", "set", &port, "master", "bridge", "up",
            ]);
            let address = format!("{}.{number}/24", Self::NETWORK);
            ip(&["-n", namespace, "addr", "add", &address, "dev", "eth0"]);
            ip(&["-n", namespace, "link", "set", "eth0", "up"]);
        }
        Self { names }
    }

    /// Returns what runs a program on a machine.
    pub(crate) fn on(&self, number: usize) -> Vec<String> {
        let namespace = Path::new("/run/netns").join(&self.names[number]);
        vec![
            "nsenter".to_owned(),
            format!("--net={}", namespace.display()),
            "--".to_owned(),
        ]
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("ip runs");
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}
