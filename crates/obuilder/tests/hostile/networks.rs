//! What a step with the machine's network can reach.
//!
//! The machine is a network namespace of the test, with a server on its loopback, one on all its addresses, and one on
//! an abstract socket. There is another machine, with a server.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test gets its task by variables, and prints the result"
)]

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use obuilder::sandbox::{Network, SandboxError, StepNetwork};

use crate::room::{RUNTIME, Room, named_runtime, script};

crate::for_each_runtime! {
    the_hosts_network_is_all_of_it
    an_outbound_network_only_reaches_out
    a_forbidden_network_is_refused
}

/// The network that `machine` uses.
const NETWORK: &str = "OBUILDER_TEST_NETWORKS_NETWORK";

const ABSTRACT: &str = "obuilder-test-of-networks";

/// The address of the other machine, in a range that is reserved for documentation.
const OTHER: &str = "203.0.113.1";
const OWN: &str = "203.0.113.2";
/// The address of the program for outbound networks, on the step's side.
const GATEWAY: &str = "10.0.2.2";

/// Another machine, and its server. Dropping this ends both.
struct Other(Child);

impl Other {
    fn new() -> Self {
        let server = format!(
            "use Socket; socket(S, PF_INET, SOCK_STREAM, 0); \
             bind(S, pack_sockaddr_in(8000, inet_aton(q({OTHER})))) or die; listen(S, 9); <STDIN>"
        );
        let set_up = format!(
            "ip link set lo up && ip link add near type veth peer name far && \
             ip addr add {OWN}/24 dev near && ip link set near up && \
             exec unshare --net --fork --kill-child sh -c 'echo there; read go; \
             ip addr add {OTHER}/24 dev far && ip link set far up && echo ready && exec perl -e \"{server}\"'"
        );
        let mut child = Command::new("sh")
            .args(["-c", &set_up])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert_eq!(lines.next().unwrap().unwrap(), "there");
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let moved = Command::new("ip")
            .args(["link", "set", "far", "netns", children.trim()])
            .status();
        assert!(moved.unwrap().success());
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        rig::wait_for("the other machine", Duration::from_secs(30), || {
            Ok(std::net::TcpStream::connect((OTHER, 8000))
                .is_ok()
                .then_some(()))
        })
        .unwrap();
        Self(child)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Not a test, but a child process of others: runs a step on a machine of its own, and prints what it reaches.
#[test]
fn machine() {
    let Some(network) = std::env::var_os(NETWORK) else {
        return;
    };
    let mut room = Room::new(named_runtime());
    room.options.network = network.to_str().unwrap().parse().unwrap();
    let _other = Other::new();
    let local = TcpListener::bind("127.0.0.1:8001").unwrap();
    let everywhere = TcpListener::bind("0.0.0.0:8002").unwrap();
    let name = SocketAddr::from_abstract_name(ABSTRACT).unwrap();
    let hidden = UnixListener::bind_addr(&name).unwrap();
    let mut step = script(&format!(
        "tcp() {{ perl -e 'alarm 10; socket(S, 2, 1, 6); \
         connect(S, pack(q(S n C4 x8), 2, $ARGV[1], split(/\\./, $ARGV[0]))) \
         and print qq(reached $ARGV[0]:$ARGV[1]\\n)' $1 $2; }}
         tcp {OTHER} 8000; tcp 127.0.0.1 8001; tcp {GATEWAY} 8001; tcp {GATEWAY} 8002; tcp {OWN} 8002
         perl -e 'socket(S, 1, 1, 0); connect(S, pack(q(S a*), 1, qq(\\0{ABSTRACT}))) \
         and print qq(reached the socket\\n)'
         cat /etc/resolv.conf; exit 0"
    ));
    step.network = Network::Host;
    let (shown, ended) = room.run(&step);
    drop((local, everywhere, hidden));
    match ended {
        Ok(_) => println!("{shown}"),
        Err(SandboxError::Unsupported(text)) => println!("{text}"),
        Err(error) => panic!("{error:?}: {shown}"),
    }
}

/// Runs a step on a machine of its own, and returns its output.
fn reached(room: &Room, network: StepNetwork) -> Option<Vec<String>> {
    for program in ["slirp4netns", "ip", "unshare", "perl"] {
        if rig::find_program(program).is_none() {
            rig::report_not_run("networks of steps", program);
            return None;
        }
    }
    let (word, _) = StepNetwork::ALL
        .into_iter()
        .find(|(_, n)| *n == network)
        .unwrap();
    let output = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "networks::machine", "--nocapture"])
        .env(NETWORK, word)
        .env(RUNTIME, room.runtime_name())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{shown}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let is_report = |line: &&str| {
        line.starts_with("reached") || line.contains("cannot run") || line.starts_with("nameserver")
    };
    Some(shown.lines().filter(is_report).map(str::to_owned).collect())
}

/// The same as upstream, as the page about security explains.
fn the_hosts_network_is_all_of_it(room: &Room) {
    let Some(reached) = reached(room, StepNetwork::Host) else {
        return;
    };
    for there in [
        &format!("reached {OTHER}:8000"),
        "reached 127.0.0.1:8001",
        "reached the socket",
    ] {
        assert!(reached.iter().any(|line| line == there), "{reached:?}");
    }
}

fn an_outbound_network_only_reaches_out(room: &Room) {
    let Some(reached) = reached(room, StepNetwork::Outbound) else {
        return;
    };
    assert_eq!(
        reached,
        [&format!("reached {OTHER}:8000"), "nameserver 10.0.2.3"]
    );
}

fn a_forbidden_network_is_refused(room: &Room) {
    let Some(reached) = reached(room, StepNetwork::Forbid) else {
        return;
    };
    let refusal = "cannot run \"/bin/bash\": the step asks for the host's network, which --step-network=forbid \
                   refuses; leave out (network host)";
    assert_eq!(reached, [refusal]);
}
