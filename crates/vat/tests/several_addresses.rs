//! A vat with several addresses: which one is dialled, and when a silent one is left.

mod common;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use vat::{
    Address, ConnectError, DialOptions, Dialer, Identity, Loss, Security, ServeOptions, SturdyRef,
};

/// Returns a dialer that knows these addresses too.
fn dialer_of(also: impl IntoIterator<Item = Address>) -> Dialer {
    Dialer::new(DialOptions {
        also: also.into_iter().collect(),
        handshake_timeout: Duration::from_secs(20),
        ..DialOptions::default()
    })
}

/// Returns an address at which every connection is refused, as the port is bound but nothing listens.
fn refusing() -> (socket2::Socket, Address) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, Address::tcp("127.0.0.1", port))
}

/// A network to a vat, which can be made to pass nothing on without closing a connection.
struct Wire {
    address: Address,
    is_cut: watch::Sender<bool>,
    /// How many connections it has accepted.
    accepted: Rc<Cell<usize>>,
}

impl Wire {
    async fn to(served: &Served) -> Self {
        let Address::Tcp { port, .. } = served.sturdy_ref.address else {
            panic!("not a TCP port");
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let (is_cut, cut) = watch::channel(false);
        let accepted = Rc::new(Cell::default());
        let counter = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counter.set(counter.get() + 1);
                let mut cut = cut.clone();
                tokio::task::spawn_local(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    loop {
                        // The cut is first: a copy that has begun to read would lose what it has read.
                        tokio::select! {
                            biased;
                            changed = cut.wait_for(|cut| *cut) => drop(changed.unwrap()),
                            _ = copy_bidirectional(&mut near, &mut far) => return,
                        }
                        drop(cut.wait_for(|cut| !*cut).await.unwrap());
                    }
                });
            }
        });
        Self {
            address,
            is_cut,
            accepted,
        }
    }
}

/// Starts a vat with this key, as another scheduler of the same cluster.
fn sibling(identity: &Identity) -> Served {
    serve(Security::Tls(identity.clone()), ServeOptions::default())
}

async fn assert_works(session: &vat::Session) {
    assert_eq!(echo(&session.bootstrap(), b"hi").await.unwrap(), b"hi");
}

#[test]
fn the_address_that_answers_is_found_and_is_first_the_next_time() {
    run(async {
        let leader = Served::tls();
        let (_bound, standby) = refusing();
        let target = SturdyRef {
            address: standby,
            ..leader.sturdy_ref.clone()
        };
        let dialer = dialer_of([leader.sturdy_ref.address.clone()]);
        let session = dialer.connect(&target).await.unwrap();
        assert_eq!(session.address(), leader.sturdy_ref.address);
        assert_works(&session).await;
        let again = dialer.renewed().connect(&target).await.unwrap();
        assert_eq!(again.address(), leader.sturdy_ref.address);
    });
}

#[test]
fn a_vat_with_another_key_is_passed_over_and_named() {
    run(async {
        let leader = Served::tls();
        let stranger = Served::tls();
        let (_bound, standby) = refusing();
        let addresses = [&stranger.sturdy_ref.address, &standby];
        let target = SturdyRef {
            address: addresses[0].clone(),
            ..leader.sturdy_ref.clone()
        };
        let found = dialer_of([leader.sturdy_ref.address.clone()])
            .connect(&target)
            .await;
        assert_eq!(found.unwrap().address(), leader.sturdy_ref.address);

        let error = dialer_of([standby.clone()])
            .connect(&target)
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::NoEndpoint { .. }), "{error}");
        assert!(!error.needs_another_cap_file(), "{error}");
        let text = error.to_string();
        let beginning = format!(
            "cannot connect to the scheduler: {}: its key does not match the sturdy ref (expected ",
            addresses[0]
        );
        assert!(text.starts_with(&beginning), "{text}");
        let end = format!("; {standby}: connection refused");
        assert!(text.ends_with(&end), "{text}");
    });
}

#[test]
fn an_unknown_secret_needs_another_cap_file_whatever_the_others_do() {
    run(async {
        let leader = Served::tls();
        let (_bound, standby) = refusing();
        let target = SturdyRef {
            service: vat::ServiceId::random(),
            ..leader.sturdy_ref.clone()
        };
        let error = dialer_of([standby]).connect(&target).await.unwrap_err();
        assert!(error.needs_another_cap_file(), "{error}");
    });
}

#[test]
fn a_frozen_vat_does_not_keep_its_dialers_from_the_next_one() {
    run(async {
        let identity = Identity::ephemeral();
        let leader = sibling(&identity);
        // The kernel accepts, and nobody answers.
        let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = SturdyRef {
            address: Address::tcp("127.0.0.1", frozen.local_addr().unwrap().port()),
            ..leader.sturdy_ref.clone()
        };
        let dialer = dialer_of([leader.sturdy_ref.address.clone()]);
        let session = dialer.connect(&target).await.unwrap();
        assert_works(&session).await;
    });
}

#[test]
fn a_vat_that_falls_silent_is_left_for_one_that_answers() {
    run(async {
        let identity = Identity::ephemeral();
        let first = sibling(&identity);
        let wire = Wire::to(&first).await;
        let second = sibling(&identity);
        let target = SturdyRef {
            address: wire.address.clone(),
            ..first.sturdy_ref.clone()
        };
        let dialer = dialer_of([second.sturdy_ref.address.clone()]);
        let session = dialer.connect(&target).await.unwrap();
        let service = session.bootstrap();
        let hanging = call(&service, HANG, b"");
        wire.is_cut.send_replace(true);
        let (Loss { error, successor }, hanging) =
            futures::join!(dialer.lost(&target, &session), hanging);
        let successor = successor.expect("there is another vat");
        assert_eq!(successor.address(), second.sturdy_ref.address);
        assert_works(&successor).await;
        let expected = format!(
            "lost connection to the scheduler at {} (silent for 3 s; {} answers)",
            wire.address, second.sturdy_ref.address
        );
        assert_eq!(error.extra, expected);
        assert_eq!(hanging.unwrap_err().extra, expected);
    });
}

#[test]
fn a_vat_that_is_silent_for_a_while_loses_nobody() {
    run(async {
        let served = Served::tls();
        let wire = Wire::to(&served).await;
        let (_bound, standby) = refusing();
        let target = SturdyRef {
            address: wire.address.clone(),
            ..served.sturdy_ref.clone()
        };
        let dialer = dialer_of([standby.clone()]);
        let session = dialer.connect(&target).await.unwrap();
        wire.is_cut.send_replace(true);
        let asked = served.counters.read().bytes_in;
        let watched = async {
            // Long enough for it to be silent, whenever its last byte has arrived.
            tokio::time::sleep(Duration::from_secs(5)).await;
            wire.is_cut.send_replace(false);
            eventually("asked for a sign of life", || {
                served.counters.read().bytes_in > asked
            })
            .await;
            assert_works(&session).await;
        };
        tokio::select! {
            loss = dialer.lost(&target, &session) => panic!("lost: {}", loss.error),
            () = watched => {}
        }
    });
}

/// Both addresses are of one vat, which is busy.
#[test]
fn a_slow_vat_with_two_addresses_loses_nobody() {
    run(async {
        let served = Served::tls();
        let (one, other) = (Wire::to(&served).await, Wire::to(&served).await);
        let target = SturdyRef {
            address: one.address.clone(),
            ..served.sturdy_ref.clone()
        };
        let dialer = dialer_of([other.address.clone()]);
        let session = dialer.connect(&target).await.unwrap();
        let connections = served.counters.read().connections;
        assert_eq!(connections, 1);
        one.is_cut.send_replace(true);
        other.is_cut.send_replace(true);
        let watched = async {
            eventually("dialled at its other address", || other.accepted.get() > 0).await;
            one.is_cut.send_replace(false);
            other.is_cut.send_replace(false);
            eventually("has one connection again", || {
                served.counters.read().connections == 1
            })
            .await;
            assert_works(&session).await;
        };
        tokio::select! {
            loss = dialer.lost(&target, &session) => panic!("lost: {}", loss.error),
            () = watched => {}
        }
    });
}

#[test]
fn a_vat_with_one_address_is_not_asked_for_signs_of_life() {
    run(async {
        let served = Served::tls();
        let dialer = dialer_of([]);
        let session = dialer.connect(&served.sturdy_ref).await.unwrap();
        assert_works(&session).await;
        let asked = served.counters.read().bytes_in;
        let idle = tokio::time::sleep(Duration::from_secs(3));
        tokio::select! {
            loss = dialer.lost(&served.sturdy_ref, &session) => panic!("lost: {}", loss.error),
            () = idle => {}
        }
        assert_eq!(served.counters.read().bytes_in, asked);
    });
}
