//! A separate network for an engine, and connections out of it.
//!
//! At first it has only a loopback interface. The machine's network is not changed for it: connections out of it go
//! through ordinary programs, which make connections of their own.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::mount::mount_bind;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{checked, find_program};
use crate::holder::{Holder, Process, ProcessState, rig_program};
use crate::wait::wait_for;

/// The time limit for a connection out to be ready. It needs milliseconds.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The list of name servers.
pub(crate) const RESOLVERS: &str = "/etc/resolv.conf";

/// The machine's own name server, in a network that `slirp4netns` connects.
const RESOLVER: &str = "nameserver 10.0.2.3\n";

/// A network namespace, by a file of `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Network(PathBuf);

impl Network {
    /// Returns the network of `process`.
    pub(crate) fn of(process: Process) -> Self {
        Self(format!("/proc/{}/ns/net", process.id()).into())
    }

    /// Returns the network with this file.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Forwards connections to a port of its loopback to the same port of the machine's loopback, for as long as
    /// `holder` lives.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn reach(&self, holder: &Holder, port: u16) -> Result<()> {
        let log = format!("forward-{port}.log");
        self.forward(holder, port, &log).map(drop)
    }

    /// Like [`reach`](Self::reach), and returns the process that forwards. Its output goes to `log`.
    pub(crate) fn forward(&self, holder: &Holder, port: u16, log: &str) -> Result<Process> {
        let mut command = Command::new(rig_program()?);
        command.arg("forward").arg(&self.0).arg(port.to_string());
        run_until(holder, &command, log, |output| output.contains(READY))
    }

    /// Connects it to other machines, if the program for that is installed.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn connect_outside(&self, holder: &Holder) -> Result<()> {
        let Some(program) = find_program("slirp4netns") else {
            return Ok(());
        };
        let mut command = Command::new(program);
        command
            .args(["--configure", "--mtu=65520", "--netns-type=path"])
            .arg(&self.0)
            .arg("tap0");
        // The route is the last thing that it creates.
        let started = run_until(holder, &command, "slirp4netns.log", |_| {
            let mut routes = Command::new("nsenter");
            routes.arg(format!("--net={}", self.0.display()));
            routes.args(["--", "ip", "route", "show", "default"]);
            checked(&mut routes).is_ok_and(|text| text.contains("tap0"))
        });
        started.map(drop)
    }
}

/// What [`forward`] prints once it listens.
const READY: &str = "listening";

/// Runs `command` in the background, and waits until it is ready. `is_ready` gets its output so far.
fn run_until(
    holder: &Holder,
    command: &Command,
    log: &str,
    is_ready: impl Fn(&str) -> bool,
) -> Result<Process> {
    let process = holder.run(command, log)?;
    wait_for(log, START_LIMIT, || {
        let output = fs::read_to_string(holder.log(log)).unwrap_or_default();
        if let ProcessState::Ended(code) = holder.state(process)? {
            bail!("it ended with code {code}: {}", output.trim());
        }
        Ok(is_ready(&output).then_some(process))
    })
}

/// Makes a new network namespace usable, in a mount namespace in which `/run` is empty. `resolvers` is where the list
/// of name servers was found: those of the machine may be its own loopback's.
///
/// # Errors
/// When the system refuses.
pub(crate) fn set_up(resolvers: Option<&Path>) -> Result<()> {
    let ip = find_program("ip").context("cannot find ip: install iproute2")?;
    checked(Command::new(ip).args(["link", "set", "lo", "up"]))?;
    let Some(resolvers) = resolvers else {
        return Ok(());
    };
    if resolvers.starts_with("/run") {
        fs::create_dir_all(resolvers.parent().unwrap_or(resolvers))?;
        return Ok(fs::write(resolvers, RESOLVER)?);
    }
    let ours = "/run/resolv.conf";
    fs::write(ours, RESOLVER)?;
    mount_bind(ours, resolvers).context("cannot replace the list of name servers")
}

/// Listens at `port` of loopback in the namespace `network`, and forwards each connection to the same port of this
/// namespace's loopback.
///
/// # Errors
/// When the port is taken. Otherwise it does not return.
pub fn forward(network: &Path, port: u16) -> Result<()> {
    let here = fs::File::open("/proc/thread-self/ns/net")?;
    let there = fs::File::open(network)?;
    let enter = |namespace: &fs::File| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
    };
    enter(&there)?;
    // A socket stays where it was made.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    enter(&here)?;
    println!("{READY}");
    io::stdout().flush()?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // The client sees that the connection has ended.
            if let Err(error) = join(&stream, port) {
                eprintln!("port {port}: {error}");
            }
        });
    }
    Ok(())
}

/// Copies both ways until both have ended.
fn join(inner: &TcpStream, port: u16) -> io::Result<()> {
    let outer = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let copy = |mut from: &TcpStream, mut to: &TcpStream| -> io::Result<()> {
        let copied = io::copy(&mut from, &mut to);
        // The other side may have closed it already.
        drop(to.shutdown(Shutdown::Write));
        copied.map(drop)
    };
    thread::scope(|scope| {
        let out = scope.spawn(|| copy(inner, &outer));
        let back = copy(&outer, inner);
        out.join().unwrap_or(Ok(())).and(back)
    })
}
