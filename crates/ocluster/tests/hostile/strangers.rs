//! Peers without any secret.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bystander::connect;
use crate::harness::{Bounds, Target};
use crate::raw::{Message, RawPeer, abort, answer_to, bootstrap, build, call, params, set_bytes};

#[test]
fn reasons_of_strangers_are_not_logged() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        for text in ["\n", "\u{1b}", "x"] {
            let mut stranger = RawPeer::connect(&target.cap("submission")).await;
            stranger.send(&abort(&text.repeat(4 << 20))).await;
            stranger.abort_reason().await;
            // One that is short enough to be read.
            let mut stranger = RawPeer::connect(&target.cap("submission")).await;
            stranger.send(&abort(&text.repeat(4000))).await;
            stranger.abort_reason().await;
        }
        for _ in 0..300 {
            let mut stranger = RawPeer::dial(&target.cap("submission")).await;
            // It may be closed before.
            drop(stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").await);
        }
    });
    assert!(target.log().contains("aborted by the other side: \\n\\n"));
}

#[test]
fn incomplete_messages_of_strangers_are_not_kept() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        let mut strangers = Vec::new();
        let half = vec![0; 16 << 20];
        for _ in 0..8 {
            let mut stranger = RawPeer::connect(&target.cap("submission")).await;
            // One segment of 64 MiB, less than all of which follows.
            let mut announced = vec![0, 0, 0, 0];
            announced.extend((8u32 << 20).to_le_bytes());
            stranger.send_bytes(&announced).await;
            stranger.send_bytes(&half).await;
            strangers.push(stranger);
        }
        let reason = strangers[0].abort_reason().await;
        assert!(
            reason.is_none_or(|reason| reason.contains("over the limit of 16384 bytes")),
            "it received another reason"
        );
    });
}

#[test]
fn answers_that_strangers_do_not_read_are_few() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        for _ in 0..12 {
            let submission = target.cap("submission");
            tokio::task::spawn_local(async move {
                let mut stranger = RawPeer::connect(&submission).await;
                // Nobody knows what to do with it, and so it is sent back.
                stranger.send_all((0..1500).map(|_| unknown())).await;
                std::future::pending::<()>().await;
            });
        }
        // As long as it takes to answer all of them.
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
}

#[test]
fn calls_of_strangers_that_wait_for_answers_are_few() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        for _ in 0..24 {
            let submission = target.cap("submission");
            tokio::task::spawn_local(async move {
                let mut stranger = RawPeer::connect(&submission).await;
                // Who guesses waits, and has these calls wait, too.
                let guesses = (0..5).map(|guess| bootstrap(guess, b"a guess\0"));
                let calls = (5..700).map(|question| {
                    call(question, answer_to(4), (0, 0), |call| {
                        params(call, 0, 1).pointer(0).set_data(&[0; 15 << 10]);
                    })
                });
                stranger.send_all(guesses.chain(calls)).await;
                std::future::pending::<()>().await;
            });
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
}

/// A message of 15 KiB of a kind that no program of ours uses.
fn unknown() -> Message {
    build(|message| set_bytes(message.init_obsolete_save(), &[0; 15 << 10]))
}

#[test]
fn silent_strangers_keep_no_others_out() {
    let options = ["--listen-prometheus=0", "--stranger-timeout=5"];
    let mut target = Target::start_with_limits("-n 64", &options);
    target.suffers(Bounds::STRANGER, async |target| {
        let submission = target.cap("submission");
        for _ in 0..60 {
            let submission = submission.clone();
            tokio::task::spawn_local(async move {
                let _idle = RawPeer::try_connect(&submission).await;
                std::future::pending::<()>().await;
            });
        }
        // Until all of them are there, or it takes no more.
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Others can connect, and the program reports that it is healthy.
        for _ in 0..5 {
            connect(&submission).await.close("done");
            let mut http = tokio::net::TcpStream::connect(target.metrics_address())
                .await
                .expect("connected");
            http.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")
                .await
                .expect("asked");
            let mut answer = String::new();
            http.read_to_string(&mut answer).await.expect("answered");
            assert!(answer.contains("200"), "{answer}");
        }
    });
}

#[test]
fn a_stranger_that_names_no_service_is_closed_in_time() {
    let mut target = Target::start(&["--stranger-timeout=1"]);
    target.suffers(Bounds::STRANGER, async |target| {
        let mut stranger = RawPeer::connect(&target.cap("submission")).await;
        let reason = stranger.abort_reason().await;
        assert_eq!(reason.as_deref(), Some("not authenticated within 1 s"));
    });
}

#[test]
fn a_peer_that_guesses_secrets_is_slowed_down_and_closed() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        for guesser in 0..60u32 {
            let mut stranger = RawPeer::connect(&target.cap("submission")).await;
            let guesses = (0..100u32).map(|guess| {
                let id = format!("guess {guesser} {guess}\0");
                bootstrap(guess, id.as_bytes())
            });
            stranger.send_all(guesses).await;
            let reason = stranger
                .abort_reason()
                .await
                .expect("it receives the reason");
            assert_eq!(
                reason,
                "it asked for more than 5 services that do not exist"
            );
        }
        let mut stranger = RawPeer::connect(&target.cap("submission")).await;
        stranger.send(&bootstrap(0, b"a typo\0")).await;
        let answer = stranger.answer(0).await;
        assert_eq!(answer, Err("Unknown persistent service ID".to_owned()));
    });
    assert!(
        target
            .log()
            .contains("asks for a service that does not exist")
    );
}
