//! Service ids on the wire, as a peer sees them that sends raw messages. This is what upstream's programs would see.

mod common;

use common::raw::{PeerMessage, RawPeer, bootstrap, build, call_answer};
use common::*;
use vat::{Security, ServiceId};

/// The id of the service in [`Served`], as a Text on the wire.
const KNOWN: &[u8] = b"a\0b\xff\0";

const UNKNOWN: &str = "Unknown persistent service ID";

async fn raw(served: &Served) -> RawPeer {
    RawPeer::connect(&served.sturdy_ref).await
}

fn results(question: u32, exports: &[u32]) -> PeerMessage {
    PeerMessage::Results {
        question,
        exports: exports.to_vec(),
    }
}

fn unknown(question: u32) -> PeerMessage {
    PeerMessage::Exception {
        question,
        reason: UNKNOWN.to_owned(),
    }
}

#[test]
fn an_id_with_zero_bytes_and_no_utf8_is_found() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(7, Some(KNOWN))).await;
        assert_eq!(peer.next().await, results(7, &[0]));
    });
}

#[test]
fn the_same_id_twice_gives_the_same_export() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        peer.send(&bootstrap(1, Some(KNOWN))).await;
        assert_eq!(peer.next().await, results(0, &[0]));
        assert_eq!(peer.next().await, results(1, &[0]));
    });
}

#[test]
fn an_unknown_id_leaves_the_connection_up() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(0, Some(b"nonsense\0"))).await;
        // A call that is pipelined on it gets the same answer.
        peer.send(&call_answer(1, 0, ECHO, b"hi")).await;
        assert_eq!(peer.next().await, unknown(0));
        assert_eq!(peer.next().await, unknown(1));
        // One more zero byte is another id.
        peer.send(&bootstrap(2, Some(b"a\0b\xff\0\0"))).await;
        assert_eq!(peer.next().await, unknown(2));
        peer.send(&bootstrap(3, Some(KNOWN))).await;
        assert_eq!(peer.next().await, results(3, &[0]));
    });
}

#[test]
fn no_id_and_an_empty_one_are_the_empty_id() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(0, None)).await;
        peer.send(&bootstrap(1, Some(b"\0"))).await;
        assert_eq!(peer.next().await, unknown(0));
        assert_eq!(peer.next().await, unknown(1));
        let empty = ServiceId::from_bytes([]);
        let service = Echo::new().client();
        served.services.table.borrow_mut().insert(empty, service);
        peer.send(&bootstrap(2, None)).await;
        assert_eq!(peer.next().await, results(2, &[0]));
        // The dialer leaves out an empty id.
        let mut sturdy_ref = served.sturdy_ref.clone();
        sturdy_ref.service = ServiceId::from_bytes([]);
        let session = dialer().connect(&sturdy_ref).await.unwrap();
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
    });
}

#[test]
fn an_id_that_is_not_a_text_ends_the_connection() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(0, Some(b"a\0b\xff"))).await;
        let reason = peer.abort_reason().await.unwrap();
        assert!(reason.contains("not a text"), "{reason}");
    });
}

#[test]
fn calls_on_an_unanswered_bootstrap_are_answered() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = raw(&served).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        peer.send(&call_answer(1, 0, MAKE, b"")).await;
        peer.send(&call_answer(2, 1, ECHO, b"hi")).await;
        let mut answers = vec![peer.next().await, peer.next().await, peer.next().await];
        answers.sort_by_key(|answer| match answer {
            PeerMessage::Results { question, .. } => *question,
            other => panic!("{other:?}"),
        });
        let [zero, one, two] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert!(matches!(zero, PeerMessage::Results { exports, .. } if exports.len() == 1));
        assert!(matches!(one, PeerMessage::Results { exports, .. } if exports.len() == 1));
        assert_eq!(*two, results(2, &[]));
    });
}

#[test]
fn the_reserved_question_is_rejected() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let messages = [
            bootstrap(u32::MAX, Some(KNOWN)),
            call_answer(u32::MAX, 0, ECHO, b""),
            build(|message| message.init_finish().set_question_id(u32::MAX)),
        ];
        for message in messages {
            let mut peer = raw(&served).await;
            peer.send(&message).await;
            let reason = peer.abort_reason().await.unwrap();
            assert_eq!(reason, "question id 4294967295 is reserved");
        }
        // A call of its answer fails.
        let mut peer = raw(&served).await;
        peer.send(&call_answer(1, u32::MAX, ECHO, b"")).await;
        let answer = peer.next().await;
        assert!(
            matches!(answer, PeerMessage::Exception { question: 1, .. }),
            "{answer:?}"
        );
    });
}

#[test]
fn a_vat_that_only_dials_has_no_services() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let uri = format!("capnp://insecure@127.0.0.1:{port}/AAAA");
        let dialing = tokio::task::spawn_local(async move {
            dialer().connect(&uri.parse().unwrap()).await.map(drop)
        });
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = RawPeer { stream };
        assert_eq!(peer.next().await, PeerMessage::Other, "its bootstrap");
        peer.send(&bootstrap(5, None)).await;
        assert_eq!(
            peer.next().await,
            PeerMessage::Exception {
                question: 5,
                reason: "This vat has no restorer".to_owned()
            }
        );
        dialing.abort();
    });
}
