//! Two vats over real sockets, without failures.

mod common;

use std::time::Duration;

use capnp::capability::Client;
use common::*;
use vat::{Address, Identity, Security, ServeOptions, ServiceId};

fn key(name: &str, algorithm: &[&str], dir: &tempfile::TempDir) -> Identity {
    let path = dir.path().join(name);
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-out"])
        .arg(&path)
        .arg("-algorithm")
        .args(algorithm)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    Identity::load_or_generate(&path).unwrap()
}

#[test]
fn all_kinds_of_keys_work_on_both_sides() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let keys = [
            key("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], &dir),
            key("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], &dir),
            key("ed25519", &["ED25519"], &dir),
        ];
        for server in &keys {
            let served = Served::start(Security::Tls(server.clone()));
            for client in &keys {
                let dialer = vat::Dialer::with_identity(client.clone(), Default::default());
                let session = dialer.connect(&served.sturdy_ref).await.unwrap();
                assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
                let peer = served.services.last_peer();
                assert_eq!(peer.id(), Some(client.fingerprint()));
                assert!(peer.address().starts_with("127.0.0.1:"));
            }
        }
    });
}

#[test]
fn plaintext_works_and_has_no_peer_id() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let session = served.connect().await;
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
        assert_eq!(served.services.last_peer().id(), None);
    });
}

#[test]
fn calls_go_both_ways() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let mine = Echo::new().client();
        let answer = call_with_cap(&session.bootstrap(), CALL_BACK, mine).await;
        assert_eq!(answer.unwrap(), b"called back");
    });
}

#[test]
fn pipelined_calls_need_no_answers_in_between() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let deep = make(&make(&make(&session.bootstrap())));
        assert_eq!(echo(&deep, b"deep").await.unwrap(), b"deep");
    });
}

#[test]
fn a_slow_restore_delays_no_other_peer() {
    run(async {
        let id = ServiceId::from_bytes(*b"slow");
        let services = Services {
            delay: Some(Duration::from_millis(50)),
            ..Services::default()
        };
        services
            .table
            .borrow_mut()
            .insert(id.clone(), Echo::new().client());
        let address = Address::tcp("127.0.0.1", 0);
        let listener = vat::Listener::bind(&address, Security::Plaintext).unwrap();
        let mut sturdy_ref: vat::SturdyRef = "capnp://insecure@h:1/".parse().unwrap();
        sturdy_ref.address = listener.local_address();
        sturdy_ref.service = id;
        let services = std::rc::Rc::new(services);
        tokio::task::spawn_local(listener.serve(services, ServeOptions::default()));
        let dialer = dialer();
        let (one, two) = tokio::join!(dialer.connect(&sturdy_ref), dialer.connect(&sturdy_ref));
        for session in [one.unwrap(), two.unwrap()] {
            assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
        }
    });
}

#[test]
fn two_connections_with_the_same_key_are_both_served() {
    run(async {
        let served = Served::tls();
        let dialer = dialer();
        let one = dialer.connect(&served.sturdy_ref).await.unwrap();
        let two = dialer.connect(&served.sturdy_ref).await.unwrap();
        assert_eq!(echo(&one.bootstrap(), b"1").await.unwrap(), b"1");
        assert_eq!(echo(&two.bootstrap(), b"2").await.unwrap(), b"2");
        let peers = served.services.peers.borrow();
        assert_eq!(peers[0].id(), peers[1].id());
    });
}

#[test]
fn unix_sockets_and_ipv6_work() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let tls = || Security::Tls(Identity::ephemeral());
        for (address, security) in [
            (Address::Unix(dir.path().join("tls.sock")), tls()),
            (
                Address::Unix(dir.path().join("plain.sock")),
                Security::Plaintext,
            ),
            (Address::tcp("::1", 0), tls()),
            (Address::tcp("localhost", 0), tls()),
        ] {
            let served = Served::start_at(&address, security, ServeOptions::default());
            let uri = served.sturdy_ref.to_uri();
            let session = dialer().connect(&uri.parse().unwrap()).await.unwrap();
            assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
        }
    });
}

#[test]
fn messages_of_all_sizes_arrive_whole() {
    run(async {
        for served in [Served::tls(), Served::start(Security::Plaintext)] {
            let session = served.connect().await;
            let client = session.bootstrap();
            for size in [
                0, 1, 7, 8, 500, 16_383, 16_384, 65_536, 1_000_000, 20_000_000,
            ] {
                let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
                assert!(echo(&client, &bytes).await.unwrap() == bytes, "{size}");
            }
        }
    });
}

#[test]
fn many_calls_at_once_are_all_answered() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let client = session.bootstrap();
        let calls = (0..1000u32).map(|i| {
            let client = client.clone();
            async move { echo(&client, &i.to_le_bytes()).await.unwrap() }
        });
        let answers = futures::future::join_all(calls).await;
        assert!(
            (0..1000u32)
                .zip(answers)
                .all(|(i, answer)| answer == i.to_le_bytes())
        );
    });
}

#[test]
fn released_capabilities_drop_their_objects() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let made = make(&session.bootstrap());
        echo(&made, b"hi").await.unwrap();
        assert_eq!(served.alive.get(), 2);
        drop(made);
        eventually("released", || served.alive.get() == 1).await;
    });
}

#[test]
fn an_unused_connection_is_closed() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let closed = session.closed();
        let made: Client = make(&session.bootstrap());
        echo(&made, b"hi").await.unwrap();
        let peer = served.services.last_peer();
        drop(session);
        // A capability that came through it keeps it open.
        assert_eq!(echo(&made, b"still").await.unwrap(), b"still");
        assert_eq!(served.counters.read().connections, 1);
        drop(made);
        closed.await;
        peer.closed().await;
        assert_eq!(served.counters.read().connections, 0);
    });
}

#[test]
fn counters_count() {
    run(async {
        let served = Served::tls();
        let dialer = dialer();
        let session = dialer.connect(&served.sturdy_ref).await.unwrap();
        echo(
            &session.bootstrap(),
            b"the bootstrap is finished after this",
        )
        .await
        .unwrap();
        let before = served.counters.read();
        for _ in 0..10 {
            echo(&session.bootstrap(), b"hi").await.unwrap();
        }
        let after = served.counters.read();
        assert_eq!(after.messages_in - before.messages_in, 10);
        assert_eq!(after.messages_out - before.messages_out, 10);
        assert!(after.bytes_in > before.bytes_in && after.bytes_out > before.bytes_out);
        assert_eq!((after.connections, after.connections_opened), (1, 1));
        assert_eq!(dialer.counters().read().messages_in, after.messages_out);
    });
}

/// Runs OpenSSL as a client with a key of its own, until its input ends.
fn openssl_connects(version: &str, port: u16) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        std::process::Command::new("openssl")
            .args(arguments)
            .current_dir(&dir)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    };
    let made = openssl(&[
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj",
        "/CN=x", "-days", "1",
    ]);
    assert!(made.status.success(), "{made:?}");
    let address = format!("127.0.0.1:{port}");
    let client = openssl(&[
        "s_client", "-connect", &address, "-key", "key", "-cert", "cert", version,
    ]);
    client.status.success()
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_1_1_is_not() {
    run(async {
        let served = Served::tls();
        let Address::Tcp { port, .. } = served.sturdy_ref.address else {
            panic!("not TCP");
        };
        for (version, expected) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
            let connects = move || openssl_connects(version, port);
            let connected = tokio::task::spawn_blocking(connects).await.unwrap();
            assert_eq!(connected, expected, "{version}");
        }
        let traffic = served.counters.read();
        assert_eq!(
            (traffic.connections_opened, traffic.connections_rejected),
            (2, 1)
        );
    });
}
