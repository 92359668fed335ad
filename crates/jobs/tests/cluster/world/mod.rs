//! The whole cluster, and what happens to it.

mod accidents;
mod leaders;

use std::collections::VecDeque;
use std::time::Duration;

use pool::Time;

use super::Setup;
use super::client::Client;
use super::database::Database;
use super::events::{Crash, Event, Events, Party, Wish};
use super::fault::ClusterFault;
use super::logs::LogStore;
use super::message::Message;
use super::network::{ConnectionId, Network, Side};
use super::oracle::Oracle;
use super::process::Context;
use super::scheduler::Scheduler;
use super::worker::Worker;
use crate::simulate::Counts;
use crate::simulate::random::Random;

use self::leaders::Watch;

/// How long all has to recover after that.
const RECOVERY: Duration = Duration::from_secs(6_000);

/// More than any history needs: a loop of messages would have more.
const MOST_EVENTS: u32 = 100_000;

struct Processes {
    schedulers: Vec<Scheduler>,
    workers: Vec<Worker>,
    clients: Vec<Client>,
}

pub(crate) struct World {
    now: Time,
    random: Random,
    events: Events,
    network: Network,
    oracle: Oracle,
    setup: Setup,
    database: Database,
    store: LogStore,
    /// What happens to the schedulers, and who leads.
    watch: Watch,
    /// For how many seconds accidents happen.
    trouble: usize,
    fault: Option<ClusterFault>,
    processes: Processes,
    /// The latest events, if they are to be shown.
    latest: Option<VecDeque<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup, fault: Option<ClusterFault>) -> Self {
        let mut random = Random::new(seed);
        let (schedulers, trouble) = match setup {
            Setup::Alone => (1, 1_500),
            Setup::Standbys => (random.pick(&[2, 2, 2, 1, 3]), 600),
        };
        Self {
            now: Time::from_secs(1_000),
            random,
            events: Events::default(),
            network: Network::default(),
            oracle: Oracle::default(),
            setup,
            database: Database::default(),
            store: LogStore::default(),
            watch: Watch::new(schedulers),
            trouble,
            fault,
            processes: Processes {
                schedulers: (0..schedulers).map(Scheduler::new).collect(),
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
        let end = self.trouble_ends() + RECOVERY;
        for _ in 0..MOST_EVENTS {
            let Some((time, event)) = self.events.pop() else {
                break;
            };
            if time > end || (time > self.trouble_ends() && self.is_quiet()) {
                break;
            }
            self.now = time;
            self.remember(&event);
            let scheduler = event
                .scheduler(&self.network)
                .filter(|which| *which < self.processes.schedulers.len());
            self.happen_or_wait(event);
            if let Some(which) = scheduler
                && self.processes.schedulers[which].has_burnt_down()
            {
                self.oracle.count("killed at a point");
                let party = Party::Scheduler(which);
                self.kill(party, Crash::Process, Duration::from_secs(3));
            }
            let checked = scheduler.map(|which| self.processes.schedulers[which].check());
            let checked = checked.and_then(Result::err).or_else(|| self.leaders());
            if let Some(problem) = self.oracle.problem().or(checked) {
                return Err(self.explained(&problem));
            }
        }
        let logs = match self.setup {
            Setup::Alone => &self.processes.schedulers[0].logs,
            Setup::Standbys => self.store.logs(),
        };
        self.oracle.review(&self.database.disk, logs);
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
        Time::from_secs(1_000 + self.trouble as i64)
    }

    /// Nothing is left to do.
    fn is_quiet(&self) -> bool {
        self.processes.clients.iter().all(Client::is_done)
            && self
                .processes
                .workers
                .iter()
                .all(|worker| worker.holds().next().is_none())
            && self.all_is_shared()
    }

    fn some_time(&mut self) -> Time {
        self.now + Duration::from_millis(self.random.below(self.trouble * 1_000) as u64)
    }

    fn plan_everything(&mut self) {
        if self.setup == Setup::Standbys {
            self.plan_accidents();
        }
        for party in [
            Party::Scheduler(0),
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
                if party != Party::Scheduler(0) {
                    self.events.at(time, Event::Cut { party });
                }
            }
        }
        self.plan_kill(Party::Scheduler(0));
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
            let scheduler = 0;
            self.events.at(time, Event::Fuse { scheduler, actions });
        }
        if self.setup == Setup::Alone && self.random.once_in(2) {
            let time = self.some_time();
            self.events.at(time, Event::FullDisk);
        }
    }

    fn plan_kill(&mut self, party: Party) {
        let time = self.some_time();
        let crash = match (self.setup, party) {
            (Setup::Standbys, Party::Scheduler(_)) => {
                self.random
                    .pick(&[Crash::Process, Crash::Machine, Crash::Disk])
            }
            _ => self.random.pick(&[Crash::Process, Crash::Machine]),
        };
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
            Event::Commit { scheduler, life }
                if life == self.processes.schedulers[scheduler].life =>
            {
                self.with(|processes, context| {
                    processes.schedulers[scheduler].committed(context);
                });
            }
            Event::Deadline { scheduler, life }
                if life == self.processes.schedulers[scheduler].life =>
            {
                self.with(|processes, context| {
                    processes.schedulers[scheduler].deadline(context);
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
            Event::Fuse { scheduler, actions } => {
                self.processes.schedulers[scheduler].set_fuse(actions);
            }
            Event::FullDisk => self.processes.schedulers[0].refuse_next_write(),
            Event::Cut { party } => {
                let (network, events) = (&mut self.network, &mut self.events);
                network.cut(events, &mut self.random, self.now, party);
            }
            Event::Dial { from, life } => self.dial(from, life),
            Event::Kill { party, crash, down } => self.kill(party, crash, down),
            Event::Start { party } => self.start(party),
            Event::Resubmit { client, life, wish } => {
                if self.life(Party::Client(client)) == (true, life) {
                    self.with(|processes, context| processes.clients[client].begin(context, wish));
                }
            }
            other => self.happen_to_leaders(other),
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
            setup: self.setup,
            database: &mut self.database,
            store: &mut self.store,
            fault: self.fault,
        };
        act(&mut self.processes, &mut context)
    }

    fn deliver(&mut self, connection: ConnectionId, to: Side, message: Message) {
        if !self.network.arrives(connection, to) {
            return;
        }
        let (dialler, listener) = (
            self.network.dialler(connection),
            self.network.listener(connection).unwrap_or_default(),
        );
        self.with(|processes, context| match (to, dialler, message) {
            (Side::Scheduler, _, message) => {
                processes.schedulers[listener].receive(context, connection, message);
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
        let (dialler, listener) = (
            self.network.dialler(connection),
            self.network.listener(connection).unwrap_or_default(),
        );
        if !self.network.learned(connection, seen_by) {
            return;
        }
        self.with(|processes, context| match (seen_by, dialler) {
            (Side::Scheduler, _) => {
                processes.schedulers[listener].disconnected(context, connection, silently);
            }
            (Side::Dialler, Some(Party::Worker(worker))) => {
                processes.workers[worker].disconnected(context, connection);
            }
            (Side::Dialler, Some(Party::Client(client))) => {
                processes.clients[client].disconnected(context, connection);
            }
            (Side::Dialler, Some(Party::Scheduler(_)) | None) => {}
        });
    }

    fn life(&self, party: Party) -> (bool, u32) {
        let Processes {
            schedulers,
            workers,
            clients,
        } = &self.processes;
        match party {
            Party::Scheduler(which) => (schedulers[which].is_up(), schedulers[which].life),
            Party::Worker(worker) => (workers[worker].is_up, workers[worker].life),
            Party::Client(client) => (clients[client].is_up, clients[client].life),
        }
    }

    fn dial(&mut self, from: Party, life: u32) {
        if self.life(from) != (true, life) {
            return;
        }
        let listener = match self.setup {
            Setup::Alone => self.processes.schedulers[0]
                .is_up()
                .then_some(0)
                .ok_or_else(|| {
                    let seconds = self.random.pick(&[2, 5, 10]);
                    Duration::from_secs(seconds)
                }),
            Setup::Standbys => self.find(from),
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(wait) => {
                self.events.at(self.now + wait, Event::Dial { from, life });
                return;
            }
        };
        let connection = self.network.connect(self.now, from, listener);
        self.with(|processes, context| {
            processes.schedulers[listener].connected(connection);
            match from {
                Party::Worker(worker) => processes.workers[worker].connected(context, connection),
                Party::Client(client) => processes.clients[client].connected(context, connection),
                Party::Scheduler(_) => {}
            }
        });
    }

    fn kill(&mut self, party: Party, crash: Crash, down: Duration) {
        if !self.life(party).0 {
            return;
        }
        if let Party::Scheduler(which) = party {
            self.watch.ends(which);
            self.watch.latest_accident = self.now;
            self.oracle.has_burnt |= crash == Crash::Disk;
        }
        self.with(|processes, context| match party {
            Party::Scheduler(which) => processes.schedulers[which].crash(context, crash),
            Party::Worker(worker) => processes.workers[worker].crash(context, crash),
            Party::Client(client) => processes.clients[client].crash(),
        });
        for connection in self.network.of(party) {
            let silently = crash != Crash::Process;
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
            Party::Scheduler(which) => processes.schedulers[which].start(context),
            Party::Worker(worker) => processes.workers[worker].start(context),
            Party::Client(client) => processes.clients[client].start(context),
        });
    }
}
