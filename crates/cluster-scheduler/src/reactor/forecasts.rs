//! When queued jobs are expected to start and to end.
//!
//! Running a pool forward some thirty times takes longer than the reactor may be held, so that happens on a thread of
//! its own, with a copy of the state. One run is for all jobs, every few seconds at most, and only if forecasts are
//! asked for or are due to be checked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use pool::{Forecast, Outlook, TicketId, Time};

use super::Reactor;

/// How long forecasts are used, unless to make them takes long.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How many times as long as it took to make them forecasts are used, so that it takes little of one processor however
/// large the pool is, and however busy the machine.
const AGE_FACTOR: u32 = 50;

/// The nice value of the thread that makes forecasts: while jobs take all processors, forecasts come later.
const NICENESS: i32 = 10;

/// How often forecasts are made if nobody asks, so that it is known how many of them hold.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// How many tickets of each queue have forecasts.
const MAX_TICKETS: usize = 1_000;

/// The forecasts of a pool.
#[derive(Default)]
pub(super) struct Forecasts {
    taken_at: Option<Time>,
    /// How long it took to make the latest.
    took: Duration,
    /// Whether others are being made.
    is_renewing: bool,
    /// How often they were made.
    count: u64,
    latest: BTreeMap<TicketId, Forecast>,
    /// The first forecast of each queued ticket, to see whether it holds.
    first: BTreeMap<TicketId, Forecast>,
}

impl Forecasts {
    fn are_due(&self, now: Time) -> bool {
        let age = (self.took * AGE_FACTOR).clamp(MAX_AGE, CHECK_INTERVAL);
        let is_fresh = |taken_at: Time| now < taken_at + age;
        !self.is_renewing && !self.taken_at.is_some_and(is_fresh)
    }

    fn renew(
        &mut self,
        latest: BTreeMap<TicketId, Forecast>,
        is_queued: impl Fn(TicketId) -> bool,
    ) {
        self.is_renewing = false;
        self.latest = latest;
        self.latest.retain(|ticket, _| is_queued(*ticket));
        for (ticket, forecast) in &self.latest {
            self.first.entry(*ticket).or_insert(*forecast);
        }
        self.first.retain(|ticket, _| is_queued(*ticket));
    }

    /// Returns when a queued job is expected to start and to end, as far as that is known.
    pub(super) fn of(&self, ticket: TicketId, now: Time) -> Option<cluster_api::Forecast> {
        let Forecast { start, end } = self.latest.get(&ticket)?;
        let from_now = |range: &(Time, Time)| (range.0.since(now), range.1.since(now));
        Some(cluster_api::Forecast {
            start: from_now(start),
            end: from_now(end),
        })
    }

    /// A ticket's job has started. Returns whether its first forecast held, if there was one.
    pub(super) fn started(&mut self, ticket: TicketId, now: Time) -> Option<bool> {
        self.latest.remove(&ticket);
        let Forecast {
            start: (earliest, latest),
            ..
        } = self.first.remove(&ticket)?;
        Some(earliest <= now && now <= latest)
    }

    /// A ticket has left the queue without a start.
    pub(super) fn forget(&mut self, ticket: TicketId) {
        self.latest.remove(&ticket);
        self.first.remove(&ticket);
    }
}

impl Reactor {
    /// Makes forecasts every now and then, to see whether they hold. Never ends.
    pub(crate) async fn check_forecasts(self: std::rc::Rc<Self>) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.renew_forecasts();
        }
    }

    /// Has other forecasts made if the latest are too old.
    pub(super) fn renew_forecasts(&self) {
        let now = self.clock.now();
        let outlook = {
            let state = &mut *self.state.borrow_mut();
            if !state.forecasts.are_due(now) || state.tickets.oldest().is_none() {
                return;
            }
            state.forecasts.taken_at = Some(now);
            state.pool.outlook(now, MAX_TICKETS)
        };
        let (Some(outlook), Some(reactor)) = (outlook, self.this.upgrade()) else {
            return;
        };
        let seed = {
            let forecasts = &mut self.state.borrow_mut().forecasts;
            forecasts.is_renewing = true;
            forecasts.count += 1;
            forecasts.count
        };
        tokio::task::spawn_local(async move {
            let (latest, took) = forecast(outlook, seed).await.unwrap_or_default();
            let state = &mut *reactor.state.borrow_mut();
            state.forecasts.took = took;
            let tickets = &state.tickets;
            let is_queued = |ticket| tickets.is_queued(ticket);
            state.forecasts.renew(latest, is_queued);
        });
    }
}

/// Makes forecasts on another thread, and returns how long that took. `None` if there can be no thread.
async fn forecast(outlook: Outlook, seed: u64) -> Option<(BTreeMap<TicketId, Forecast>, Duration)> {
    let (answer, answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("forecast".to_owned());
    let started = thread.spawn(move || {
        // On Linux each thread has a priority of its own. An error leaves it as it was: it is no slower then.
        let thread = Some(rustix::thread::gettid());
        if let Err(error) = rustix::process::setpriority_process(thread, NICENESS) {
            tracing::debug!(target: "scheduler", "Cannot lower the priority of forecasts: {error}");
        }
        let begun = Instant::now();
        let forecasts = outlook.forecast(seed);
        // The scheduler may have ended meanwhile.
        drop(answer.send((forecasts, begun.elapsed())));
    });
    if let Err(error) = started {
        tracing::debug!(target: "scheduler", "Cannot make forecasts: no thread: {error}");
        return None;
    }
    answered.await.ok()
}
