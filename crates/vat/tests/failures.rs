//! Failures, and the errors that report them.

mod common;

use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use capnp::ErrorKind;
use capnp_rpc::rpc_capnp::message;
use common::raw::{RawPeer, bootstrap, call_answer};
use common::*;
use vat::{
    Address, Auth, ConnectError, DialOptions, Dialer, Identity, ListenError, Listener, Security,
    ServeOptions, ServiceId, SturdyRef,
};

async fn refusal(sturdy_ref: &SturdyRef) -> ConnectError {
    let options = DialOptions {
        handshake_timeout: Duration::from_millis(300),
        ..DialOptions::default()
    };
    Dialer::new(options)
        .connect(sturdy_ref)
        .await
        .expect_err("it connected")
}

#[test]
fn another_key_than_expected() {
    run(async {
        let served = Served::tls();
        let mut sturdy_ref = served.sturdy_ref.clone();
        let Auth::Sha256(got) = sturdy_ref.auth else {
            panic!("not TLS");
        };
        let expected = Identity::ephemeral().fingerprint();
        sturdy_ref.auth = Auth::Sha256(expected);
        let error = refusal(&sturdy_ref).await;
        assert!(matches!(error, ConnectError::WrongFingerprint { .. }));
        let text = error.to_string();
        assert!(
            text.contains(&format!("expected {expected}, got {got}")),
            "{text}"
        );
        assert!(text.contains("check"), "{text}");
    });
}

#[test]
fn an_unknown_service() {
    run(async {
        for served in [Served::tls(), Served::start(Security::Plaintext)] {
            let mut sturdy_ref = served.sturdy_ref.clone();
            sturdy_ref.service = ServiceId::random();
            let error = refusal(&sturdy_ref).await;
            assert!(matches!(error, ConnectError::UnknownService { .. }));
            let text = error.to_string();
            assert!(text.starts_with("Unknown persistent service ID"), "{text}");
        }
    });
}

#[test]
fn a_refused_connection() {
    run(async {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let uri = format!("capnp://insecure@127.0.0.1:{port}/AA");
        let error = refusal(&uri.parse().unwrap()).await;
        let expected = format!(
            "cannot connect to tcp:127.0.0.1:{port}: connection refused; \
             check that the server runs and listens there"
        );
        assert_eq!(error.to_string(), expected);
        let error = refusal(&"capnp://insecure@/nonexistent/s.sock/AA".parse().unwrap()).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    });
}

#[test]
fn a_host_without_an_address() {
    run(async {
        let error = refusal(&"capnp://insecure@nosuch.invalid:1/AA".parse().unwrap()).await;
        assert!(
            matches!(&error, ConnectError::UnknownHost { host, .. } if host == "nosuch.invalid"),
            "{error}"
        );
    });
}

#[test]
fn an_unresponsive_server() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fingerprint = Identity::ephemeral().fingerprint();
        for auth in ["insecure".to_owned(), format!("sha-256:{fingerprint}")] {
            let uri = format!("capnp://{auth}@127.0.0.1:{port}/AA");
            let error = refusal(&uri.parse().unwrap()).await;
            assert!(matches!(error, ConnectError::Silent { .. }), "{error}");
        }
    });
}

#[test]
fn tls_on_one_side_only() {
    run(async {
        let served = Served::tls();
        let mut sturdy_ref = served.sturdy_ref.clone();
        sturdy_ref.auth = Auth::Insecure;
        let error = refusal(&sturdy_ref).await;
        assert!(matches!(error, ConnectError::SpeaksTls { .. }), "{error}");

        let served = Served::start(Security::Plaintext);
        let mut sturdy_ref = served.sturdy_ref.clone();
        sturdy_ref.auth = Auth::Sha256(Identity::ephemeral().fingerprint());
        let error = refusal(&sturdy_ref).await;
        assert!(matches!(error, ConnectError::NotTls { .. }), "{error}");
    });
}

#[test]
fn an_address_in_use() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let socket = Address::Unix(dir.path().join("s.sock"));
        for address in [Address::tcp("127.0.0.1", 0), socket] {
            let first = Listener::bind(&address, Security::Plaintext).unwrap();
            let again = Listener::bind(&first.local_address(), Security::Plaintext);
            assert!(matches!(again, Err(ListenError::InUse(_))));
        }
    });
}

#[test]
fn a_stale_socket_is_replaced() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let address = Address::Unix(path.clone());
        drop(Listener::bind(&address, Security::Plaintext).unwrap());
        assert!(path.symlink_metadata().unwrap().file_type().is_socket());
        let served = Served::start_at(&address, Security::Plaintext, ServeOptions::default());
        let session = served.connect().await;
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");

        let file = dir.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        let taken = Listener::bind(&Address::Unix(file.clone()), Security::Plaintext);
        assert!(matches!(taken, Err(ListenError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
    });
}

#[test]
fn errors_name_the_lost_server() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let client = session.bootstrap();
        let hanging = call(&client, HANG, b"");
        let made = make(&client);
        echo(&made, b"hi").await.unwrap();
        let address = session.address();
        served.task.abort();
        let expected = format!(
            "lost connection to the scheduler at {address} (aborted by the other side: the server is shutting down)"
        );
        for error in [
            hanging.await.unwrap_err(),
            echo(&made, b"hi").await.unwrap_err(),
            session.closed().await,
        ] {
            assert_eq!(error.kind, ErrorKind::Disconnected);
            assert_eq!(error.extra, expected);
        }
    });
}

#[test]
fn errors_have_the_description_of_the_lost_peer() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let client = session.bootstrap();
        call_with_cap(&client, KEEP, Echo::new().client())
            .await
            .unwrap();
        let peer = served.services.last_peer();
        peer.describe("worker \"w1\" disconnected");
        peer.describe("worker \"w2\" disconnected");
        drop((client, session));
        let error = peer.closed().await;
        assert_eq!(error.kind, ErrorKind::Disconnected);
        let expected = "worker \"w1\" disconnected; worker \"w2\" disconnected \
                        (closed by the other side)";
        assert_eq!(error.extra, expected);

        // A user of its capability, through us, gets the same text, without a prefix from each vat on the way.
        let other = served.connect().await;
        let error = call(&other.bootstrap(), ASK_KEPT, b"").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Disconnected);
        assert_eq!(error.extra, format!("remote exception: {expected}"));
    });
}

#[test]
fn exceptions_do_not_collect_prefixes() {
    run(async {
        let one = Served::tls();
        let two = Served::tls();
        let session = two.connect().await;
        // The second vat keeps a capability of the first.
        let far = one.connect().await.bootstrap();
        let failing = call_with_cap(&session.bootstrap(), CALL_BACK, make(&far)).await;
        assert_eq!(failing.unwrap(), b"called back");
        let error = call(
            &session.bootstrap(),
            FAIL,
            b"remote exception: remote exception: no",
        )
        .await
        .unwrap_err();
        assert_eq!(error.extra, "remote exception: no");
    });
}

#[test]
fn a_connection_can_be_closed_with_a_reason() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        let peer = served.services.last_peer();
        peer.close("enough");
        let error = session.closed().await;
        assert!(
            error.extra.ends_with("(aborted by the other side: enough)"),
            "{error}"
        );
        let error = peer.closed().await;
        assert!(error.extra.ends_with("(enough)"), "{error}");
    });
}

#[test]
fn a_panic_ends_only_its_own_connection() {
    run(async {
        let served = Served::tls();
        let healthy = served.connect().await;
        let session = served.connect().await;
        call_with_cap(&session.bootstrap(), KEEP, Echo::new().client())
            .await
            .unwrap();
        let error = call(&session.bootstrap(), PANIC, b"").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Disconnected);
        assert!(
            error
                .extra
                .ends_with("(aborted by the other side: internal error)"),
            "{error}"
        );
        assert_eq!(echo(&healthy.bootstrap(), b"hi").await.unwrap(), b"hi");
        // A capability from the broken connection is broken, too, and does not hang.
        call(&healthy.bootstrap(), ASK_KEPT, b"").await.unwrap_err();
    });
}

#[test]
fn dropping_a_listener_closes_its_connections() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let session = served.connect().await;
        // One that has sent nothing yet.
        let mut silent = RawPeer::connect(&served.sturdy_ref).await;
        eventually("accepted", || served.counters.read().connections == 2).await;
        served.task.abort();
        session.closed().await;
        silent.assert_closed_at_once().await;
        eventually("closed", || served.counters.read().connections == 0).await;
        let error = refusal(&served.sturdy_ref).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    });
}

#[test]
fn a_slow_reader_gets_all_messages_before_the_program_exits() {
    // More than the buffers of two sockets hold.
    const SIZE: usize = 20_000_000;
    const KNOWN: &[u8] = b"a\0b\xff\0";
    let (send, receive) = std::sync::mpsc::channel();
    let program = std::thread::spawn(move || {
        run(async move {
            let served = Served::start(Security::Plaintext);
            send.send(served.sturdy_ref.clone()).unwrap();
            let received = || served.counters.read().bytes_in;
            eventually("asked", || received() > SIZE as u64).await;
            served.connections.flushed().await;
        });
    });
    let sturdy_ref: SturdyRef = receive.recv().unwrap();
    run(async {
        let mut peer = RawPeer::connect(&sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        peer.send(&call_answer(1, 0, ECHO, &vec![7; SIZE])).await;
        let mut answered = false;
        while let Some(message) = peer.receive().await {
            let root: message::Reader<'_> = message.get_root().unwrap();
            if let Ok(message::Return(answer)) = root.which() {
                answered |= answer.unwrap().get_answer_id() == 1;
            }
        }
        assert!(answered, "the connection was closed before");
    });
    program.join().unwrap();
}

#[test]
fn flushed_returns_at_once_when_nothing_is_unsent() {
    run(async {
        let served = Served::tls();
        let session = served.connect().await;
        session.peer().flushed().await;
        session.close("done");
        session.closed().await;
        session.peer().flushed().await;
    });
}
