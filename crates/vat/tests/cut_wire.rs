//! The network fails silently, and both sides detect it. Needs root, for network namespaces:
//! `cargo test -p vat --features root-tests`.

mod common;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use capnp::ErrorKind;
use common::*;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use vat::{
    Address, Auth, DialOptions, Dialer, Identity, KeepAlive, Listener, Security, ServeOptions,
    ServiceId, SturdyRef,
};

/// Two namespaces that are connected through a third until this is dropped.
struct Wire {
    names: [String; 3],
}

const MIDDLE: usize = 2;

impl Wire {
    fn new(name: &str) -> Self {
        let names = [0, 1, MIDDLE].map(|n| format!("vat{}{name}{n}", std::process::id()));
        let wire = Self { names };
        for name in &wire.names {
            ip(&["netns", "add", name]);
        }
        wire.connect(0);
        wire.connect(1);
        wire.forward(true);
        wire
    }

    /// Connects an end to the middle: it is 10.77.N.2 there, and goes through 10.77.N.1.
    fn connect(&self, end: usize) {
        let [namespace, middle] = [&self.names[end], &self.names[MIDDLE]];
        let (outer, inner) = ("wire", &format!("wire{end}"));
        let peer = ["type", "veth", "peer", "name", inner, "netns", middle];
        ip(&[&["-n", namespace, "link", "add", outer][..], &peer].concat());
        let sides = [(namespace, outer, 2), (middle, inner.as_str(), 1)];
        for (namespace, link, host) in sides {
            let address = format!("10.77.{end}.{host}/24");
            ip(&["-n", namespace, "addr", "add", &address, "dev", link]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
        }
        let gateway = format!("10.77.{end}.1");
        ip(&["-n", namespace, "route", "add", "default", "via", &gateway]);
    }

    /// Moves this thread to a namespace. Its new sockets are there; existing ones stay in theirs.
    fn enter(&self, namespace: usize) {
        let file = File::open(format!("/run/netns/{}", self.names[namespace])).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Sets whether the middle forwards packets or drops them silently.
    fn forward(&self, on: bool) {
        self.enter(MIDDLE);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", if on { "1" } else { "0" }).unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}

const QUICK: KeepAlive = KeepAlive {
    idle: Duration::from_secs(1),
    interval: Duration::from_secs(1),
    count: 2,
    unacknowledged: Duration::from_secs(3),
};

/// Cuts the wire of a session, idle or during a call, and waits until both ends have detected it.
fn cut_wire(name: &'static str, busy: bool) {
    run(async move {
        let wire = Wire::new(name);
        wire.enter(0);
        let identity = Identity::ephemeral();
        let address = Address::tcp("10.77.0.2", 0);
        let listener = Listener::bind(&address, Security::Tls(identity.clone())).unwrap();
        let sturdy_ref = SturdyRef {
            auth: Auth::Sha256(identity.fingerprint()),
            address: listener.local_address(),
            service: ServiceId::random(),
        };
        let services = Services::with(&sturdy_ref.service, Echo::new().client());
        let serve = ServeOptions {
            keep_alive: QUICK,
            ..ServeOptions::default()
        };
        tokio::task::spawn_local(listener.serve(services.clone(), serve));

        wire.enter(1);
        let dialer = Dialer::new(DialOptions {
            keep_alive: QUICK,
            ..DialOptions::default()
        });
        let session = dialer.connect(&sturdy_ref).await.unwrap();
        let client = session.bootstrap();
        assert_eq!(echo(&client, b"hi").await.unwrap(), b"hi");

        wire.forward(false);
        if busy {
            let error = echo(&client, b"anybody there?").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Disconnected);
        }
        let error = session.closed().await;
        assert_eq!(error.kind, ErrorKind::Disconnected);
        assert!(error.extra.ends_with("(timed out)"), "{error}");
        services.last_peer().closed().await;
    });
}

#[test]
fn an_idle_session_with_a_silent_peer_ends() {
    cut_wire("idle", false);
}

#[test]
fn a_busy_session_with_a_silent_peer_ends() {
    cut_wire("busy", true);
}
