//! The search for a vat: one attempt to connect, at all of its endpoints.
//!
//! They are tried in turn. One that refuses is followed by the next at once. One that is silent is followed after a
//! short time, and goes on beside it, as RFC 8305 does it for the two versions of IP. The first session is the result.
//!
//! While one endpoint is silent, those that have refused are tried again: a scheduler that is frozen is silent for as
//! long as all time limits allow, and another one leads after a few seconds.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::connect_error::FailedEndpoint;
use crate::endpoint::{Endpoint, Place};
use crate::{Address, ConnectError, Phase};

/// How long an endpoint may take to accept the connection before the next one is tried beside it: RFC 8305's delay.
const ACCEPTS: Duration = Duration::from_millis(250);

/// How long it may take in all. A handshake with a busy scheduler takes longer than a connection, and another one beside
/// it makes it no less busy.
const ANSWERS: Duration = Duration::from_secs(1);

/// How long after a refusal an endpoint is tried again, while another one is silent.
const AGAIN: Duration = Duration::from_secs(1);

/// For how long endpoints are tried again in one search. Others may take longer, but end by themselves.
const AGAIN_LIMIT: Duration = Duration::from_secs(30);

/// How many endpoints are tried: more than a cluster has schedulers. A name can have hundreds of addresses.
pub(crate) const MOST_ENDPOINTS: usize = 16;

/// The place of an endpoint in the order: the number of its address, and its number there.
type Rank = (usize, usize);

/// Returns the endpoints of an address.
pub(crate) type Lookup<'a> = LocalBoxFuture<'a, Result<Vec<Endpoint>, ConnectError>>;

/// Returns a session with the endpoint, and keeps the phase up to date.
pub(crate) type Attempt<'a, S> =
    dyn Fn(Endpoint, Rc<Cell<Phase>>) -> LocalBoxFuture<'a, Result<S, ConnectError>> + 'a;

/// An attempt that runs, with what it is made at.
type Running<'a, S> = LocalBoxFuture<'a, (Rank, Endpoint, Result<S, ConnectError>)>;

/// The state of a search.
struct Search {
    /// What has not been tried yet.
    waiting: BTreeMap<Rank, Endpoint>,
    /// All that were found, so that none is tried twice at a time.
    known: Vec<Place>,
    /// What has refused, and when it is tried again. The earliest is first.
    again: VecDeque<(Instant, Rank, Endpoint)>,
    again_until: Instant,
    failures: BTreeMap<Rank, FailedEndpoint>,
    /// When the latest attempt began, and how far it is.
    latest: Option<(Instant, Rc<Cell<Phase>>)>,
    /// Whether an attempt has failed since the latest one began.
    has_failed: bool,
}

/// Finds the vat at one of its addresses, whose lookups are in the order in which they are to be tried. `first` is tried
/// before them: the endpoint that has worked the last time.
///
/// # Errors
///
/// When no endpoint works. The error has that of each.
pub(crate) async fn search<'a, S: 'a>(
    peer_name: &str,
    first: Option<Endpoint>,
    lookups: Vec<(Address, Lookup<'a>)>,
    attempt: &Attempt<'a, S>,
) -> Result<(S, Endpoint), ConnectError> {
    let mut search = Search::begin(Instant::now());
    search.found(0, first.into_iter().collect());
    let mut lookups: FuturesUnordered<_> = (1..)
        .zip(lookups)
        .map(|(number, (address, lookup))| async move { (number, address, lookup.await) })
        .collect();
    let mut running: FuturesUnordered<Running<'a, S>> = FuturesUnordered::new();
    loop {
        let now = Instant::now();
        search.queue_again(now);
        if search.may_begin(now, running.is_empty())
            && let Some((rank, endpoint)) = search.waiting.pop_first()
        {
            let phase = search.begun(now);
            let attempt = attempt(endpoint.clone(), phase);
            running.push(Box::pin(async move { (rank, endpoint, attempt.await) }));
            continue;
        }
        if running.is_empty() && search.waiting.is_empty() && lookups.is_empty() {
            return Err(ConnectError::of_endpoints(
                peer_name,
                search.failures.into_values().collect(),
            ));
        }
        let due = search.next_event();
        let due = pin!(async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            biased;
            Some((rank, endpoint, result)) = running.next() => match result {
                Ok(session) => {
                    search.report_other_vats();
                    return Ok((session, endpoint));
                }
                Err(error) => {
                    let is_last = running.is_empty() && lookups.is_empty();
                    search.failed(rank, endpoint, error, is_last);
                }
            },
            Some((number, address, found)) = lookups.next() => match found {
                Ok(endpoints) => search.found(number, endpoints),
                Err(error) => {
                    search.failures.insert((number, 0), FailedEndpoint::new(address, error));
                }
            },
            () = due => {}
        }
    }
}

impl Search {
    fn begin(now: Instant) -> Self {
        Self {
            waiting: BTreeMap::new(),
            known: Vec::new(),
            again: VecDeque::new(),
            again_until: now + AGAIN_LIMIT,
            failures: BTreeMap::new(),
            latest: None,
            has_failed: false,
        }
    }

    /// The endpoints of an address are known.
    fn found(&mut self, number: usize, endpoints: Vec<Endpoint>) {
        for (nth, endpoint) in endpoints.into_iter().enumerate() {
            if self.known.contains(&endpoint.place) {
                continue;
            }
            if self.known.len() >= MOST_ENDPOINTS {
                tracing::debug!("Skipped {endpoint}: at most {MOST_ENDPOINTS} addresses are tried");
                continue;
            }
            self.known.push(endpoint.place.clone());
            self.waiting.insert((number, nth), endpoint);
        }
    }

    /// Returns when the next attempt may begin beside the latest one.
    fn beside(&self) -> Option<Instant> {
        self.latest
            .as_ref()
            .map(|(begin, phase)| match phase.get() {
                Phase::Connection => *begin + ACCEPTS,
                Phase::Handshake | Phase::FirstAnswer => *begin + ANSWERS,
            })
    }

    fn may_begin(&self, now: Instant, is_idle: bool) -> bool {
        is_idle || self.has_failed || self.beside().is_none_or(|beside| beside <= now)
    }

    /// An attempt begins. Returns its phase.
    fn begun(&mut self, now: Instant) -> Rc<Cell<Phase>> {
        let phase = Rc::default();
        self.latest = Some((now, Rc::clone(&phase)));
        self.has_failed = false;
        phase
    }

    /// An attempt has failed. `is_last`: no other one runs.
    fn failed(&mut self, rank: Rank, endpoint: Endpoint, error: ConnectError, is_last: bool) {
        self.has_failed = true;
        let now = Instant::now();
        if !is_last && error.is_refusal() && now < self.again_until {
            self.again.push_back((now + AGAIN, rank, endpoint.clone()));
        }
        self.failures
            .insert(rank, FailedEndpoint::new(endpoint, error));
    }

    /// Tries again what is due.
    fn queue_again(&mut self, now: Instant) {
        while let Some((_, rank, endpoint)) = self.again.pop_front_if(|(due, ..)| *due <= now) {
            self.waiting.insert(rank, endpoint);
        }
    }

    /// Returns when there may be something to begin.
    fn next_event(&self) -> Option<Instant> {
        let beside = match self.waiting.is_empty() {
            true => None,
            false => self.beside(),
        };
        let again = self.again.front().map(|(due, ..)| *due);
        beside.into_iter().chain(again).min()
    }

    /// Reports endpoints at which another vat answers: an operator has to correct them.
    fn report_other_vats(&self) {
        for failure in self.failures.values() {
            if failure.error.needs_another_cap_file() {
                tracing::warn!("Skipped {}: {}", failure.place, failure.error.cause());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::FutureExt as _;
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How an endpoint behaves.
    #[derive(Clone, Copy)]
    enum Manner {
        Accepts,
        /// After this time since the beginning of the search.
        AcceptsAfter(Duration),
        Refuses,
        /// It is silent, without accepting the connection.
        Drops,
        /// It accepts the connection, and is silent.
        Freezes,
        /// It has another key.
        IsStranger,
    }

    /// Runs a search at endpoints on ports 1, 2 and so on. Returns what it has found, and what it has tried and when, in
    /// milliseconds.
    fn run(
        manners: &[Manner],
        first: Option<u16>,
    ) -> (Result<u16, ConnectError>, Vec<(u16, u128)>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let tried = RefCell::new(Vec::new());
            let attempt = |endpoint: Endpoint, phase: Rc<Cell<Phase>>| {
                let port = port(&endpoint);
                let tried = &tried;
                async move {
                    tried.borrow_mut().push((port, start.elapsed().as_millis()));
                    let manner = manners[usize::from(port) - 1];
                    meet(manner, &endpoint.address, start, &phase).await
                }
                .boxed_local()
            };
            let lookups = (1..).zip(manners).map(|(port, _)| {
                let endpoint = endpoint(port);
                let lookup: Lookup<'_> = async move { Ok(vec![endpoint]) }.boxed_local();
                (address(port), lookup)
            });
            let lookups = lookups.collect();
            let first = first.map(endpoint);
            let found = search("the scheduler", first, lookups, &attempt).await;
            let found = found.map(|((), endpoint)| port(&endpoint));
            (found, tried.take())
        })
    }

    async fn meet(
        manner: Manner,
        address: &Address,
        start: Instant,
        phase: &Cell<Phase>,
    ) -> Result<(), ConnectError> {
        let address = address.clone();
        match manner {
            Manner::Accepts => Ok(()),
            Manner::AcceptsAfter(time) if start.elapsed() >= time => Ok(()),
            Manner::AcceptsAfter(_) | Manner::Refuses => Err(ConnectError::Refused { address }),
            Manner::Drops => {
                sleep(10 * SECOND).await;
                Err(ConnectError::TimedOut {
                    address,
                    seconds: 10.0,
                })
            }
            Manner::Freezes => {
                phase.set(Phase::Handshake);
                sleep(30 * SECOND).await;
                Err(ConnectError::Silent {
                    address,
                    phase: Phase::Handshake,
                    seconds: 30.0,
                })
            }
            Manner::IsStranger => Err(ConnectError::WrongFingerprint {
                address,
                expected: crate::Identity::ephemeral().fingerprint(),
                got: crate::Identity::ephemeral().fingerprint(),
            }),
        }
    }

    fn address(port: u16) -> Address {
        Address::tcp("127.0.0.1", port)
    }

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            address: address(port),
            place: Place::Tcp(([127, 0, 0, 1], port).into()),
            is_one_of_several: false,
        }
    }

    fn port(endpoint: &Endpoint) -> u16 {
        match endpoint.place {
            Place::Tcp(place) => place.port(),
            Place::Unix(_) => 0,
        }
    }

    #[test]
    fn after_a_refusal_the_next_one_is_tried_at_once() {
        let (found, tried) = run(&[Manner::Refuses, Manner::Refuses, Manner::Accepts], None);
        assert_eq!(found.unwrap(), 3);
        assert_eq!(tried, [(1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn beside_a_silent_one_the_next_one_is_tried_after_a_short_time() {
        let (found, tried) = run(&[Manner::Drops, Manner::Freezes, Manner::Accepts], None);
        assert_eq!(found.unwrap(), 3);
        assert_eq!(tried, [(1, 0), (2, 250), (3, 1250)]);
    }

    #[test]
    fn the_one_that_worked_the_last_time_is_first_and_is_tried_once() {
        let (found, tried) = run(&[Manner::Accepts, Manner::Accepts], Some(2));
        assert_eq!((found.unwrap(), &tried[..]), (2, &[(2, 0)][..]));
        let (found, tried) = run(&[Manner::Refuses, Manner::Refuses], Some(2));
        assert_eq!(tried, [(2, 0), (1, 0)]);
        assert_eq!(
            found.unwrap_err().to_string(),
            "cannot connect to the scheduler: tcp:127.0.0.1:2: connection refused; \
             tcp:127.0.0.1:1: connection refused"
        );
    }

    #[test]
    fn while_a_leader_is_frozen_the_standby_is_tried_again_and_again() {
        let manners = [Manner::Freezes, Manner::AcceptsAfter(6 * SECOND)];
        let (found, tried) = run(&manners, None);
        assert_eq!(found.unwrap(), 2);
        let again: Vec<_> = tried.iter().filter(|(port, _)| *port == 2).collect();
        assert_eq!(again.len(), 6, "{tried:?}");
        assert!(tried.iter().all(|(_, at)| *at <= 6500), "{tried:?}");
    }

    #[test]
    fn a_search_ends_when_all_silent_ones_have_ended() {
        let (found, tried) = run(&[Manner::Freezes, Manner::Drops, Manner::Refuses], None);
        assert_eq!(
            found.unwrap_err().to_string(),
            "cannot connect to the scheduler: tcp:127.0.0.1:1: it accepts connections, but does not respond: no \
             answer to the TLS handshake within 30 s; tcp:127.0.0.1:2: no answer within 10 s; tcp:127.0.0.1:3: \
             connection refused"
        );
        assert!(tried.len() <= 33, "{tried:?}");
    }

    #[test]
    fn a_stranger_does_not_hide_the_others() {
        let (found, _) = run(&[Manner::IsStranger, Manner::Accepts], None);
        assert_eq!(found.unwrap(), 2);
        // The other one may lead soon.
        let (found, _) = run(&[Manner::IsStranger, Manner::Refuses], None);
        let error = found.unwrap_err();
        assert!(!error.needs_another_cap_file());
        let text = error.to_string();
        assert!(
            text.starts_with(
                "cannot connect to the scheduler: tcp:127.0.0.1:1: its key does not match"
            ),
            "{text}"
        );
        let (found, _) = run(&[Manner::IsStranger, Manner::IsStranger], None);
        assert!(found.unwrap_err().needs_another_cap_file());
    }

    #[test]
    fn one_address_has_the_error_that_it_always_had() {
        let (found, _) = run(&[Manner::Refuses], None);
        assert!(matches!(found, Err(ConnectError::Refused { .. })));
    }

    #[test]
    fn a_name_with_hundreds_of_addresses_is_tried_at_few() {
        let (found, tried) = run(&[Manner::Refuses; 100], None);
        assert_eq!(tried.len(), MOST_ENDPOINTS);
        found.unwrap_err();
    }
}
