//! Clients and their rates: when each client's next job would start if shares were exact.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;
use core::time::Duration;

use crate::{ClientId, TicketId, Time};

/// A client's share of the pool: roughly how many machines' worth of work it may keep busy.
///
/// Always finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// A rate that is not a finite number above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateError {
    /// What was given.
    pub rate: f64,
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot use rate {}: it must be a finite number above zero",
            self.rate
        )
    }
}

impl core::error::Error for RateError {}

impl Rate {
    /// The rate of a client for which none was set.
    pub const DEFAULT: Self = Self(1.0);

    /// Returns `rate` as a rate.
    ///
    /// # Errors
    ///
    /// [`RateError`] unless it is finite and above zero.
    pub fn new(rate: f64) -> Result<Self, RateError> {
        if rate.is_finite() && rate > 0.0 {
            Ok(Self(rate))
        } else {
            Err(RateError { rate })
        }
    }

    /// Returns the number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns how long `cost` takes at this rate, but at most a century.
    ///
    /// With that limit a client with a tiny rate needs thousands of tickets to get to the end of time.
    fn time_for(self, cost: Duration) -> Duration {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        // A cast from float saturates.
        Duration::from_micros((cost.as_micros() as f64 / self.0 + 0.5) as u64).min(CENTURY)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a job is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// On a worker that has the job's hint cached.
    pub cached: Duration,
    /// Anywhere else. A worker whose queue holds more work than this is no longer preferred: by
    /// then it would be quicker to build from scratch.
    pub non_cached: Duration,
}

impl Cost {
    /// Returns the expected cost of a job with this estimate.
    pub fn of(&self, estimate: Estimate) -> Duration {
        match estimate {
            Estimate::Cached => self.cached,
            Estimate::NonCached => self.non_cached,
        }
    }

    /// Returns how long a ticket waits for a worker that has its hint cached: the time that saves.
    ///
    /// At least a second: where caches save nothing, tickets would move about without end.
    pub fn cache_wait(&self) -> Duration {
        self.non_cached
            .saturating_sub(self.cached)
            .max(Duration::from_secs(1))
    }
}

impl Default for Cost {
    /// Ten seconds and ten minutes, as upstream guesses for every job.
    fn default() -> Self {
        Self {
            cached: Duration::from_secs(10),
            non_cached: Duration::from_secs(600),
        }
    }
}

/// Which of the two costs is expected of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// Most of it will be found in a cache.
    Cached,
    /// All of it must be built.
    NonCached,
}

/// One client of the pool.
#[derive(Debug)]
pub(crate) struct Client {
    /// The copy of its id that its tickets share.
    id: ClientId,
    pub(crate) rate: Rate,
    /// When its next job would start if shares were exact.
    pub(crate) next_fair_start: Time,
    /// Its tickets that no worker has taken.
    pub(crate) queued: BTreeSet<TicketId>,
    /// How many of those are urgent.
    pub(crate) urgent: usize,
}

/// What a submission is charged.
pub(crate) struct Charge {
    pub(crate) client: ClientId,
    pub(crate) fair_start: Time,
    /// By how much the client's next fair start moved.
    pub(crate) duration: Duration,
}

/// The clients seen since the pool was made, and the rates remembered from before.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: BTreeMap<ClientId, Client>,
    remembered: BTreeMap<ClientId, Rate>,
}

impl Clients {
    pub(crate) fn new(remembered: BTreeMap<ClientId, Rate>) -> Self {
        Self {
            known: BTreeMap::new(),
            remembered,
        }
    }

    /// Charges `client` for a ticket of `cost`, and returns when it would start if shares were exact.
    pub(crate) fn charge(
        &mut self,
        client: &ClientId,
        now: Time,
        cost: Duration,
        ticket: TicketId,
        urgent: bool,
    ) -> Charge {
        let client = self.get_or_add(client);
        let fair_start = now.max(client.next_fair_start);
        let duration = client.rate.time_for(cost);
        client.next_fair_start = fair_start + duration;
        client.queued.insert(ticket);
        client.urgent += usize::from(urgent);
        Charge {
            client: client.id.clone(),
            fair_start,
            duration,
        }
    }

    /// Charges `client` for a ticket that is queued again with the fair start that it had. What was charged for it
    /// before, by this pool, is not charged twice.
    pub(crate) fn charge_again(
        &mut self,
        client: &ClientId,
        fair_start: Time,
        cost: Duration,
        ticket: TicketId,
        urgent: bool,
    ) -> Charge {
        let client = self.get_or_add(client);
        let duration = client.rate.time_for(cost);
        client.next_fair_start = client.next_fair_start.max(fair_start + duration);
        client.queued.insert(ticket);
        client.urgent += usize::from(urgent);
        Charge {
            client: client.id.clone(),
            fair_start,
            duration,
        }
    }

    /// Notes that a ticket is queued no more.
    pub(crate) fn dequeue(&mut self, client: &ClientId, ticket: TicketId, urgent: bool) {
        if let Some(client) = self.known.get_mut(client) {
            let removed = client.queued.remove(&ticket);
            client.urgent -= usize::from(removed && urgent);
        }
    }

    /// Gives back what a ticket was charged. The client's other tickets keep their turns.
    pub(crate) fn refund(&mut self, client: &ClientId, charge: Duration) {
        if let Some(client) = self.known.get_mut(client) {
            client.next_fair_start = client.next_fair_start.saturating_sub(charge);
        }
    }

    pub(crate) fn set_rate(&mut self, client: &ClientId, rate: Rate) {
        self.get_or_add(client).rate = rate;
    }

    pub(crate) fn rate(&self, client: &ClientId) -> Rate {
        match self.known.get(client) {
            Some(client) => client.rate,
            None => self.remembered.get(client).copied().unwrap_or_default(),
        }
    }

    /// Drops a client and its rate, and returns the tickets it still had queued.
    pub(crate) fn remove(&mut self, client: &ClientId) -> BTreeSet<TicketId> {
        self.remembered.remove(client);
        self.known
            .remove(client)
            .map(|client| client.queued)
            .unwrap_or_default()
    }

    /// Returns up to `most` of the tickets that a client has queued, from the one after `after`, oldest first.
    pub(crate) fn queued_of(
        &self,
        client: &ClientId,
        after: Option<TicketId>,
        most: usize,
    ) -> Vec<TicketId> {
        let Some(client) = self.known.get(client) else {
            return Vec::new();
        };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let queued = client.queued.range((after, Bound::Unbounded));
        queued.take(most).copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ClientId, &Client)> {
        self.known.iter()
    }

    fn get_or_add(&mut self, id: &ClientId) -> &mut Client {
        if !self.known.contains_key(id) {
            // From now on the rate lives with the client.
            let rate = self.remembered.remove(id).unwrap_or_default();
            let client = Client {
                id: id.clone(),
                rate,
                next_fair_start: Time::from_micros(i64::MIN),
                queued: BTreeSet::new(),
                urgent: 0,
            };
            self.known.insert(id.clone(), client);
        }
        self.known
            .get_mut(id)
            .expect("it was added above if it was missing")
    }
}
