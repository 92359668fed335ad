//! Broken and hostile peers: each loses its own connection at most, and no other peer is affected.

#![expect(clippy::print_stdout, reason = "shows what was measured")]

mod common;

use std::time::{Duration, Instant};

use capnp_rpc::rpc_capnp::{cap_descriptor, message};
use common::raw::{
    Message, PeerMessage, RawPeer, bootstrap, build, call_answer, call_with, finish, resolve,
};
use common::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::AsyncReadExt as _;
use vat::{Address, Identity, Limits, Security, ServeOptions};

fn impatient() -> ServeOptions {
    ServeOptions {
        handshake_timeout: Duration::from_millis(200),
        ..ServeOptions::default()
    }
}

async fn assert_healthy(session: &vat::Session) {
    assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
}

/// Waits until `count` connections are left.
async fn assert_left(served: &Served, count: u64) {
    eventually("closed", || served.counters.read().connections == count).await;
}

#[test]
fn a_message_over_the_limit_is_refused_with_both_sizes() {
    run(async {
        let options = ServeOptions {
            limits: Limits {
                message: 100_000,
                ..Limits::default()
            },
            ..ServeOptions::default()
        };
        let served = serve(Security::Tls(Identity::ephemeral()), options);
        let healthy = served.connect().await;
        let session = served.connect().await;
        let large = vec![1; 99_000];
        assert_eq!(echo(&session.bootstrap(), &large).await.unwrap(), large);
        // Large enough to fill all buffers on the way. The reason arrives nevertheless.
        let too_large = vec![1; 20_000_000];
        let error = echo(&session.bootstrap(), &too_large).await.unwrap_err();
        let text = &error.extra;
        assert!(
            text.contains("message of 20000") && text.contains("over the limit of 100000 bytes"),
            "{text}"
        );
        assert_healthy(&healthy).await;
        assert_left(&served, 1).await;
    });
}

#[test]
fn a_message_with_too_many_segments_is_refused() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send_bytes(&[0, 2, 0, 0]).await;
        assert_eq!(
            peer.abort_reason().await.unwrap(),
            "message of 513 segments is over the limit of 512 segments"
        );
    });
}

#[test]
fn invalid_bytes_are_disconnected_at_once() {
    run(async {
        let long = serve(
            Security::Tls(Identity::ephemeral()),
            ServeOptions::default(),
        );
        let plain = serve(Security::Plaintext, ServeOptions::default());
        for (served, bytes) in [
            (&long, &b"GET / HTTP/1.1\r\n\r\n"[..]),
            (&long, &[0; 100]),
            (&plain, &b"GET / HTTP/1.1\r\n\r\n"[..]),
            // The start of TLS.
            (&plain, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]),
        ] {
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send_bytes(bytes).await;
            peer.assert_closed_at_once().await;
        }
        assert_eq!(long.counters.read().connections_rejected, 2);
        assert_left(&plain, 0).await;
    });
}

#[test]
fn a_silent_peer_at_a_tls_port_is_disconnected_in_time() {
    run(async {
        let served = serve(Security::Tls(Identity::ephemeral()), impatient());
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.assert_closed_at_once().await;
        assert_eq!(served.counters.read().connections_rejected, 1);
    });
}

#[test]
fn a_client_without_a_certificate_is_disconnected_at_once() {
    run(async {
        let served = Served::tls();
        let healthy = served.connect().await;
        let Address::Tcp { port, .. } = served.sturdy_ref.address else {
            panic!("not TCP");
        };
        let output = tokio::task::spawn_blocking(move || {
            // It would run as long as its input and the connection last.
            std::process::Command::new("timeout")
                .args([
                    "20", "openssl", "s_client", "-quiet", "-ign_eof", "-connect",
                ])
                .arg(format!("127.0.0.1:{port}"))
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap()
        });
        let output = output.await.unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains("certificate required"), "{printed}");
        assert_eq!(served.counters.read().connections_rejected, 1);
        assert_healthy(&healthy).await;
    });
}

/// A message of a kind that does not exist.
fn of_unknown_kind() -> Vec<u8> {
    let mut bytes = capnp::serialize::write_message_to_words(&call_answer(0, 0, ECHO, b""));
    bytes[16] = 0xee;
    bytes
}

fn release(id: u32, count: u32) -> Message {
    build(|message| {
        let mut release = message.init_release();
        release.set_id(id);
        release.set_reference_count(count);
    })
}

fn answer(question: u32) -> Message {
    build(|message| {
        let mut answer = message.init_return();
        answer.set_answer_id(question);
        answer.init_results();
    })
}

fn disembargo(fill: impl FnOnce(capnp_rpc::rpc_capnp::disembargo::Builder<'_>)) -> Message {
    build(|message| fill(message.init_disembargo()))
}

#[test]
fn broken_rules_end_one_connection() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        let cases = [
            ("release of an unknown export", vec![release(77, 1)]),
            ("release of too many references", vec![release(0, 2)]),
            ("release of the most references", vec![release(0, u32::MAX)]),
            ("answer to no question", vec![answer(0)]),
            ("answer to a far question", vec![answer(u32::MAX)]),
            (
                "a question asked twice",
                vec![call_answer(1, 0, HANG, b""), call_answer(1, 0, HANG, b"")],
            ),
            (
                "a disembargo of nothing",
                vec![disembargo(|mut d| {
                    d.reborrow().init_context().set_sender_loopback(3);
                    d.init_target().set_imported_cap(0);
                })],
            ),
            (
                "a disembargo that was not asked for",
                vec![disembargo(|mut d| {
                    d.reborrow().init_context().set_receiver_loopback(u32::MAX);
                })],
            ),
            (
                "a call of an unknown export",
                vec![build(|message| {
                    let mut call = message.init_call();
                    call.set_question_id(1);
                    call.init_target().set_imported_cap(u32::MAX);
                })],
            ),
            (
                "a third party",
                vec![call_with(1, 0, KEEP, |mut cap| {
                    cap.reborrow().init_third_party_hosted();
                })],
            ),
            (
                "a resolution of what is settled",
                vec![
                    call_with(1, 0, KEEP, |mut cap| cap.set_sender_hosted(5)),
                    resolve(5, |mut cap| cap.set_sender_hosted(6)),
                ],
            ),
        ];
        for (what, messages) in cases {
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send(&bootstrap(0, Some(KNOWN))).await;
            for message in &messages {
                peer.send(message).await;
            }
            let reason = peer.abort_reason().await;
            assert!(reason.is_some(), "{what}: it got no reason");
            assert_healthy(&healthy).await;
            assert_left(&served, 1).await;
        }
    });
}

#[test]
fn harmless_violations_are_tolerated() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        assert!(matches!(
            peer.next().await,
            PeerMessage::Results { question: 0, .. }
        ));
        let violations = [
            finish(4),
            finish(4),
            call_with(2, 0, KEEP, |mut cap| cap.set_receiver_hosted(4711)),
            call_with(3, 0, KEEP, |cap| {
                cap.init_receiver_answer().set_question_id(4711);
            }),
        ];
        for message in &violations[..2] {
            peer.send(message).await;
        }
        peer.send_bytes(&of_unknown_kind()).await;
        assert_eq!(peer.next().await, PeerMessage::Other, "it is Unimplemented");
        for message in &violations[2..] {
            peer.send(message).await;
            assert!(matches!(peer.next().await, PeerMessage::Results { .. }));
        }
        peer.send(&call_answer(1, 0, ECHO, b"hi")).await;
        assert!(matches!(
            peer.next().await,
            PeerMessage::Results { question: 1, .. }
        ));
    });
}

/// Ways to resolve promises 5, 6 and 7 in a circle, and the reasons with which promise 5 then breaks.
///
/// In a longer circle, the first promise is released before the circle closes. Its number then means another promise,
/// and the peer gets the call.
fn circles() -> Vec<(&'static str, Vec<Message>, Option<&'static str>)> {
    let itself = "the promise resolves to itself";
    let ours = "a promise may not resolve to a capability of its receiver";
    let to_promise = |promise, id| resolve(promise, |mut cap| cap.set_sender_promise(id));
    let to_settled = |promise, id| resolve(promise, |mut cap| cap.set_sender_hosted(id));
    let to_export = resolve(5, |mut cap| cap.set_receiver_hosted(0));
    let to_answer = resolve(5, |cap| cap.init_receiver_answer().set_question_id(0));
    vec![
        ("itself", vec![to_promise(5, 5)], Some(itself)),
        ("itself, as settled", vec![to_settled(5, 5)], Some(itself)),
        ("each other", vec![to_promise(5, 6), to_promise(6, 5)], None),
        (
            "a round of three",
            vec![to_promise(5, 6), to_promise(6, 7), to_promise(7, 5)],
            None,
        ),
        ("a capability of ours", vec![to_export], Some(ours)),
        ("an answer of ours", vec![to_answer], Some(ours)),
    ]
}

/// A promise that resolves to itself must not keep us busy for ever, nor break anything but itself.
#[test]
fn promises_in_circles_are_broken() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        for (what, resolutions, expected) in circles() {
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send(&bootstrap(0, Some(KNOWN))).await;
            // Three echoes keep one promise each.
            for id in 5..8 {
                peer.send(&call_answer(10 + id, 0, MAKE, b"")).await;
                let keep = call_with(20 + id, 10 + id, KEEP, |mut cap| cap.set_sender_promise(id));
                peer.send(&keep).await;
            }
            for resolution in &resolutions {
                peer.send(resolution).await;
            }
            // The first one calls its promise.
            peer.send(&call_answer(40, 15, ASK_KEPT, b"")).await;
            let reason = loop {
                match peer.next().await {
                    PeerMessage::Exception {
                        question: 40,
                        reason,
                    } => break Some(reason),
                    PeerMessage::Call => break None,
                    PeerMessage::End => panic!("{what}: the connection has ended"),
                    _ => {}
                }
            };
            assert_eq!(reason.as_deref(), expected, "{what}");
            assert_healthy(&healthy).await;
        }
    });
}

#[test]
fn a_small_message_that_pretends_to_be_large_is_rejected() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        // A message with a list of 2^29 - 1 empty structs. A copy in the Unimplemented answer would take for ever.
        let mut bytes = capnp::serialize::write_message_to_words(&build(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            call.init_params().init_cap_table(1);
        }));
        let tag = bytes.len() - 24;
        bytes[tag..tag + 4].copy_from_slice(&(0x1fff_ffffu32 << 2).to_le_bytes());
        bytes[tag + 4..tag + 8].fill(0);
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send_bytes(&bytes).await;
        assert!(peer.abort_reason().await.is_some());
        assert_healthy(&healthy).await;
    });
}

/// Pointers can make 16 KiB appear as 8 MiB. A copy, as in the answer to a message of an unknown kind, would be as
/// large as it appears.
#[test]
fn a_message_that_repeats_its_bytes_by_pointers_is_not_copied() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        const BLOB: u64 = 8192;
        const POINTERS: u64 = 1000;
        let save = 7;
        let mut words = vec![1 << 32 | 1 << 48, save, 1 | (6 | POINTERS << 3) << 32];
        for index in 0..POINTERS {
            let distance = POINTERS - index - 1;
            words.push(distance << 2 | 1 | (2 | BLOB << 3) << 32);
        }
        words.extend(vec![0; BLOB as usize / 8]);
        let mut bytes = vec![0; 4];
        bytes.extend((words.len() as u32).to_le_bytes());
        bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send_bytes(&bytes).await;
        assert!(peer.abort_reason().await.is_some());
        assert_healthy(&healthy).await;
        assert!(served.counters.read().bytes_out < 10_000);
    });
}

#[test]
fn more_questions_or_capabilities_than_allowed_end_the_connection() {
    run(async {
        let options = ServeOptions {
            limits: Limits {
                questions: 20,
                unauthenticated_questions: 10,
                imports: 10,
                ..Limits::default()
            },
            ..ServeOptions::default()
        };
        let served = serve(Security::Plaintext, options);
        let mut unauthenticated = RawPeer::connect(&served.sturdy_ref).await;
        for question in 0..20 {
            unauthenticated
                .send(&call_answer(question, 4711, ECHO, b""))
                .await;
        }
        let reason = unauthenticated.abort_reason().await.unwrap();
        assert_eq!(reason, "more than 10 open questions");

        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        assert!(matches!(peer.next().await, PeerMessage::Results { .. }));
        for question in 1..30 {
            peer.send(&call_answer(question, 0, HANG, b"")).await;
        }
        let reason = peer.abort_reason().await.unwrap();
        assert_eq!(reason, "more than 20 open questions");

        let expected = [
            (11, "more than 10 capabilities at a time"),
            (65, "more than 64 capabilities in one message"),
        ];
        for (count, expected) in expected {
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send(&bootstrap(0, Some(KNOWN))).await;
            let table = build(|message| {
                let mut call = message.init_call();
                call.set_question_id(1);
                let mut table = call.init_params().init_cap_table(count);
                for id in 0..count {
                    table.reborrow().get(id).set_sender_hosted(id);
                }
            });
            peer.send(&table).await;
            assert_eq!(peer.abort_reason().await.unwrap(), expected);
        }
        // A peer that finishes its questions may ask without limit.
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        for question in 0..50 {
            peer.send(&bootstrap(question, Some(KNOWN))).await;
            assert!(matches!(peer.next().await, PeerMessage::Results { .. }));
            peer.send(&finish(question)).await;
        }
        // And so may one whose answers need no Finish, and which releases its capabilities.
        let session = served.connect().await;
        for _ in 0..50 {
            assert_healthy(&session).await;
            let made = make(&session.bootstrap());
            let kept = call_with_cap(&made, KEEP, Echo::new().client()).await;
            kept.unwrap();
        }
    });
}

#[test]
fn a_peer_that_does_not_read_is_paused_and_then_closed() {
    run(async {
        let options = ServeOptions {
            limits: Limits {
                unsent: 100_000,
                unsent_time: Duration::from_millis(300),
                ..Limits::default()
            },
            ..ServeOptions::default()
        };
        let served = serve(Security::Plaintext, options);
        let healthy = served.connect().await;
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        let bytes = vec![7; 1_000_000];
        let sending = async {
            for question in 1..100 {
                peer.send(&call_answer(question, 0, ECHO, &bytes)).await;
            }
        };
        let sending = tokio::time::timeout(Duration::from_secs(20), sending).await;
        assert!(sending.is_ok(), "it was neither served nor closed");
        // Only a part of it was read.
        assert!(served.counters.read().bytes_in < 60_000_000);
        assert_left(&served, 1).await;
        assert_healthy(&healthy).await;
    });
}

#[test]
fn a_peer_that_reads_slowly_is_served() {
    run(async {
        let options = ServeOptions {
            limits: Limits {
                unsent: 100_000,
                unsent_time: Duration::from_secs(30),
                ..Limits::default()
            },
            ..ServeOptions::default()
        };
        let served = serve(Security::Plaintext, options);
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        let bytes = vec![7; 1_000_000];
        let (mut reading, mut writing) = peer.stream.split();
        let calls = async {
            for question in 1..20 {
                let bytes = capnp::serialize::write_message_to_words(&call_answer(
                    question, 0, ECHO, &bytes,
                ));
                tokio::io::AsyncWriteExt::write_all(&mut writing, &bytes)
                    .await
                    .unwrap();
            }
        };
        let answers = async {
            let mut bytes = vec![0; 100_000];
            let mut count = 0;
            while count < 19_000_000 {
                count += reading.read(&mut bytes).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(calls, answers);
        assert_eq!(served.counters.read().connections, 1);
    });
}

/// What upstream's programs send: the start of every mutation.
const RECORDED: [&[u8]; 4] = [
    include_bytes!("vectors/wire/admin-add-client.c2s.bin"),
    include_bytes!("vectors/wire/client-docker-build.c2s.bin"),
    include_bytes!("vectors/wire/client-killed-running.c2s.bin"),
    include_bytes!("vectors/wire/worker-docker-build.c2s.bin"),
];

#[test]
fn upstreams_recorded_messages_are_understood() {
    run(async {
        let served = Served::start(Security::Plaintext);
        for recorded in RECORDED {
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send_bytes(recorded).await;
            // The recorded id is unknown, and that is the only error.
            assert_eq!(
                peer.next().await,
                PeerMessage::Exception {
                    question: 0,
                    reason: "Unknown persistent service ID".to_owned()
                }
            );
        }
    });
}

/// Sends bytes as a peer, and asserts that another peer is not affected.
fn attack(inputs: &(impl Strategy<Value = Vec<u8>> + Clone), cases: u32) {
    let inputs = inputs.clone();
    run(async move {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        let mut runner = TestRunner::new(Config::with_cases(1));
        let mut slowest = Duration::ZERO;
        for case in 0..cases {
            let bytes = inputs.new_tree(&mut runner).unwrap().current();
            let mut peer = RawPeer::connect(&served.sturdy_ref).await;
            peer.send(&bootstrap(0, Some(KNOWN))).await;
            peer.send_bytes(&bytes).await;
            let before = Instant::now();
            for _ in 0..3 {
                let answer = echo(&healthy.bootstrap(), b"hi").await;
                assert_eq!(answer.unwrap(), b"hi", "after {case}: {bytes:?}");
            }
            slowest = slowest.max(before.elapsed());
        }
        assert_left(&served, 1).await;
        println!("slowest answer to the other peer: {slowest:?}");
    });
}

#[test]
fn random_bytes_harm_no_other_peer() {
    attack(&proptest::collection::vec(any::<u8>(), 0..2000), 200);
}

#[test]
fn damaged_messages_harm_no_other_peer() {
    let flips = proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..8), 1..10);
    let damaged = (proptest::sample::select(&RECORDED[..]), flips).prop_map(|(recorded, flips)| {
        let mut bytes = recorded.to_vec();
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
        }
        bytes
    });
    attack(&damaged, 500);
}

/// A readable message with senseless numbers.
fn senseless(kind: u8, a: u32, b: u32, c: u32, flag: bool) -> Message {
    let describe = move |mut cap: cap_descriptor::Builder<'_>| match c % 5 {
        0 => cap.set_sender_hosted(b),
        1 => cap.set_sender_promise(b),
        2 => cap.set_receiver_hosted(b),
        3 => cap.init_receiver_answer().set_question_id(b),
        _ => cap.set_none(()),
    };
    match kind {
        0 => bootstrap(a, flag.then_some(KNOWN)),
        1 => call_answer(a, b, (c % 7) as u16, b"text"),
        2 | 3 => call_with(a, 0, if flag { KEEP } else { CALL_BACK }, describe),
        4 => release(a, b),
        5 => finish(a),
        6 => resolve(a, describe),
        7 => build(|message| {
            let mut answer = message.init_return();
            answer.set_answer_id(a);
            match c % 4 {
                0 => answer.set_canceled(()),
                1 => answer.set_take_from_other_question(b),
                2 => answer.set_results_sent_elsewhere(()),
                _ => describe(answer.init_results().init_cap_table(1).get(0)),
            }
        }),
        8 => disembargo(|mut d| {
            d.reborrow().init_context().set_sender_loopback(a);
            d.init_target().set_imported_cap(b);
        }),
        9 => disembargo(|d| d.init_context().set_receiver_loopback(a)),
        10 => call_answer(a, 0, ASK_KEPT, b""),
        _ => build(|message| {
            let mut call = message.init_call();
            call.set_question_id(a);
            call.set_interface_id(common::INTERFACE);
            call.set_method_id((b % 7) as u16);
            if flag {
                call.reborrow().get_send_results_to().set_yourself(());
            }
            call.init_target().init_promised_answer().set_question_id(0);
        }),
    }
}

/// They reach further into the code than damaged bytes.
#[test]
fn senseless_messages_harm_no_other_peer() {
    let id = || prop_oneof![0u32..6, Just(u32::MAX - 1), any::<u32>()];
    let one = (0u8..12, id(), id(), id(), any::<bool>()).prop_map(|(kind, a, b, c, flag)| {
        capnp::serialize::write_message_to_words(&senseless(kind, a, b, c, flag))
    });
    let several = proptest::collection::vec(one, 1..30).prop_map(|messages| messages.concat());
    attack(&several.boxed(), 500);
}

#[test]
fn nested_unknown_messages_are_not_echoed_without_limit() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let healthy = served.connect().await;
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        let message = build(|message| {
            let mut inner: message::Builder<'_> = message.init_unimplemented();
            for _ in 0..100 {
                inner = inner.init_unimplemented();
            }
        });
        peer.send(&message).await;
        assert!(peer.abort_reason().await.is_some());
        assert_healthy(&healthy).await;
    });
}
