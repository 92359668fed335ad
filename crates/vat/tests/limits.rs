//! How much peers may use. What is just within a limit works; more ends one connection, or breaks one promise.

mod common;

use std::time::Duration;

use capnp_rpc::rpc_capnp::cap_descriptor;
use common::raw::{PeerMessage, RawPeer, bootstrap, build, call_answer, call_with, resolve};
use common::*;
use vat::{Limits, Security, ServeOptions};

fn served_with(limits: Limits) -> Served {
    let options = ServeOptions {
        limits,
        ..ServeOptions::default()
    };
    serve(Security::Plaintext, options)
}

/// Connects, and asks for the service with question 0.
async fn authenticated_peer(served: &Served) -> RawPeer {
    let mut peer = RawPeer::connect(&served.sturdy_ref).await;
    peer.send(&bootstrap(0, Some(KNOWN))).await;
    assert!(matches!(peer.next().await, PeerMessage::Results { .. }));
    peer
}

#[test]
fn the_length_of_a_chain_of_unanswered_calls_is_limited() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = authenticated_peer(&served).await;
        // While answers come, the chain of calls has no limit.
        for question in 1..100 {
            peer.send(&call_answer(question, question - 1, MAKE, b""))
                .await;
            let answer = peer.next().await;
            assert!(matches!(answer, PeerMessage::Results { .. }), "{answer:?}");
        }
        peer.send(&call_answer(100, 0, HANG, b"")).await;
        for question in 101..116 {
            peer.send(&call_answer(question, question - 1, MAKE, b""))
                .await;
        }
        // That is 16, and other objects may still be called.
        peer.send(&call_answer(116, 0, ECHO, b"hi")).await;
        assert!(matches!(
            peer.next().await,
            PeerMessage::Results { question: 116, .. }
        ));
        peer.send(&call_answer(117, 115, MAKE, b"")).await;
        let reason = peer.abort_reason().await.unwrap();
        assert!(
            reason.starts_with("more than 16 calls in a row"),
            "{reason}"
        );
    });
}

#[test]
fn the_length_of_a_chain_of_promises_is_limited() {
    run(async {
        let served = Served::start(Security::Plaintext);
        for (last, expected) in [
            (26, None),
            (27, Some("the promise is part of a chain that is too long")),
        ] {
            let mut peer = authenticated_peer(&served).await;
            // All of them are held.
            for id in 10..=last {
                peer.send(&call_answer(100 + id, 0, MAKE, b"")).await;
                let keep = call_with(200 + id, 100 + id, KEEP, |mut cap| {
                    cap.set_sender_promise(id);
                });
                peer.send(&keep).await;
            }
            for id in 10..last {
                let next = |mut cap: cap_descriptor::Builder<'_>| cap.set_sender_promise(id + 1);
                peer.send(&resolve(id, next)).await;
            }
            for id in 10..=last {
                peer.send(&call_answer(300 + id, 100 + id, ASK_KEPT, b""))
                    .await;
            }
            let mut broken = None;
            let mut asked = 0;
            while broken.is_none() && asked < last - 9 {
                match peer.next().await {
                    PeerMessage::Exception { reason, .. } => broken = Some(reason),
                    PeerMessage::Call => asked += 1,
                    PeerMessage::End => panic!("the connection has ended"),
                    _ => {}
                }
            }
            assert_eq!(broken.as_deref(), expected, "up to {last}");
        }
    });
}

#[test]
fn a_promise_that_comes_back_ends_the_connection() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = authenticated_peer(&served).await;
        peer.send(&call_answer(1, 0, HANG, b"")).await;
        let with_answer = call_with(2, 0, KEEP, |cap| {
            cap.init_receiver_answer().set_question_id(1);
        });
        peer.send(&with_answer).await;
        let reason = peer.abort_reason().await.unwrap();
        assert_eq!(reason, "a promise may not be sent back to its owner");
        // A settled capability may be.
        let mut peer = RawPeer::connect(&served.sturdy_ref).await;
        peer.send(&bootstrap(0, Some(KNOWN))).await;
        let PeerMessage::Results { exports, .. } = peer.next().await else {
            panic!("no results");
        };
        let with_export = call_with(1, 0, CALL_BACK, |mut cap| {
            cap.set_receiver_hosted(exports[0]);
        });
        peer.send(&with_export).await;
        assert!(matches!(
            peer.next().await,
            PeerMessage::Results { question: 1, .. }
        ));
    });
}

#[test]
fn a_long_path_into_an_answer_is_refused() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = authenticated_peer(&served).await;
        let call = build(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            let mut answer = call.init_target().init_promised_answer();
            answer.set_question_id(0);
            answer.init_transform(17);
        });
        peer.send(&call).await;
        let reason = peer.abort_reason().await.unwrap();
        assert_eq!(reason, "more than 16 steps into an answer");
    });
}

#[test]
fn long_reasons_are_cut() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = authenticated_peer(&served).await;
        peer.send(&call_with(1, 0, CALL_BACK, |mut cap| {
            cap.set_sender_hosted(5);
        }))
        .await;
        assert_eq!(peer.next().await, PeerMessage::Call);
        let failed = build(|message| {
            let mut answer = message.init_return();
            answer.set_answer_id(0);
            answer.init_exception().set_reason("x".repeat(1 << 20));
        });
        peer.send(&failed).await;
        let reason = loop {
            if let PeerMessage::Exception { reason, .. } = peer.next().await {
                break reason;
            }
        };
        assert!(reason.len() < 17_000, "{} bytes", reason.len());
        assert!(
            reason.ends_with("x… (1032256 more bytes)"),
            "{}",
            &reason[16_000..]
        );

        // The same for exceptions of our own services.
        let session = served.connect().await;
        let error = call(&session.bootstrap(), FAIL, &[b'y'; 1 << 20])
            .await
            .unwrap_err();
        assert!(error.extra.len() < 17_000);
    });
}

#[test]
fn a_large_message_of_an_unauthenticated_peer_waits_for_its_service() {
    run(async {
        for (delay, id, is_served) in [
            (None, KNOWN, true),
            (Some(Duration::from_millis(50)), KNOWN, true),
            (Some(Duration::from_millis(50)), &b"unknown\0"[..], false),
        ] {
            let served = Served::start_slowly(delay);
            let peer = RawPeer::connect(&served.sturdy_ref).await;
            let large = call_answer(1, 0, ECHO, &vec![7; 1 << 20]);
            let mut bytes = capnp::serialize::write_message_to_words(&bootstrap(0, Some(id)));
            bytes.extend(capnp::serialize::write_message_to_words(&large));
            let (mut reading, mut writing) = peer.stream.into_split();
            let send = tokio::task::spawn_local(async move {
                // The other side may have closed the connection.
                let sent = tokio::io::AsyncWriteExt::write_all(&mut writing, &bytes).await;
                (writing, sent)
            });
            let mut answers = Vec::new();
            let mut buffer = vec![0; 1 << 16];
            while answers.len() < 1 << 20 {
                match tokio::io::AsyncReadExt::read(&mut reading, &mut buffer).await {
                    Ok(count @ 1..) => answers.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            drop(send);
            assert_eq!(answers.len() >= 1 << 20, is_served);
            if !is_served {
                let answer = String::from_utf8_lossy(&answers);
                assert!(answer.contains("over the limit of 16384 bytes"), "{answer}");
            }
        }
    });
}

/// Starts a message of `size` bytes.
async fn begin(peer: &mut RawPeer, size: usize) {
    let mut table = vec![0; 4];
    table.extend((size as u32 / 8).to_le_bytes());
    peer.send_bytes(&table).await;
}

#[test]
fn a_stalled_message_ends_the_connection() {
    run(async {
        let served = served_with(Limits {
            incomplete_time: Duration::from_millis(200),
            ..Limits::default()
        });
        let session = served.connect().await;
        let mut peer = authenticated_peer(&served).await;
        begin(&mut peer, 1 << 20).await;
        let reason = peer.abort_reason().await.unwrap();
        assert!(
            reason.starts_with(
                "a message stalled: fewer than 65536 bytes of it arrived within 0.2 s"
            ),
            "{reason}"
        );
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
    });
}

#[test]
fn the_peer_with_most_incomplete_data_is_disconnected() {
    run(async {
        let served = served_with(Limits {
            incomplete: 4 << 20,
            ..Limits::default()
        });
        let mut greedy = authenticated_peer(&served).await;
        let mut modest = authenticated_peer(&served).await;
        begin(&mut modest, 2 << 20).await;
        modest.send_bytes(&vec![0; 1 << 20]).await;
        begin(&mut greedy, 32 << 20).await;
        greedy.send_bytes(&vec![0; 16 << 20]).await;
        greedy.wait_for_end().await;
        assert_eq!(served.counters.read().connections, 1);
        modest.send_bytes(&vec![0; 1 << 20]).await;
        // It is whole, but no valid message, so it is answered with an Abort.
        assert!(modest.abort_reason().await.is_some());
    });
}

#[test]
fn the_peer_with_most_unread_data_is_disconnected() {
    run(async {
        let served = served_with(Limits {
            unsent_total: 8 << 20,
            ..Limits::default()
        });
        let session = served.connect().await;
        let mut peer = authenticated_peer(&served).await;
        // Many answers at once, as when a job's log grows.
        let large = vec![7; 1 << 20];
        for question in 1..40 {
            peer.send(&call_answer(question, 0, ECHO, &large)).await;
        }
        eventually("closed", || served.counters.read().connections == 1).await;
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
    });
}

#[test]
fn unauthenticated_peers_are_evicted_for_others() {
    run(async {
        let options = ServeOptions {
            max_unauthenticated: 2,
            max_unauthenticated_per_host: 2,
            ..ServeOptions::default()
        };
        let served = serve(Security::Plaintext, options);
        let session = served.connect().await;
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(RawPeer::connect(&served.sturdy_ref).await);
        }
        // Authenticated peers do not count, and the oldest of the others is evicted.
        let other = served.connect().await;
        assert_eq!(echo(&other.bootstrap(), b"hi").await.unwrap(), b"hi");
        assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
        idle[0].wait_for_end().await;
    });
}

#[test]
fn what_a_lost_peer_holds_is_released_in_small_steps() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let mut peer = authenticated_peer(&served).await;
        for question in 1..=6000 {
            peer.send(&call_answer(question, 0, MAKE, b"")).await;
            assert!(matches!(peer.next().await, PeerMessage::Results { .. }));
            if question % 2 == 0 {
                // It keeps the capability and finishes the question.
                let finish = build(|message| {
                    let mut finish = message.init_finish();
                    finish.set_question_id(question);
                    finish.set_release_result_caps(false);
                });
                peer.send(&finish).await;
            }
        }
        assert_eq!(served.alive.get(), 6001);
        drop(peer);
        let alive = served.alive.clone();
        // A task like those of other connections, which are polled in turn.
        let others = tokio::task::spawn_local(async move {
            let mut largest = 0;
            let mut last = alive.get();
            while last > 1 {
                tokio::task::yield_now().await;
                largest = largest.max(last - alive.get());
                last = alive.get();
            }
            largest
        });
        let largest = others.await.unwrap();
        assert!(largest <= 600, "{largest} at once");
        eventually("closed", || served.counters.read().connections == 0).await;
    });
}
