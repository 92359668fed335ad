//! The whole cluster, and what happens to it.

use std::collections::VecDeque;
use std::time::Duration;

use pool::Time;

use super::client::Client;
use super::events::{Crash, Event, Events, Party, Wish};
use super::fault::ClusterFault;
use super::message::Message;
use super::network::{ConnectionId, Network, Side};
use super::oracle::Oracle;
use super::process::Context;
use super::scheduler::Scheduler;
use super::worker::Worker;
use crate::simulate::Counts;
use crate::simulate::random::Random;

/// How long accidents happen.
const TROUBLE: usize = 1_500;

/// How long all has to recover after that.
const RECOVERY: Duration = Duration::from_secs(6_000);

/// More than any history needs: a loop of messages would have more.
const MOST_EVENTS: u32 = 100_000;

struct Processes {
    scheduler: Scheduler,
    workers: Vec<Worker>,
    clients: Vec<Client>,
}

pub(crate) struct World {
    now: Time,
    random: Random,
    events: Events,
    network: Network,
    oracle: Oracle,
    fault: Option<ClusterFault>,
    processes: Processes,
    /// The latest events, if they are to be shown.
    latest: Option<VecDeque<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Option<ClusterFault>) -> Self {
        Self {
            now: Time::from_secs(1_000),
            random: Random::new(seed),
            events: Events::default(),
            network: Network::default(),
            oracle: Oracle::default(),
            fault,
            processes: Processes {
                scheduler: Scheduler::default(),
                // The last one is of upstream's kind.
                workers: vec![
                    Worker::new(0, true),
                    Worker::new(1, true),
                    Worker::new(2, false),
                ],
                clients: vec![Client::new(0), Client::new(1)],
            },
            latest: None,
        }
    }

    /// Lives through everything.
    ///
    /// # Errors
    ///
    /// The promise that is broken, with the latest events.
    pub(crate) fn live(mut self) -> Result<Counts, String> {
        self.plan_everything();
        let end = self.now + Duration::from_secs(TROUBLE as u64) + RECOVERY;
        for _ in 0..MOST_EVENTS {
            let Some((time, event)) = self.events.pop() else {
                break;
            };
            if time > end || (time > self.trouble_ends() && self.is_quiet()) {
                break;
            }
            self.now = time;
            self.remember(&event);
            self.happen(event);
            if self.processes.scheduler.has_burnt_down() {
                self.oracle.count("killed at a point");
                self.kill(Party::Scheduler, Crash::Process, Duration::from_secs(3));
            }
            let checked = self.processes.scheduler.check().err();
            if let Some(problem) = self.oracle.problem().or(checked) {
                return Err(self.explained(&problem));
            }
        }
        self.oracle.review(
            &self.processes.scheduler.disk,
            &self.processes.scheduler.logs,
        );
        if let Some(problem) = self.oracle.problem() {
            return Err(self.explained(&problem));
        }
        if let Some(client) = self
            .processes
            .clients
            .iter()
            .find(|client| !client.is_done())
        {
            let problem = format!("accepted means kept: a client waits for ever: {client:?}");
            return Err(self.explained(&problem));
        }
        for worker in &self.processes.workers {
            if let Some(attempt) = worker.holds().next() {
                let problem = format!("one outcome: {attempt} is kept by its worker for ever");
                return Err(self.explained(&problem));
            }
        }
        Ok(self.oracle.seen)
    }

    /// Remembers the latest events from now on.
    pub(crate) fn remembering(mut self) -> Self {
        self.latest = Some(VecDeque::new());
        self
    }

    fn explained(&self, problem: &str) -> String {
        let latest = self.latest.iter().flatten();
        latest.fold(problem.to_owned(), |text, event| text + "\n" + event)
    }

    fn remember(&mut self, event: &Event) {
        let Some(latest) = &mut self.latest else {
            return;
        };
        if latest.len() == 60 {
            latest.pop_front();
        }
        let at = self.now.secs_after(Time::EPOCH);
        latest.push_back(format!("    {at:.3}: {event:?}"));
    }

    fn trouble_ends(&self) -> Time {
        Time::from_secs(1_000 + TROUBLE as i64)
    }

    /// Nothing is left to do.
    fn is_quiet(&self) -> bool {
        self.processes.clients.iter().all(Client::is_done)
            && self
                .processes
                .workers
                .iter()
                .all(|worker| worker.holds().next().is_none())
    }

    fn some_time(&mut self) -> Time {
        self.now + Duration::from_millis(self.random.below(TROUBLE * 1_000) as u64)
    }

    fn plan_everything(&mut self) {
        for party in [
            Party::Scheduler,
            Party::Worker(0),
            Party::Worker(1),
            Party::Worker(2),
            Party::Client(0),
            Party::Client(1),
        ] {
            self.events.at(self.now, Event::Start { party });
            if self.random.once_in(2) {
                self.plan_kill(party);
            }
            for _ in 0..self.random.below(3) {
                let time = self.some_time();
                if party != Party::Scheduler {
                    self.events.at(time, Event::Cut { party });
                }
            }
        }
        self.plan_kill(Party::Scheduler);
        for _ in 0..2 + self.random.below(5) {
            let (time, client) = (self.some_time(), self.random.below(2));
            let terms = self.random.below(1_000);
            let submit = Wish::Submit { terms };
            self.events.at(
                time,
                Event::Wish {
                    client,
                    wish: submit,
                },
            );
            if self.random.once_in(4) {
                let later = time + Duration::from_millis(self.random.below(90_000) as u64);
                let wish = Wish::CancelLatest;
                self.events.at(later, Event::Wish { client, wish });
            }
        }
        for _ in 0..self.random.below(3) {
            let (time, actions) = (self.some_time(), 1 + self.random.below(40) as u32);
            self.events.at(time, Event::Fuse { actions });
        }
        if self.random.once_in(2) {
            let time = self.some_time();
            self.events.at(time, Event::FullDisk);
        }
    }

    fn plan_kill(&mut self, party: Party) {
        let time = self.some_time();
        let crash = self.random.pick(&[Crash::Process, Crash::Machine]);
        let down = Duration::from_secs(self.random.pick(&[1, 10, 60, 250, 500]));
        self.events.at(time, Event::Kill { party, crash, down });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver {
                connection,
                to,
                message,
            } => self.deliver(connection, to, message),
            Event::Ended {
                connection,
                seen_by,
                silently,
            } => self.connection_ended(connection, seen_by, silently),
            Event::Commit { life } if life == self.processes.scheduler.life => {
                self.with(|processes, context| {
                    processes.scheduler.committed(context);
                });
            }
            Event::Deadline { life } if life == self.processes.scheduler.life => {
                self.with(|processes, context| {
                    processes.scheduler.deadline(context);
                });
            }
            Event::Build {
                worker,
                life,
                attempt,
            } if self.life(Party::Worker(worker)) == (true, life) => {
                self.with(|processes, context| {
                    processes.workers[worker].builds(context, attempt);
                });
            }
            Event::Grace { worker, life } if self.life(Party::Worker(worker)) == (true, life) => {
                self.with(|processes, context| {
                    processes.workers[worker].grace_may_be_over(context);
                });
            }
            Event::Commit { .. }
            | Event::Deadline { .. }
            | Event::Build { .. }
            | Event::Grace { .. } => {}
            Event::Wish { client, wish } => self.with(|processes, context| {
                processes.clients[client].wish(context, wish);
            }),
            Event::Fuse { actions } => self.processes.scheduler.set_fuse(actions),
            Event::FullDisk => self.processes.scheduler.refuse_next_write(),
            Event::Cut { party } => {
                let (network, events) = (&mut self.network, &mut self.events);
                network.cut(events, &mut self.random, self.now, party);
            }
            Event::Dial { from, life } => self.dial(from, life),
            Event::Kill { party, crash, down } => self.kill(party, crash, down),
            Event::Start { party } => self.start(party),
        }
    }

    /// Lets a process do something.
    fn with<T>(&mut self, act: impl FnOnce(&mut Processes, &mut Context<'_>) -> T) -> T {
        let mut context = Context {
            now: self.now,
            events: &mut self.events,
            network: &mut self.network,
            random: &mut self.random,
            oracle: &mut self.oracle,
            fault: self.fault,
        };
        act(&mut self.processes, &mut context)
    }

    fn deliver(&mut self, connection: ConnectionId, to: Side, message: Message) {
        if !self.network.arrives(connection, to) {
            return;
        }
        let dialler = self.network.dialler(connection);
        self.with(|processes, context| match (to, dialler, message) {
            (Side::Scheduler, _, message) => {
                processes.scheduler.receive(context, connection, message);
            }
            (Side::Dialler, Some(Party::Worker(worker)), Message::ToWorker(message)) => {
                processes.workers[worker].receive(context, message);
            }
            (Side::Dialler, Some(Party::Client(client)), Message::ToClient(message)) => {
                processes.clients[client].receive(context, message);
            }
            (Side::Dialler, _, message) => {
                let problem = format!("{message:?} is sent to the wrong process");
                context.oracle.broken(problem);
            }
        });
    }

    fn connection_ended(&mut self, connection: ConnectionId, seen_by: Side, silently: bool) {
        let dialler = self.network.dialler(connection);
        if !self.network.learned(connection, seen_by) {
            return;
        }
        self.with(|processes, context| match (seen_by, dialler) {
            (Side::Scheduler, _) => processes
                .scheduler
                .disconnected(context, connection, silently),
            (Side::Dialler, Some(Party::Worker(worker))) => {
                processes.workers[worker].disconnected(context, connection);
            }
            (Side::Dialler, Some(Party::Client(client))) => {
                processes.clients[client].disconnected(context, connection);
            }
            (Side::Dialler, Some(Party::Scheduler) | None) => {}
        });
    }

    fn life(&self, party: Party) -> (bool, u32) {
        let Processes {
            scheduler,
            workers,
            clients,
        } = &self.processes;
        match party {
            Party::Scheduler => (scheduler.is_up(), scheduler.life),
            Party::Worker(worker) => (workers[worker].is_up, workers[worker].life),
            Party::Client(client) => (clients[client].is_up, clients[client].life),
        }
    }

    fn dial(&mut self, from: Party, life: u32) {
        if self.life(from) != (true, life) {
            return;
        }
        if !self.processes.scheduler.is_up() {
            let again = self.now + Duration::from_secs(self.random.pick(&[2, 5, 10]));
            self.events.at(again, Event::Dial { from, life });
            return;
        }
        let connection = self.network.connect(self.now, from);
        self.with(|processes, context| {
            processes.scheduler.connected(connection);
            match from {
                Party::Worker(worker) => processes.workers[worker].connected(context, connection),
                Party::Client(client) => processes.clients[client].connected(context, connection),
                Party::Scheduler => {}
            }
        });
    }

    fn kill(&mut self, party: Party, crash: Crash, down: Duration) {
        if !self.life(party).0 {
            return;
        }
        self.with(|processes, context| match party {
            Party::Scheduler => processes.scheduler.crash(context, crash),
            Party::Worker(worker) => processes.workers[worker].crash(context, crash),
            Party::Client(client) => processes.clients[client].crash(),
        });
        for connection in self.network.of(party) {
            let silently = crash == Crash::Machine;
            self.network.close(
                &mut self.events,
                &mut self.random,
                self.now,
                connection,
                silently,
            );
        }
        self.events.at(self.now + down, Event::Start { party });
    }

    fn start(&mut self, party: Party) {
        if self.life(party).0 {
            return;
        }
        self.with(|processes, context| match party {
            Party::Scheduler => processes.scheduler.start(context),
            Party::Worker(worker) => processes.workers[worker].start(context),
            Party::Client(client) => processes.clients[client].start(context),
        });
    }
}
