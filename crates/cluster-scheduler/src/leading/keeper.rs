//! The thread of the decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use cluster_postgres::{Lease, Look, Peer, Renewal, SchedulerId};
use leadership::{
    AskId, Effect, Fence, HolderId, Leadership, RenewAnswer, Seen, Standbys, StopReason,
    TakeAnswer, Timing,
};
use pool::Time;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use visible::Shown;

use super::lease_state::{LeaseState, PRESENT, Role};
use super::questions::{Answer, Question};
use super::{Command, Event, reach};
use crate::clock::Clock;

/// For how long a standby that does not look any more is expected back, in seconds.
const EXPECTED: f64 = 60.0;

/// How long a lease and everything about it lasts.
pub(crate) fn timing() -> Timing {
    Timing {
        lease: PRESENT,
        ..Timing::default()
    }
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) id: SchedulerId,
    pub(super) questions: Sender<Question>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) lease_state: watch::Sender<LeaseState>,
}

/// Does what is decided until the program ends, or the scheduler drops its end.
pub(super) async fn run(
    parts: Parts,
    mut commands: UnboundedReceiver<Command>,
    mut answers: UnboundedReceiver<Answer>,
) {
    let clock = Clock::start();
    let reaches_leader = Arc::new(AtomicBool::new(true));
    // It ends with the runtime of this thread.
    let lease_state = parts.lease_state.subscribe();
    tokio::spawn(reach::watch(lease_state, Arc::clone(&reaches_leader)));
    let id = HolderId(parts.id.number());
    let mut keeping = Keeping {
        leadership: Leadership::new(timing(), clock.now(), id),
        parts,
        clock,
        lease: None,
        is_ending: false,
        reaches_leader,
    };
    keeping.log_leader(None);
    loop {
        keeping.perform();
        let due = keeping.leadership.next_deadline();
        let due = async {
            match due {
                Some(due) => tokio::time::sleep(clock.until(due)).await,
                None => std::future::pending().await,
            }
        };
        let happened = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => Happened::Commanded(command),
                None => return,
            },
            answer = answers.recv() => match answer {
                Some(answer) => Happened::Answered(answer),
                None => return,
            },
            () = due => Happened::Nothing,
        };
        // The process may have been frozen: what is due comes before an answer of long ago.
        keeping.leadership.advance(clock.now());
        keeping.perform();
        match happened {
            Happened::Nothing => {}
            Happened::Commanded(command) => keeping.commanded(command),
            Happened::Answered(answer) => keeping.answered(answer),
        }
    }
}

enum Happened {
    Nothing,
    Commanded(Command),
    Answered(Answer),
}

struct Keeping {
    leadership: Leadership,
    parts: Parts,
    clock: Clock,
    /// The one that was taken.
    lease: Option<Lease>,
    /// The program ends.
    is_ending: bool,
    /// Whether the leader can be reached, as a standby finds.
    reaches_leader: Arc<AtomicBool>,
}

impl Keeping {
    fn perform(&mut self) {
        while let Some(effect) = self.leadership.next_effect() {
            match effect {
                Effect::Look(ask) => self.ask(Question::Look {
                    ask,
                    reaches_leader: self.reaches_leader.load(Ordering::Relaxed),
                }),
                Effect::Take(ask, seen) => self.ask(Question::Take {
                    ask,
                    number: seen.number,
                    renewals: seen.renewals,
                }),
                Effect::Renew(ask, fence) => self.renew(ask, fence),
                Effect::Resign(ask, fence) => self.resign(ask, fence),
                Effect::Probe => {
                    tracing::warn!(
                        target: "scheduler",
                        "A standby cannot connect to this scheduler: probing all peers"
                    );
                    self.report(Event::Probe);
                }
                Effect::Lead(fence) => self.lead(fence),
                Effect::Drain if self.is_ending => self.leadership.drained(self.clock.now()),
                Effect::Drain => self.report(Event::Drain),
                Effect::Stop(StopReason::Shutdown) => {
                    self.leadership.stopped(self.clock.now());
                    self.ask(Question::Leave);
                }
                Effect::Stop(reason) => {
                    self.parts
                        .lease_state
                        .send_modify(|lease_state| lease_state.role = Role::Standby);
                    self.report(Event::Stop(reason));
                }
            }
        }
    }

    fn commanded(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::StepDown(answer) => {
                // An error means that the operator has gone.
                answer.send(self.leadership.step_down(now)).ok();
            }
            Command::PeerHeard => self.leadership.peer_heard(now),
            Command::Drained => self.leadership.drained(now),
            Command::ShutDown => {
                self.is_ending = true;
                let was_waiting = self.leadership.fence().is_none();
                self.leadership.shut_down(now);
                if was_waiting {
                    self.ask(Question::Leave);
                }
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        let now = self.clock.now();
        match answer {
            Answer::Looked(ask, look) => self.looked(now, ask, look),
            Answer::Taken(ask, answer) => self.taken(now, ask, answer),
            Answer::Renewed(ask, answer) => self.renewed(now, ask, answer),
            Answer::GivenUp(ask) => self.leadership.resigned(now, ask),
            Answer::Left => self.report(Event::Ended),
            Answer::Failed(error) => self.report(Event::Failed(error)),
        }
    }

    fn looked(&mut self, now: Time, ask: AskId, look: Option<Look>) {
        let seen = look.as_ref().map(|look| Seen {
            number: look.number,
            renewals: look.renewals,
            holder: look.holder.map(|holder| HolderId(holder.number())),
            has_expired: look.has_expired,
            left: look.left,
        });
        if let Some(look) = &look {
            let known = self.leader();
            self.parts
                .lease_state
                .send_modify(|lease_state| lease_state.looked(look));
            self.log_leader(known);
        }
        self.leadership.looked(now, ask, seen);
    }

    /// Returns the other scheduler that leads, as far as this one knows.
    fn leader(&self) -> Option<SchedulerId> {
        let lease_state = self.parts.lease_state.borrow();
        lease_state.leader.as_ref().map(|leader| leader.id)
    }

    /// Logs which other scheduler leads, unless it is the known one.
    fn log_leader(&self, known: Option<SchedulerId>) {
        if let Some(leader) = &self.parts.lease_state.borrow().leader
            && known != Some(leader.id)
            && leader.id != self.parts.id
        {
            let (name, address) = (Shown(&leader.name), Shown(&leader.address));
            tracing::info!(target: "scheduler", "Waiting as a standby: {name} leads, at {address}");
        }
    }

    fn taken(&mut self, now: Time, ask: AskId, answer: Option<Option<(Lease, Vec<Peer>)>>) {
        let answer = answer.map(|taken| match taken {
            None => TakeAnswer::Changed,
            Some((lease, others)) => {
                self.lease = Some(lease);
                self.parts
                    .lease_state
                    .send_modify(|lease_state| lease_state.noted(&others));
                TakeAnswer::Taken {
                    number: lease.number().unsigned_abs(),
                    standbys: count(&others),
                }
            }
        });
        self.leadership.taken(now, ask, answer);
    }

    fn renewed(&mut self, now: Time, ask: AskId, answer: Option<Renewal>) {
        let answer = answer.map(|renewal| match renewal {
            Renewal::Renewed(others) => {
                self.parts
                    .lease_state
                    .send_modify(|lease_state| lease_state.noted(&others));
                RenewAnswer::Renewed(count(&others))
            }
            Renewal::ReadOnly => RenewAnswer::ReadOnly,
            Renewal::Deposed => RenewAnswer::Deposed,
        });
        self.leadership.renewed(now, ask, answer);
    }

    fn lead(&mut self, fence: Fence) {
        let Some(lease) = self.lease_of(fence) else {
            return;
        };
        self.parts.lease_state.send_modify(|lease_state| {
            lease_state.role = Role::Leader;
            lease_state.leader = None;
            lease_state.number = fence.number();
        });
        tracing::info!(target: "scheduler", "Took lease {fence} of the database; leading");
        self.report(Event::Lead(lease));
    }

    fn renew(&self, ask: AskId, fence: Fence) {
        if let Some(lease) = self.lease_of(fence) {
            self.ask(Question::Renew { ask, lease });
        }
    }

    fn resign(&self, ask: AskId, fence: Fence) {
        if let Some(lease) = self.lease_of(fence) {
            let leaves = !self.is_ending;
            self.ask(Question::GiveUp { ask, lease, leaves });
        }
    }

    /// Returns the lease with this number: there is no fence without one.
    fn lease_of(&self, fence: Fence) -> Option<Lease> {
        self.lease
            .filter(|lease| lease.number().unsigned_abs() == fence.number())
    }

    fn ask(&self, question: Question) {
        // An error means that the thread has ended, and is found when its answer is awaited.
        drop(self.parts.questions.send(question));
    }

    fn report(&self, event: Event) {
        // An error means that the scheduler has ended.
        drop(self.parts.events.send(event));
    }
}

/// Counts the standbys among the other schedulers.
fn count(others: &[Peer]) -> Standbys {
    let mut standbys = Standbys::default();
    for other in others {
        standbys.expected += u32::from(other.age <= EXPECTED);
        // One from the future is old: the clock of the database was set back. The latest may be a moment ahead.
        if (-1.0..=PRESENT.as_secs_f64()).contains(&other.age) {
            standbys.present += 1;
            standbys.cut_off += u32::from(!other.reaches_leader);
        }
    }
    standbys
}
