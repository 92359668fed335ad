//! Watches over the connected workers: whether they are still there.
//!
//! A program that is frozen, or waits for a disk that hangs, keeps its connection: the kernel at the other end, or a proxy
//! in between, acknowledges for it. So each worker is asked something now and then. Any answer will do, an error too; and
//! so will anything else that comes from it meanwhile, as answers stand in line behind the logs that it sends.
//!
//! Its patience is counted in looks, each [`LOOK`] apart, rather than in time: when it was ourselves who were stopped, it
//! is one look later for all workers, and not too late for all of them.

use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::Worker;
use pool::{Disconnected, InactiveReason, Time, WorkerId};
use tokio::sync::Notify;
use vat::Peer;

use super::{Reactor, State};
use crate::roster::Sign;

/// How long a worker may be silent before it is asked whether it is there, rather than given a job. In that time a job
/// may go to one that has just stopped; asking costs the job a round trip, so that it should not be all of them.
pub(crate) const TRUST: Duration = Duration::from_secs(2);

/// How often a worker is asked. Fifty workers are five small messages a second.
const PERIOD: Duration = Duration::from_secs(10);

/// How often we look whether anything has come, while we wait for an answer.
const LOOK: Duration = Duration::from_secs(1);

/// For how many looks a worker may be silent. A machine that is short of memory may take that long, and what is queued
/// for its cache is better off waiting; and with [`PERIOD`], jobs are elsewhere well within 90 seconds.
const PATIENCE: u32 = 30;

/// The same while somebody waits for it: a job that it has room for, or another worker that wants its name.
const SHORT_PATIENCE: u32 = 10;

/// What is asked of a worker: the metrics of a source that nobody has, as the source is called nothing.
///
/// It is the one call without an effect that takes a worker no effort. Those of before there were such sources say that
/// they do not know the method, which is as good an answer.
const PING: &str = "";

impl State {
    /// A worker gave a sign of life. It may have left meanwhile.
    pub(super) fn heard(&mut self, id: WorkerId, now: Time) {
        let (Ok(()), Some(registered)) = (self.pool.heard(id, now), self.workers.get_mut(id))
        else {
            return;
        };
        let pulse = &mut registered.pulse;
        let silent_since = pulse.silent_since.take();
        pulse.is_waited_for = false;
        pulse.signs.send_replace(Sign::Alive);
        if std::mem::take(&mut pulse.is_not_answering) {
            let seconds = silent_since.map_or(0.0, |since| now.secs_after(since));
            let name = registered.name.as_str();
            tracing::info!(target: "scheduler", "Worker {name:?} answers again, after {seconds:.0} s");
        }
    }

    /// A worker has been silent for this many looks. Once that is too many, it counts as not answering.
    fn silent(&mut self, id: WorkerId, looks: u32) {
        let Some(registered) = self.workers.get_mut(id) else {
            return;
        };
        let pulse = &mut registered.pulse;
        let patience = match pulse.is_waited_for {
            true => SHORT_PATIENCE,
            false => PATIENCE,
        };
        if pulse.is_not_answering || looks < patience {
            return;
        }
        pulse.is_not_answering = true;
        pulse.signs.send_replace(Sign::NotAnswering);
        let name = registered.name.as_str();
        let seconds = LOOK.as_secs() * u64::from(looks);
        tracing::warn!(
            target: "scheduler",
            "Worker {name:?} has not answered for {seconds} s: it gets no jobs until it does"
        );
        // It is registered: we have just looked.
        let _: Result<(), Disconnected> =
            self.pool
                .set_active(id, InactiveReason::NotAnswering, false);
    }
}

impl Reactor {
    /// Watches over a worker for as long as it is registered.
    pub(super) fn watch(self: Rc<Self>, id: WorkerId) {
        let mut state = self.state.borrow_mut();
        let Some(registered) = state.workers.get(id) else {
            return;
        };
        let watched = Watched {
            reactor: Rc::downgrade(&self),
            id,
            worker: registered.worker.clone(),
            peer: registered.peer.clone(),
            wanted: Rc::clone(&registered.pulse.wanted),
        };
        let task = tokio::task::spawn_local(watched.watch());
        state.workers.watch(id, task);
    }

    /// Has a worker asked at once whether it is there: somebody waits for it.
    pub(super) fn want_sign(&self, id: WorkerId) {
        if let Some(registered) = self.state.borrow_mut().workers.get_mut(id) {
            registered.pulse.is_waited_for = true;
            registered.pulse.wanted.notify_one();
        }
    }

    /// Waits until a worker has not answered for too long. Never returns if it leaves before.
    pub(crate) async fn stops_answering(&self, id: WorkerId) {
        let signs = self
            .state
            .borrow()
            .workers
            .get(id)
            .map(|registered| registered.pulse.signs.subscribe());
        let waited = match signs {
            Some(mut signs) => signs
                .wait_for(|sign| *sign == Sign::NotAnswering)
                .await
                .is_ok(),
            None => false,
        };
        if !waited {
            std::future::pending::<()>().await;
        }
    }

    fn asked(&self, id: WorkerId) {
        let now = self.clock.now();
        if let Some(registered) = self.state.borrow_mut().workers.get_mut(id) {
            registered.pulse.silent_since.get_or_insert(now);
        }
    }

    fn heard(&self, id: WorkerId) {
        self.tell(|state, now| state.heard(id, now));
    }

    fn silent(&self, id: WorkerId, looks: u32) {
        self.tell(|state, _| state.silent(id, looks));
    }
}

/// A worker that is watched.
struct Watched {
    reactor: Weak<Reactor>,
    id: WorkerId,
    worker: Worker,
    peer: Peer,
    wanted: Rc<Notify>,
}

impl Watched {
    /// Asks the worker again and again, until its connection ends.
    async fn watch(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.wanted.notified() => {}
            }
            let Some(reactor) = self.reactor.upgrade() else {
                return;
            };
            reactor.asked(self.id);
            self.answer(&reactor).await;
            // Then its answer is that of a connection that has ended.
            if self.peer.is_closed() {
                return;
            }
            reactor.heard(self.id);
        }
    }

    /// Asks the worker, and waits until it answers, however long that takes.
    async fn answer(&self, reactor: &Reactor) {
        let mut answer = pin!(self.worker.additional_metric(PING));
        let mut received = self.peer.received();
        let mut silent = 0;
        loop {
            tokio::select! {
                biased;
                // Whatever it says.
                _answered = &mut answer => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let before = std::mem::replace(&mut received, self.peer.received());
            if received == before {
                silent += 1;
                reactor.silent(self.id, silent);
            } else {
                silent = 0;
                reactor.heard(self.id);
                reactor.asked(self.id);
            }
        }
    }
}
