//! Decides which of several schedulers on one database leads.
//!
//! [`Leadership`] is a plain value, like the pool: it performs no I/O and never reads a clock. Callers report events
//! and the time, then drain [`Leadership::next_effect`] for what they must do. Each scheduler of a cluster has one; all
//! of them talk about one row of their database, the *lease*.
//!
//! ```
//! use leadership::{Effect, HolderId, Leadership, Seen, Standbys, TakeAnswer, Timing};
//! use pool::Time;
//!
//! let now = Time::EPOCH;
//! let mut leadership = Leadership::new(Timing::default(), now, HolderId(1));
//! let Some(Effect::Look(ask)) = leadership.next_effect() else { panic!() };
//! let free = Seen { number: 6, renewals: 40, holder: Some(HolderId(2)), has_expired: true, left: None };
//! leadership.looked(now, ask, Some(free));
//!
//! let Some(Effect::Take(ask, _)) = leadership.next_effect() else { panic!() };
//! assert_eq!(leadership.fence(), None);
//! let standbys = Standbys::default();
//! leadership.taken(now, ask, Some(TakeAnswer::Taken { number: 7, standbys }));
//! let Some(Effect::Lead(fence)) = leadership.next_effect() else { panic!() };
//! assert_eq!(fence.number(), 7);
//! ```
//!
//! # One leader writes
//!
//! Every write carries the number of its leader's lease ([`Fence`]), and the database refuses one whose number is not
//! the latest. So no clock has to be right for the state to be right: a leader that was frozen for an hour and does not
//! know it writes nothing. Clocks only decide how soon another scheduler leads, and when an old leader closes the
//! connections of peers that should go to the new one.
//!
//! # Which clock
//!
//! A standby takes a lease that has expired by the database's clock, or that it saw unchanged for the duration of a
//! lease by its own: a database whose clock was set back delays nothing. A leader counts from when it *sent* the latest
//! question to which the database answered that it leads.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod effect;
mod lease;
mod role;
mod timing;

use alloc::collections::VecDeque;

pub use effect::{AskId, Effect, StepDownError, StopReason};
pub use lease::{Fence, HolderId, RenewAnswer, Seen, Standbys, TakeAnswer};
pub use pool::Time;
use role::{Role, Term, Watch};
pub use timing::Timing;

/// Whether one scheduler leads.
#[derive(Debug)]
pub struct Leadership {
    timing: Timing,
    holder: HolderId,
    /// The latest time that was reported.
    now: Time,
    role: Role,
    /// The question that the database has not answered yet. There is never more than one.
    asked: Option<Asked>,
    last_ask: u64,
    effects: VecDeque<Effect>,
}

/// A question on its way to the database.
#[derive(Clone, Copy, Debug)]
struct Asked {
    id: AskId,
    sent: Time,
}

/// Making it, and what to do next.
impl Leadership {
    /// Returns a standby, which looks at the lease at once.
    ///
    /// A lease that it gave up for others to lead, in an earlier process, is in [`Seen::left`].
    pub fn new(timing: Timing, now: Time, holder: HolderId) -> Self {
        let mut leadership = Self {
            timing,
            holder,
            now,
            role: Role::Standby(Watch::new(now, None)),
            asked: None,
            last_ask: 0,
            effects: VecDeque::new(),
        };
        leadership.act();
        leadership
    }

    /// Returns the next thing the caller must do, or `None` when there is nothing. Call until `None` after any event.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns when to call [`advance`](Self::advance); `None` while only the caller can go on.
    pub fn next_deadline(&self) -> Option<Time> {
        let unanswered = self.asked.map(|asked| asked.sent + self.timing.answer);
        let of_role = match &self.role {
            Role::Standby(watch) if self.asked.is_none() => [Some(watch.next_look), None, None],
            Role::Leading(term) => [
                self.asked.is_none().then_some(term.next_renewal),
                term.expires(&self.timing),
                term.silence_ends(&self.timing),
            ],
            Role::Draining { until, .. } => [Some(*until), None, None],
            Role::Standby(_) | Role::Resigning { .. } | Role::Stopping { .. } | Role::Ended => {
                [None; 3]
            }
        };
        of_role.into_iter().chain([unanswered]).flatten().min()
    }

    /// Returns what each write must carry; `None` if this scheduler must not write.
    pub fn fence(&self) -> Option<Fence> {
        match &self.role {
            Role::Leading(term) | Role::Draining { term, .. } => Some(term.fence),
            _ => None,
        }
    }

    /// Returns the scheduler that leads, as far as this one knows.
    pub fn leader(&self) -> Option<HolderId> {
        match &self.role {
            Role::Leading(_) | Role::Draining { .. } => Some(self.holder),
            Role::Standby(watch) => watch.leader(),
            Role::Resigning { .. } | Role::Stopping { .. } | Role::Ended => None,
        }
    }

    /// Returns since when the database has not confirmed that this scheduler leads; `None` if it does not lead.
    pub fn confirmed(&self) -> Option<Time> {
        match &self.role {
            Role::Leading(term) | Role::Draining { term, .. } => Some(term.confirmed),
            _ => None,
        }
    }
}

/// What happens.
impl Leadership {
    /// It is this time now. After a long time in which the process did not run, call this before anything else.
    pub fn advance(&mut self, now: Time) {
        self.tick(now);
        self.act();
    }

    /// The database has told how the lease is; `None` if it did not answer, or cannot be reached.
    pub fn looked(&mut self, now: Time, ask: AskId, seen: Option<Seen>) {
        self.tick(now);
        let Some(asked) = self.answered(ask) else {
            return self.act();
        };
        let (now, timing, holder) = (self.now, self.timing, self.holder);
        let next_look = now + self.timing.look;
        if let Role::Standby(watch) = &mut self.role {
            watch.next_look = next_look;
            if let Some(seen) = seen {
                let unchanged = watch.note(seen, asked.sent, now);
                // A lease of its own is one that an earlier process of this scheduler had.
                let is_free = seen.has_expired
                    || seen.holder.is_none_or(|has_it| has_it == holder)
                    || unchanged >= timing.lease;
                if is_free && watch.may_take(seen, now, timing.pause) {
                    let ask = self.ask();
                    self.effects.push_back(Effect::Take(ask, seen));
                }
            }
        }
        self.act();
    }

    /// The database has told whether the lease is taken; `None` if it did not answer: the next look shows it.
    pub fn taken(&mut self, now: Time, ask: AskId, answer: Option<TakeAnswer>) {
        self.tick(now);
        if let Some(asked) = self.answered(ask)
            && let (Role::Standby(_), Some(TakeAnswer::Taken { number, standbys })) =
                (&self.role, answer)
        {
            let fence = Fence::new(number);
            self.role = Role::Leading(Term {
                fence,
                confirmed: asked.sent,
                standbys,
                next_renewal: asked.sent + self.timing.renewal,
                doubted: None,
                heard: None,
            });
            self.effects.push_back(Effect::Lead(fence));
        }
        self.act();
    }

    /// The database has told whether the lease is renewed; `None` if it did not answer, or cannot be reached.
    pub fn renewed(&mut self, now: Time, ask: AskId, answer: Option<RenewAnswer>) {
        self.tick(now);
        let Some(asked) = self.answered(ask) else {
            return self.act();
        };
        let (now, timing) = (self.now, self.timing);
        if let Role::Leading(term) | Role::Draining { term, .. } = &mut self.role {
            term.next_renewal = now + timing.look;
            match answer {
                Some(RenewAnswer::Renewed(standbys)) => {
                    term.confirmed = asked.sent;
                    term.next_renewal = asked.sent + timing.renewal;
                    term.standbys = standbys;
                    if !standbys.miss_the_leader() {
                        term.doubted = None;
                    } else if term.doubted.is_none() {
                        term.doubted = Some(now);
                        self.effects.push_back(Effect::Probe);
                    }
                }
                Some(RenewAnswer::ReadOnly) => term.confirmed = asked.sent,
                Some(RenewAnswer::Deposed) => {
                    let fence = term.fence;
                    self.stop(fence, StopReason::Deposed);
                }
                None => {}
            }
        }
        self.act();
    }

    /// The database has refused a write, as its latest lease has this number.
    pub fn write_refused(&mut self, now: Time, number: u64) {
        self.tick(now);
        if let Some(fence) = self.fence().filter(|fence| fence.number() < number) {
            self.stop(fence, StopReason::Deposed);
        }
        self.act();
    }

    /// A worker or a client has shown a sign of life. Cheap, and may be called for everything that arrives.
    pub fn peer_heard(&mut self, now: Time) {
        self.tick(now);
        if let Role::Leading(term) = &mut self.role {
            term.heard = Some(self.now);
        }
    }

    /// The lease was given up by its leader, as a notification of the database says: a standby looks at once.
    pub fn woken(&mut self, now: Time) {
        self.tick(now);
        if let Role::Standby(watch) = &mut self.role {
            watch.next_look = self.now;
        }
        self.act();
    }

    /// An operator wants another scheduler to lead.
    ///
    /// # Errors
    ///
    /// If this one does not lead, or no other one would.
    pub fn step_down(&mut self, now: Time) -> Result<(), StepDownError> {
        self.tick(now);
        match &self.role {
            Role::Leading(term) if term.standbys.present == 0 => Err(StepDownError::NoStandby),
            Role::Leading(term) => {
                self.drain(*term, StopReason::StepDown);
                Ok(())
            }
            // It was asked before.
            Role::Draining { .. } | Role::Resigning { .. } => Ok(()),
            Role::Standby(_) | Role::Stopping { .. } | Role::Ended => {
                Err(StepDownError::NotLeading)
            }
        }
    }

    /// The program ends: it gives up its lease first, if it has one.
    pub fn shut_down(&mut self, now: Time) {
        self.tick(now);
        match &mut self.role {
            Role::Leading(term) => {
                let term = *term;
                self.drain(term, StopReason::Shutdown);
            }
            Role::Draining { reason, .. }
            | Role::Resigning { reason, .. }
            | Role::Stopping { reason, .. } => *reason = StopReason::Shutdown,
            Role::Standby(_) | Role::Ended => {
                self.asked = None;
                self.role = Role::Ended;
            }
        }
    }

    /// Nothing is on its way to the database any more, and nothing new is accepted.
    pub fn drained(&mut self, now: Time) {
        self.tick(now);
        if let Role::Draining { term, reason, .. } = self.role {
            self.resign(term.fence, reason);
        }
        self.act();
    }

    /// The database knows that the lease is given up, or did not answer: then it expires.
    pub fn resigned(&mut self, now: Time, ask: AskId) {
        self.tick(now);
        if self.answered(ask).is_some()
            && let Role::Resigning { fence, reason } = self.role
        {
            self.stop(fence, reason);
        }
        self.act();
    }

    /// This scheduler has stopped leading: nothing of it is left.
    pub fn stopped(&mut self, now: Time) {
        self.tick(now);
        if let Role::Stopping { fence, reason } = self.role {
            let left = (fence, self.now + self.timing.pause);
            self.role = match reason {
                StopReason::StepDown | StopReason::CutOff => {
                    Role::Standby(Watch::new(self.now, Some(left)))
                }
                StopReason::Deposed | StopReason::Expired => {
                    Role::Standby(Watch::new(self.now, None))
                }
                StopReason::Shutdown => Role::Ended,
            };
        }
        self.act();
    }
}

impl Leadership {
    fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    fn ask(&mut self) -> AskId {
        self.last_ask += 1;
        let id = AskId(self.last_ask);
        self.asked = Some(Asked { id, sent: self.now });
        id
    }

    /// Takes the question that is answered; `None` if the answer comes too late.
    fn answered(&mut self, ask: AskId) -> Option<Asked> {
        self.asked.take_if(|asked| asked.id == ask)
    }

    /// Does what is due by now.
    fn act(&mut self) {
        let (now, timing) = (self.now, self.timing);
        let is_past = |time: Option<Time>| time.is_some_and(|time| time <= now);
        let is_unanswered = |asked: &mut Asked| asked.sent + timing.answer <= now;
        let is_unanswered = self.asked.take_if(is_unanswered).is_some();
        match &mut self.role {
            Role::Standby(watch) if self.asked.is_none() && watch.next_look <= now => {
                let ask = self.ask();
                self.effects.push_back(Effect::Look(ask));
            }
            Role::Leading(term) if is_past(term.expires(&timing)) => {
                let fence = term.fence;
                self.stop(fence, StopReason::Expired);
            }
            Role::Leading(term) if is_past(term.silence_ends(&timing)) => {
                let fence = term.fence;
                if term.is_silent() {
                    self.resign(fence, StopReason::CutOff);
                } else {
                    term.doubted = None;
                }
            }
            Role::Leading(term) if self.asked.is_none() && term.next_renewal <= now => {
                let fence = term.fence;
                let ask = self.ask();
                self.effects.push_back(Effect::Renew(ask, fence));
            }
            Role::Draining {
                term,
                until,
                reason,
            } if *until <= now => {
                let (fence, reason) = (term.fence, *reason);
                self.resign(fence, reason);
            }
            Role::Resigning { fence, reason } if is_unanswered => {
                let (fence, reason) = (*fence, *reason);
                self.stop(fence, reason);
            }
            _ => {}
        }
    }

    fn drain(&mut self, term: Term, reason: StopReason) {
        let until = self.now + self.timing.drain;
        self.role = Role::Draining {
            term,
            until,
            reason,
        };
        self.effects.push_back(Effect::Drain);
    }

    fn resign(&mut self, fence: Fence, reason: StopReason) {
        let ask = self.ask();
        self.role = Role::Resigning { fence, reason };
        self.effects.push_back(Effect::Resign(ask, fence));
    }

    fn stop(&mut self, fence: Fence, reason: StopReason) {
        self.asked = None;
        self.role = Role::Stopping { fence, reason };
        self.effects.push_back(Effect::Stop(reason));
    }
}
