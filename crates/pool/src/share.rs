//! Clients and their rates: when each client's next job would start if shares were exact.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;
use core::time::Duration;

use crate::times::Group;
use crate::window::Known;
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
        self.saving().max(Duration::from_secs(1))
    }

    /// Returns how much time a cache saves.
    pub fn saving(&self) -> Duration {
        self.non_cached.saturating_sub(self.cached)
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
#[derive(Clone, Debug)]
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
    /// How long its jobs took.
    pub(crate) times: Group,
    /// In which busy period it was last charged.
    period: u64,
    /// The fair start of its latest ticket. Nothing that it gets back puts a later one before that.
    latest: Time,
    /// What it gets back, and has not got yet: its next tickets cost so much less.
    credit: Duration,
    /// By how much its next ticket may start before where the queue is: what it has missed while a ticket waited for a
    /// cache, and has not made up for.
    missed: Duration,
}

impl Client {
    fn add(&mut self, ticket: TicketId, urgent: bool) {
        self.queued.insert(ticket);
        self.urgent += usize::from(urgent);
    }

    /// It is charged in a busy period. Returns whether it was charged in it before.
    fn enter(&mut self, period: u64) -> bool {
        let was_current = self.period == period;
        if !was_current {
            (self.period, self.credit, self.missed) = (period, Duration::ZERO, Duration::ZERO);
        }
        was_current
    }

    /// Gives it back some of what it was `charged` for a ticket: at once, but that no later ticket goes before one that
    /// it has. The rest is taken off what its next tickets are charged, up to what it was charged for this one: with
    /// more, it would keep others waiting for too long.
    fn give_back(&mut self, amount: Duration, charged: Duration) {
        let now = self.next_fair_start.since(self.latest).min(amount);
        self.next_fair_start = self.next_fair_start.saturating_sub(now);
        let credit = self.credit.saturating_add(amount - now).min(charged);
        self.credit = self.credit.max(credit);
    }
}

/// What a submission is charged.
pub(crate) struct Charge {
    pub(crate) client: ClientId,
    pub(crate) fair_start: Time,
    /// What its client pays for it: how long its job is expected to take, at the client's rate.
    pub(crate) duration: Duration,
}

/// By which rule clients are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// As upstream, while no times are known: a client that has used less than its rate starts now.
    Guessed,
    /// By learned times: it starts where the queue is, so that all that wait are served by their rates from then on,
    /// however far the pool is behind or ahead of them.
    Learned,
}

/// The clients seen since the pool was made, and the rates remembered from before.
///
/// A *busy period* lasts from a submission at which nothing is queued until the next such submission. What clients owe
/// ends with it.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    known: BTreeMap<ClientId, Client>,
    remembered: BTreeMap<ClientId, Rate>,
    /// How long jobs took of clients that have submitted nothing since.
    past: BTreeMap<ClientId, Group>,
    /// How many tickets all of them have queued.
    queued: usize,
    /// The number of the current busy period.
    period: u64,
    /// How far the queue has come: the latest fair start of a ticket that was taken in its turn.
    reached: Time,
    /// Whether any ticket was taken since this was made.
    has_taken: bool,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            remembered: BTreeMap::new(),
            past: BTreeMap::new(),
            queued: 0,
            period: 0,
            reached: Time::from_micros(i64::MIN),
            has_taken: false,
        }
    }
}

impl Clients {
    pub(crate) fn new(remembered: BTreeMap<ClientId, Rate>) -> Self {
        Self {
            remembered,
            ..Self::default()
        }
    }

    /// Charges `client` for a ticket, and returns when it would start if shares were exact. `cost` returns what its job
    /// is expected to take, from what is known of the client's jobs.
    pub(crate) fn charge(
        &mut self,
        client: &ClientId,
        (now, rule): (Time, Rule),
        cost: impl FnOnce(Known) -> Duration,
        ticket: TicketId,
        urgent: bool,
    ) -> Charge {
        self.queue(now);
        let (period, reached) = (self.period, self.reached);
        let client = self.get_or_add(client);
        let is_current = client.enter(period);
        let fair_start = match rule {
            Rule::Guessed => now.max(client.next_fair_start),
            Rule::Learned if is_current => {
                let from = reached.saturating_sub(client.missed);
                from.max(client.next_fair_start)
            }
            Rule::Learned => reached,
        };
        let duration = client.rate.time_for(cost(client.times.known));
        let used = client.credit.min(duration);
        client.credit -= used;
        client.next_fair_start = fair_start + (duration - used);
        client.latest = fair_start;
        client.missed = reached.since(client.next_fair_start).min(client.missed);
        client.add(ticket, urgent);
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
        (fair_start, rule): (Time, Rule),
        cost: impl FnOnce(Known) -> Duration,
        ticket: TicketId,
        urgent: bool,
    ) -> Charge {
        self.queue(fair_start);
        if !self.has_taken {
            // After a restart, the queue is where the first of its tickets is.
            self.reached = self.reached.min(fair_start);
        }
        let period = self.period;
        let client = self.get_or_add(client);
        let duration = client.rate.time_for(cost(client.times.known));
        let next = fair_start + duration;
        if client.enter(period) || rule == Rule::Guessed {
            client.next_fair_start = client.next_fair_start.max(next);
            client.latest = client.latest.max(fair_start);
        } else {
            (client.next_fair_start, client.latest) = (next, fair_start);
        }
        client.add(ticket, urgent);
        Charge {
            client: client.id.clone(),
            fair_start,
            duration,
        }
    }

    /// One more ticket is queued. If it is the only one, a busy period begins.
    fn queue(&mut self, at: Time) {
        if self.queued == 0 {
            self.period += 1;
            // Not before what was taken: a job that loses its worker goes back to its place, ahead of later ones.
            self.reached = self.reached.max(at);
        }
        self.queued += 1;
    }

    /// Notes that a ticket is queued no more. Returns what is known of its client's jobs.
    pub(crate) fn dequeue(&mut self, client: &ClientId, ticket: TicketId, urgent: bool) -> Known {
        let Some(client) = self.known.get_mut(client) else {
            return Known::default();
        };
        if client.queued.remove(&ticket) {
            client.urgent -= usize::from(urgent);
            self.queued -= 1;
        }
        client.times.known
    }

    /// Notes that a worker has taken a ticket. Urgent ones do not wait for their turns.
    pub(crate) fn took(&mut self, fair_start: Time, urgent: bool) {
        self.has_taken = true;
        if !urgent {
            self.reached = self.reached.max(fair_start);
        }
    }

    /// Returns whether a client is behind its share: by where the queue is, all that it has queued should have started,
    /// and its next ticket, too.
    pub(crate) fn is_behind(&self, client: &ClientId) -> bool {
        let (period, reached) = (self.period, self.reached);
        let client = self.known.get(client);
        client.is_some_and(|client| client.period == period && client.next_fair_start < reached)
    }

    /// Notes that a worker has taken a ticket that waited for a cache, while others waited for workers. What its client
    /// has missed meanwhile is not lost, up to what it was charged for the ticket: with more, it would keep others
    /// waiting for too long.
    pub(crate) fn waited(&mut self, client: &ClientId, charge: Duration) {
        let (period, reached) = (self.period, self.reached);
        if let Some(client) = self.known.get_mut(client)
            && client.period == period
        {
            let behind = reached.since(client.next_fair_start);
            client.missed = client.missed.max(behind.min(charge));
        }
    }

    /// Gives back what a ticket was charged. The client's other tickets keep their turns.
    pub(crate) fn refund(&mut self, client: &ClientId, charge: Duration, rule: Rule) {
        let Some(client) = self.known.get_mut(client) else {
            return;
        };
        match rule {
            Rule::Guessed => {
                client.next_fair_start = client.next_fair_start.saturating_sub(charge);
            }
            Rule::Learned => client.give_back(charge, charge),
        }
    }

    /// Corrects what a client was charged for a job by what that really took. Queued tickets keep their turns: only the
    /// next ones start earlier or later.
    pub(crate) fn correct(&mut self, client: &ClientId, charged: Duration, took: Duration) {
        let period = self.period;
        // What was owed in an earlier busy period counts no more.
        let client = self.known.get_mut(client);
        let Some(client) = client.filter(|client| client.period == period) else {
            return;
        };
        let owed = client.rate.time_for(took);
        if owed < charged {
            return client.give_back(charged - owed, charged);
        }
        let used = client.credit.min(owed - charged);
        client.credit -= used;
        client.next_fair_start = client.next_fair_start + (owed - charged - used);
    }

    /// Returns what a client's jobs have shown, to learn more from them.
    pub(crate) fn times_mut(&mut self, client: &ClientId) -> &mut Group {
        match self.known.get_mut(client) {
            Some(client) => &mut client.times,
            None => self.past.entry(client.clone()).or_default(),
        }
    }

    /// Returns what is known of a client's jobs.
    pub(crate) fn times(&self, client: &ClientId) -> Known {
        let client = self.known.get(client);
        client.map_or(Known::default(), |client| client.times.known)
    }

    /// Returns how many tickets are queued.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Returns some clients, without their tickets.
    pub(crate) fn some<'a>(&self, wanted: impl Iterator<Item = &'a ClientId>) -> Self {
        let mut some = Self::default();
        for id in wanted {
            if let Some(client) = self.known.get(id) {
                let client = Client {
                    queued: BTreeSet::new(),
                    urgent: 0,
                    ..client.clone()
                };
                some.known.insert(id.clone(), client);
            }
        }
        some
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
        self.past.remove(client);
        let removed = self.known.remove(client);
        let queued = removed.map_or(BTreeSet::new(), |client| client.queued);
        self.queued -= queued.len();
        queued
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
                times: self.past.remove(id).unwrap_or_default(),
                period: 0,
                latest: Time::from_micros(i64::MIN),
                credit: Duration::ZERO,
                missed: Duration::ZERO,
            };
            self.known.insert(id.clone(), client);
        }
        self.known
            .get_mut(id)
            .expect("it was added above if it was missing")
    }
}
