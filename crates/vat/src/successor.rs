//! The end of a connection: it is lost, or its peer is silent and another address has a vat that answers.
//!
//! A scheduler that is frozen, and one behind a network that drops packets, keeps its connections, while another one
//! leads. So a peer with several addresses does not wait for TCP to give up. It asks a scheduler that it hears nothing
//! from for a sign of life, and looks at the other addresses, beside the connection. If one of them answers and the old
//! one still does not, the connection is closed. A single scheduler that is slow loses nobody.

use std::cell::Cell;
use std::time::Duration;

use capnp::any_pointer;
use capnp::capability::Client;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::endpoint::Endpoint;
use crate::{Dialer, Peer, Session, SturdyRef};

/// How often to look whether something has arrived.
const TICK: Duration = Duration::from_millis(250);

/// After how many ticks without data the peer is asked for a sign of life.
const QUIET: u32 = 8;

/// After how many it counts as silent: 3 s, of which it has had one for its answer.
const SILENT: u32 = 12;

/// How long a peer that was silent may take for a sign of life once another vat has answered. Both may be one vat, which
/// was busy.
const SETTLES: Duration = Duration::from_millis(500);

/// How long to wait before the other addresses are tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The interface of the sign of life. No vat has it, so each answers that it is not implemented.
const SIGN_OF_LIFE: u64 = 0xf1c2_88d0_53a9_e47b;

/// How a session has ended.
pub struct Loss {
    /// The exception that all capabilities of the session break with.
    pub error: capnp::Error,
    /// The session with the vat that has answered instead.
    pub successor: Option<Session>,
}

impl Dialer {
    /// Waits until a session of this dialer's vat has ended. If its peer is silent for 3 s, and one of the other addresses
    /// has a vat that answers, closes the session, and returns one with that vat.
    ///
    /// With a single address, a silent peer is only lost when TCP gives up. Call it within a `LocalSet`.
    pub async fn lost(&self, sturdy_ref: &SturdyRef, session: &Session) -> Loss {
        let successor = tokio::select! {
            biased;
            error = session.closed() => return Loss { error, successor: None },
            successor = self.successor(sturdy_ref, session) => successor,
        };
        session.close(format!(
            "silent for {} s; {} answers",
            (TICK * SILENT).as_secs(),
            successor.endpoint()
        ));
        Loss {
            error: session.closed().await,
            successor: Some(successor),
        }
    }

    /// Waits until the peer is silent and another vat answers instead. For ever with a single address.
    async fn successor(&self, sturdy_ref: &SturdyRef, session: &Session) -> Session {
        if !self.has_others(sturdy_ref, session.endpoint()).await {
            std::future::pending::<()>().await;
        }
        let mut pulse = Pulse::of(session);
        loop {
            pulse.silence().await;
            tracing::info!(
                "Heard nothing from {} at {} for {} s; trying the other addresses",
                self.peer_name(),
                session.endpoint(),
                (TICK * SILENT).as_secs()
            );
            let found = tokio::select! {
                biased;
                () = pulse.sign() => None,
                found = self.search_others(sturdy_ref, session.endpoint()) => Some(found),
            };
            let is_silent = tokio::select! {
                biased;
                () = pulse.sign() => false,
                () = sleep(SETTLES) => true,
            };
            match found {
                Some(found) if is_silent => return found,
                Some(_) | None => {
                    tracing::info!("Heard from {} again", session.endpoint());
                }
            }
        }
    }

    /// Returns whether the vat may be at other endpoints. The other IP version of the same address is none.
    async fn has_others(&self, sturdy_ref: &SturdyRef, own: &Endpoint) -> bool {
        if self
            .addresses(sturdy_ref)
            .any(|address| *address != own.address)
        {
            return true;
        }
        let found = Endpoint::resolve(&own.address, self.connect_timeout()).await;
        // Without an answer of the resolver, there is one address.
        found.is_ok_and(|found| found.iter().any(|endpoint| is_other(endpoint, own)))
    }

    async fn search_others(&self, sturdy_ref: &SturdyRef, own: &Endpoint) -> Session {
        loop {
            let is_wanted = |endpoint: &Endpoint| is_other(endpoint, own);
            // An OCaml scheduler keeps one connection for each key.
            let found = self
                .renewed()
                .search(sturdy_ref, None, is_wanted, &Cell::default())
                .await;
            match found {
                Ok(session) => return session,
                Err(error) => tracing::debug!("Found no other scheduler: {error}"),
            }
            sleep(AGAIN).await;
        }
    }
}

fn is_other(endpoint: &Endpoint, own: &Endpoint) -> bool {
    endpoint.place != own.place && !endpoint.is_other_version_of(own)
}

/// Whether something arrives from a peer.
///
/// It counts ticks, not time: when this program has slept, with its machine or under a debugger, that is no silence of the
/// peer.
struct Pulse {
    service: Client,
    peer: Peer,
    /// What had arrived at the latest tick.
    received: u64,
    /// How many ticks ago that was less.
    quiet: u32,
    /// The answer to the latest question.
    question: Option<LocalBoxFuture<'static, ()>>,
}

impl Pulse {
    fn of(session: &Session) -> Self {
        let peer = session.peer();
        Self {
            service: session.bootstrap(),
            received: peer.received(),
            peer,
            quiet: 0,
            question: None,
        }
    }

    /// Waits until the peer is silent. It is asked for a sign of life first.
    async fn silence(&mut self) {
        self.quiet = 0;
        let mut ticks = ticks();
        while self.quiet < SILENT {
            ticks.tick().await;
            self.look();
            if self.quiet == QUIET {
                self.ask();
            }
        }
    }

    /// Waits for a sign of life.
    async fn sign(&mut self) {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            self.look();
            if self.quiet == 0 {
                return;
            }
        }
    }

    fn look(&mut self) {
        // Polled, so that its end is noticed. What it returns does not matter.
        if let Some(question) = &mut self.question
            && question.now_or_never().is_some()
        {
            self.question = None;
        }
        let received = self.peer.received();
        self.quiet = match received == self.received {
            true => self.quiet.saturating_add(1),
            false => 0,
        };
        self.received = received;
    }

    fn ask(&mut self) {
        let request = self
            .service
            .new_call::<any_pointer::Owned, any_pointer::Owned>(SIGN_OF_LIFE, 0, None);
        let answer = request.send().promise;
        self.question = Some(answer.map(drop).boxed_local());
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
