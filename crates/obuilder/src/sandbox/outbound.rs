//! An outbound network for a step: it reaches public addresses, but not the machine itself.
//!
//! The step has a network namespace with one interface. Its packets go to `slirp4netns`, a program outside of the
//! container, which opens the connections. So no process can connect to the step. Abstract sockets are separate
//! for each network namespace, so two such steps cannot pass each other descriptors, and cannot reach the
//! machine's own services.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::SandboxError;
use super::groups::Groups;

/// The directories of the programs. Fixed, so that the environment cannot replace the administrator's programs.
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// How long the setup of the network may take. Usually it takes some 50 ms.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Unreachable networks, whatever the machine's routes: this network, private ones (RFC 1918, 6598), link-local ones,
/// where clouds serve the credentials of machines, and other special ones (RFC 6890). There is no IPv6.
const UNREACHABLE: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// The address that slirp4netns forwards to the machine's own DNS server.
const RESOLV_CONF: &str = "nameserver 10.0.2.3\n";

/// The programs for such networks.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    slirp4netns: PathBuf,
    nsenter: PathBuf,
    ip: PathBuf,
}

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// If one is missing.
    pub(super) fn find() -> Result<Self, SandboxError> {
        let find = |name: &str| {
            let found = FOLDERS
                .iter()
                .map(|folder| Path::new(folder).join(name))
                .find(|path| path.is_file());
            found.ok_or_else(|| {
                SandboxError::Unsupported(format!(
                    "cannot create networks for steps (--step-network=outbound): the program {name:?} is not \
                     installed; install it (on Debian: apt-get install slirp4netns iproute2 util-linux)"
                ))
            })
        };
        Ok(Self {
            slirp4netns: find("slirp4netns")?,
            nsenter: find("nsenter")?,
            ip: find("ip")?,
        })
    }
}

/// The network of one step. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Outbound {
    namespace: OwnedFd,
    /// It ends when its standard input is closed, and so with this process in any case.
    slirp: Child,
}

impl Outbound {
    /// Creates a network. Its program runs in the step's groups, and so counts for the step's limits.
    pub(super) async fn start(programs: &Programs, groups: &Groups) -> Result<Self, SandboxError> {
        let failed =
            |source| SandboxError::io("cannot create a network for the step".to_owned(), source);
        let namespace = new_namespace().map_err(failed)?;
        let path = path_of(&namespace);
        let mut slirp = groups
            .command(&programs.slirp4netns)
            .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
            .args(["--enable-sandbox", "--enable-seccomp", "--netns-type=path"])
            .args(["--ready-fd=1", "--exit-fd=0"])
            .arg(&path)
            .arg("tap0")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let ready = slirp.stdout.take();
        let ready = async {
            let mut byte = [0];
            match ready {
                Some(mut ready) => ready.read_exact(&mut byte).await.is_ok(),
                None => false,
            }
        };
        if tokio::time::timeout(START_LIMIT, ready).await != Ok(true) {
            let program = &programs.slirp4netns;
            return Err(SandboxError::NotStarted(format!(
                "cannot create a network for the step: {} does not start; run it by hand to see why, with the \
                 arguments --configure and the number of a process that \"unshare --net sleep 60\" has started",
                program.display()
            )));
        }
        let network = Self { namespace, slirp };
        network
            .close_private_ranges(programs)
            .await
            .map_err(failed)?;
        Ok(network)
    }

    /// Sets the unreachable routes. A step has no privilege to change them.
    async fn close_private_ranges(&self, programs: &Programs) -> io::Result<()> {
        let mut lines = Vec::new();
        for range in UNREACHABLE {
            writeln!(lines, "route replace unreachable {range}")?;
        }
        // A service that listens on all addresses of the machine could be reached by any of them.
        for address in own_addresses(&std::fs::read_to_string("/proc/net/fib_trie")?) {
            writeln!(lines, "route replace unreachable {address}/32")?;
        }
        let mut namespace = std::ffi::OsString::from("--net=");
        namespace.push(path_of(&self.namespace));
        let mut child = Command::new(&programs.nsenter)
            .arg(namespace)
            .arg("--")
            .arg(&programs.ip)
            .args(["-batch", "-"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            use tokio::io::AsyncWriteExt as _;
            stdin.write_all(&lines).await?;
        }
        let output = tokio::time::timeout(START_LIMIT, child.wait_with_output()).await;
        let output = output.map_err(io::Error::other)??;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(format!(
            "{}: {}",
            programs.ip.display(),
            stderr.trim()
        )))
    }

    /// Returns the path of the namespace, for other processes.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.namespace)
    }

    /// Returns the content of the step's `/etc/resolv.conf`.
    pub(super) fn resolv_conf() -> &'static str {
        RESOLV_CONF
    }

    /// Stops the program, and waits for its end.
    pub(super) async fn stop(mut self) {
        // It is in the step's groups, and removing those kills all their processes.
        if let Err(error) = self.slirp.kill().await {
            tracing::debug!("Cannot stop slirp4netns: {error}");
        }
    }
}

/// Creates a network namespace, on a thread of its own: the thread that creates one moves there.
fn new_namespace() -> io::Result<OwnedFd> {
    let made = std::thread::Builder::new().spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(OwnedFd::from(File::open("/proc/thread-self/ns/net")?))
    })?;
    let died = |_| io::Error::other("its thread has panicked");
    made.join().map_err(died)?
}

/// Returns a path by which other processes can open a file that is open here.
fn path_of(file: &OwnedFd) -> PathBuf {
    format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_fd().as_raw_fd()
    )
    .into()
}

/// Returns the machine's own addresses, from the kernel's table of routes.
///
/// Each has two lines: `|-- 192.0.2.2`, then `/32 host LOCAL`.
fn own_addresses(table: &str) -> Vec<std::net::Ipv4Addr> {
    let lines = table.lines().zip(table.lines().skip(1));
    let local = lines.filter(|(_, kind)| kind.trim() == "/32 host LOCAL");
    let mut found: Vec<std::net::Ipv4Addr> = local
        .filter_map(|(address, _)| address.trim().strip_prefix("|-- ")?.parse().ok())
        .filter(|address: &std::net::Ipv4Addr| !address.is_loopback())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_the_local_ones() {
        let table = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 192.0.2.0/30 2 0 2
        |-- 192.0.2.0
           /30 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
Local:
        |-- 192.0.2.2
           /32 host LOCAL
";
        assert_eq!(
            own_addresses(table),
            [std::net::Ipv4Addr::new(192, 0, 2, 2)]
        );
    }
}
