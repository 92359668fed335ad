//! Two machines and a network between them that can fail: then it silently drops all packets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::checked;
use crate::holder::Holder;
use crate::name::Name;

/// Two network namespaces, connected through a third. They are removed with the [`Holder`].
#[derive(Debug)]
pub struct Wire {
    ends: [String; 2],
    middle: String,
}

/// One of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine of the scheduler, at [`Wire::ADDRESS`].
    Near,
    /// The other machine.
    Far,
}

impl Wire {
    /// The address of the near end.
    pub const ADDRESS: &str = "10.77.0.2";

    /// Creates the namespaces.
    ///
    /// TCP retransmits after 150 ms, then 300 ms and so on, so that the first retransmission after an outage of 70 s
    /// is at 77 s. The default of 200 ms would make that 102 s, without showing more.
    ///
    /// # Errors
    /// When this user is not root, or a program is missing.
    pub fn new(holder: &Holder) -> Result<Self> {
        let name = Name::new()?;
        let wire = Self {
            ends: [format!("{name}-near"), format!("{name}-far")],
            middle: format!("{name}-middle"),
        };
        for name in wire.ends.iter().chain([&wire.middle]) {
            holder.undo(&["ip", "netns", "del", name])?;
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        for (number, end) in wire.ends.iter().enumerate() {
            let inner = format!("end{number}");
            let veth = [
                "link", "add", "wire", "type", "veth", "peer", "name", &inner,
            ];
            ip(&[&["-n", end][..], &veth, &["netns", &wire.middle]].concat())?;
            for (namespace, link, host) in [(end, "wire", 2), (&wire.middle, &*inner, 1)] {
                let address = format!("10.77.{number}.{host}/24");
                ip(&["-n", namespace, "addr", "add", &address, "dev", link])?;
                ip(&["-n", namespace, "link", "set", link, "up"])?;
            }
            let gateway = format!("10.77.{number}.1");
            let route = ["route", "add", "default", "via", &gateway];
            ip(&[&["-n", end][..], &route, &["rto_min", "150ms"]].concat())?;
        }
        wire.connect(true)?;
        Ok(wire)
    }

    /// Returns the file by which a thread enters an end.
    pub fn namespace(&self, end: End) -> PathBuf {
        let [near, far] = &self.ends;
        let name = match end {
            End::Near => near,
            End::Far => far,
        };
        Path::new("/run/netns").join(name)
    }

    /// Returns a command that runs `command` at an end.
    pub fn at(&self, end: End, command: &Command) -> Command {
        let mut wrapped = Command::new("nsenter");
        wrapped
            .arg(format!("--net={}", self.namespace(end).display()))
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        let changes = command.get_envs();
        wrapped.envs(changes.filter_map(|(name, value)| Some((name, value?))));
        wrapped
    }

    /// Lets the middle forward packets, or drop them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn connect(&self, on: bool) -> Result<()> {
        let set = format!("net.ipv4.ip_forward={}", u8::from(on));
        ip(&["netns", "exec", &self.middle, "sysctl", "-q", "-w", &set])
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    checked(Command::new("ip").args(arguments)).map(drop)
}
