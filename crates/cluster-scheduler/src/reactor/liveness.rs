//! Liveness of the connected workers: each is probed regularly.
//!
//! A program that is frozen, or waits for a disk that hangs, keeps its connection: the kernel at the other end, or a
//! proxy in between, acknowledges for it. So each worker is sent a call now and then. Any answer counts, also an error,
//! and so does anything else that arrives from it meanwhile, because answers queue behind the logs that it sends.
//!
//! The limit is a number of checks, [`CHECK_INTERVAL`] apart, rather than a time. If this process itself was stopped,
//! each worker has missed one check, not all of them.

use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::Worker;
use pool::{Disconnected, InactiveReason, Time, WorkerId};
use tokio::sync::Notify;
use vat::Peer;
use visible::Elapsed;

use super::{Reactor, State};
use crate::roster::LivenessState;

/// How long a worker may be silent before it is probed instead of being assigned a job. Within that time a job may go
/// to one that has just stopped. A probe costs the job a round trip, so not every job should pay for one.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(2);

/// How often a worker is probed. For fifty workers that is five small messages a second.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// How often to check whether anything has arrived while an answer is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How many checks a worker may be silent for. A machine that is short of memory may take that long, and what is queued
/// for its cache is better off waiting. With [`PROBE_INTERVAL`], jobs move elsewhere well within 90 seconds.
const MAX_SILENT_CHECKS: u32 = 30;

/// The same while something waits for the worker: a job that it has room for, or another worker that wants its name.
const MAX_SILENT_CHECKS_WHEN_WAITED_FOR: u32 = 10;

/// The probe: a request for the additional metrics of a source with an empty name, which no worker has.
///
/// It is the one call that changes nothing and costs a worker nothing. Older workers answer that they do not know the
/// method, which is as good an answer.
const PROBE: &str = "";

impl State {
    /// Something arrived from a worker, which may have left meanwhile.
    pub(super) fn heard_from(&mut self, id: WorkerId, now: Time) {
        let (Ok(()), Some(registered)) = (self.pool.heard_from(id, now), self.workers.get_mut(id))
        else {
            return;
        };
        let liveness = &mut registered.liveness;
        let silent_since = liveness.silent_since.take();
        liveness.is_waited_for = false;
        liveness.state.send_replace(LivenessState::Responsive);
        if std::mem::take(&mut liveness.is_not_answering) {
            let seconds = silent_since.map_or(0.0, |since| now.secs_after(since));
            let name = registered.name.as_str();
            let silence = Elapsed::from_seconds(seconds);
            tracing::info!(target: "scheduler", "Worker {name:?} answers again after {silence}");
        }
    }

    /// A worker has been silent at this many checks in a row. After too many it counts as not answering.
    fn count_silence(&mut self, id: WorkerId, checks: u32) {
        let Some(registered) = self.workers.get_mut(id) else {
            return;
        };
        let liveness = &mut registered.liveness;
        let limit = match liveness.is_waited_for {
            true => MAX_SILENT_CHECKS_WHEN_WAITED_FOR,
            false => MAX_SILENT_CHECKS,
        };
        if liveness.is_not_answering || checks < limit {
            return;
        }
        liveness.is_not_answering = true;
        liveness.state.send_replace(LivenessState::Unresponsive);
        let name = registered.name.as_str();
        let seconds = CHECK_INTERVAL.as_secs() * u64::from(checks);
        tracing::warn!(
            target: "scheduler",
            "Worker {name:?} has not answered for {seconds} s: no jobs are assigned until it responds"
        );
        // It is registered, as was checked above.
        let _: Result<(), Disconnected> =
            self.pool
                .set_active(id, InactiveReason::NotAnswering, false);
    }
}

impl Reactor {
    /// Probes a worker regularly for as long as it is registered.
    pub(super) fn watch(self: Rc<Self>, id: WorkerId) {
        let mut state = self.state.borrow_mut();
        let Some(registered) = state.workers.get(id) else {
            return;
        };
        let watched = Prober {
            reactor: Rc::downgrade(&self),
            id,
            worker: registered.worker.clone(),
            peer: registered.peer.clone(),
            probe_requested: Rc::clone(&registered.liveness.probe_requested),
        };
        let task = tokio::task::spawn_local(watched.watch());
        state.workers.watch(id, task);
    }

    /// Probes a worker at once, because something waits for it.
    pub(super) fn probe_now(&self, id: WorkerId) {
        if let Some(registered) = self.state.borrow_mut().workers.get_mut(id) {
            registered.liveness.is_waited_for = true;
            registered.liveness.probe_requested.notify_one();
        }
    }

    /// Probes all workers at once.
    pub(crate) fn probe_all(&self) {
        self.state.borrow().workers.probe_all();
    }

    /// Waits until a worker counts as not answering. Never returns if it leaves before.
    pub(crate) async fn until_unresponsive(&self, id: WorkerId) {
        let states = self
            .state
            .borrow()
            .workers
            .get(id)
            .map(|registered| registered.liveness.state.subscribe());
        let waited = match states {
            Some(mut states) => states
                .wait_for(|state| *state == LivenessState::Unresponsive)
                .await
                .is_ok(),
            None => false,
        };
        if !waited {
            std::future::pending::<()>().await;
        }
    }

    fn probe_sent(&self, id: WorkerId) {
        let now = self.clock.now();
        if let Some(registered) = self.state.borrow_mut().workers.get_mut(id) {
            registered.liveness.silent_since.get_or_insert(now);
        }
    }

    fn heard_from(&self, id: WorkerId) {
        self.apply(|state, now| state.heard_from(id, now));
    }

    fn count_silence(&self, id: WorkerId, checks: u32) {
        self.apply(|state, _| state.count_silence(id, checks));
    }
}

/// Probes one worker.
struct Prober {
    reactor: Weak<Reactor>,
    id: WorkerId,
    worker: Worker,
    peer: Peer,
    probe_requested: Rc<Notify>,
}

impl Prober {
    /// Probes the worker regularly, until its connection ends.
    async fn watch(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PROBE_INTERVAL) => {}
                () = self.probe_requested.notified() => {}
            }
            let Some(reactor) = self.reactor.upgrade() else {
                return;
            };
            reactor.probe_sent(self.id);
            self.answer(&reactor).await;
            // Then the "answer" was the end of the connection.
            if self.peer.is_closed() {
                return;
            }
            reactor.heard_from(self.id);
        }
    }

    /// Sends a probe, and waits for the answer, however long that takes.
    async fn answer(&self, reactor: &Reactor) {
        let mut answer = pin!(self.worker.additional_metric(PROBE));
        let mut received = self.peer.received();
        let mut silent = 0;
        loop {
            tokio::select! {
                biased;
                // Any answer counts.
                _answered = &mut answer => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let before = std::mem::replace(&mut received, self.peer.received());
            if received == before {
                silent += 1;
                reactor.count_silence(self.id, silent);
            } else {
                silent = 0;
                reactor.heard_from(self.id);
                reactor.probe_sent(self.id);
            }
        }
    }
}
