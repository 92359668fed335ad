//! How long one decision takes with a million queued tickets, and ten thousand workers and hints.
//!
//! Each measurement is of a short cycle that leaves the pool as big as it was, effects drained.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use pool::{
    CacheHint, Cancel, Capacity, ClientId, Config, Cost, Effect, InactiveReason, JobEnd, PastJob,
    Pool, Rate, Remembered, TicketId, Time, WorkerId, WorkerName,
};

const TICKETS: usize = 1_000_000;
const WORKERS: usize = 10_000;
const HINTS: usize = 10_000;
const CLIENTS: usize = 100;
const NOW: Time = Time::EPOCH;

/// How long it is between two ends while the pool learns from them: as each worker has one of them in turn, jobs take
/// ten minutes.
const BETWEEN_ENDS: Duration = Duration::from_millis(60);

struct Cluster {
    pool: Pool,
    workers: Vec<WorkerId>,
    clients: Vec<ClientId>,
    hints: Vec<String>,
    /// What each worker runs, by its place in `workers`.
    running: Vec<Vec<TicketId>>,
    /// Counts up, to choose the next client, worker and hint.
    turn: usize,
    /// When the last job ended that the pool has learned from.
    now: Time,
}

impl Cluster {
    /// Returns a cluster of waiting workers, each of which remembers three hints of its own choice
    /// and one that all have.
    fn idle() -> Self {
        Self::of(WORKERS)
    }

    fn of(workers: usize) -> Self {
        let names: Vec<_> = (0..workers)
            .map(|n| WorkerName::new(&format!("worker-{n:05}")).unwrap())
            .collect();
        let hints: Vec<_> = (0..HINTS)
            .map(|n| format!("github.com/owner/repository-{n}"))
            .collect();
        let mut remembered = Remembered::default();
        for (n, name) in names.iter().enumerate() {
            remembered.workers.insert(name.clone(), false);
            let own = (1..=3).map(|k| hints[(n * 7 + k * 3_001) % HINTS].as_str());
            for hint in own.chain(["everywhere"]) {
                remembered.cached.push((CacheHint::new(hint), name.clone()));
            }
        }
        let mut pool = Pool::new(Config::default(), remembered);
        let workers: Vec<_> = names
            .into_iter()
            .map(|name| {
                let worker = pool.register(name, Capacity::new(1)).unwrap();
                pool.set_active(worker, InactiveReason::WorkerPause, true)
                    .unwrap();
                pool.pop(worker).unwrap();
                worker
            })
            .collect();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| ClientId::new(&format!("client-{n}")).unwrap())
            .collect();
        for (n, client) in clients.iter().enumerate() {
            pool.set_rate(client, Rate::new((1 + n % 7) as f64).unwrap());
        }
        let running = vec![Vec::new(); workers.len()];
        let mut cluster = Self {
            pool,
            workers,
            clients,
            hints,
            running,
            turn: 0,
            now: NOW,
        };
        cluster.drain();
        cluster
    }

    /// Returns the same with all workers at work and a backlog.
    fn busy() -> Self {
        let mut cluster = Self::idle();
        for _ in 0..TICKETS + WORKERS {
            cluster.submit();
            cluster.drain();
        }
        cluster
    }

    /// The pool learns for each hint that jobs take what was guessed.
    fn learn(&mut self) {
        for (hint, is_warm) in self
            .hints
            .iter()
            .flat_map(|hint| [(hint, true), (hint, false)])
        {
            let Cost { cached, non_cached } = Cost::default();
            self.pool.teach(&PastJob {
                client: self.clients[0].clone(),
                hint: CacheHint::new(hint),
                is_warm,
                took: if is_warm { cached } else { non_cached },
            });
        }
    }

    fn submit(&mut self) -> TicketId {
        self.turn += 1;
        let turn = self.turn.wrapping_mul(7_919);
        let (client, hint) = (&self.clients[turn % CLIENTS], &self.hints[turn % HINTS]);
        self.pool
            .submit(self.now, client, hint, turn.is_multiple_of(50))
    }

    fn finish(&mut self, worker: usize) {
        for ticket in std::mem::take(&mut self.running[worker]) {
            self.pool.job_finished(ticket);
        }
    }

    /// The same, and the pool learns from it.
    fn end(&mut self, worker: usize) {
        for ticket in std::mem::take(&mut self.running[worker]) {
            self.now = self.now + BETWEEN_ENDS;
            self.pool.job_ended(ticket, self.now, JobEnd::Completed);
        }
    }

    /// Performs effects, of which only deliveries matter here. Returns who got something.
    fn drain(&mut self) -> Option<usize> {
        let mut last = None;
        while let Some(effect) = self.pool.poll_effect() {
            if let Effect::Deliver { worker, ticket, .. } = black_box(effect) {
                // Registrations are in order, as are workers.
                let place = self.workers.binary_search(&worker).unwrap();
                self.running[place].push(ticket);
                last = Some(place);
            }
        }
        last
    }
}

/// With the guesses, and then with times that were learned.
fn decisions(c: &mut Criterion) {
    backlog(c, Cluster::busy(), "");
    let mut cluster = Cluster::busy();
    cluster.learn();
    backlog(c, cluster, ", learned");
    learning(c);
    idle(c, Cluster::idle(), "");
    let mut cluster = Cluster::idle();
    cluster.learn();
    idle(c, cluster, ", learned");
}

fn backlog(c: &mut Criterion, mut cluster: Cluster, how: &str) {
    c.bench_function(
        &format!("backlog: submit, cancel (2 decisions){how}"),
        |b| {
            b.iter(|| {
                let ticket = cluster.submit();
                cluster.drain();
                assert_eq!(cluster.pool.cancel(ticket), Cancel::Cancelled);
                cluster.drain();
            });
        },
    );
    c.bench_function(
        &format!("backlog: finish, pop, submit (3 decisions){how}"),
        |b| {
            let mut worker = 0;
            b.iter(|| {
                worker = (worker + 1) % WORKERS;
                cluster.finish(worker);
                cluster.pool.pop(cluster.workers[worker]).unwrap();
                cluster.drain();
                cluster.submit();
                cluster.drain();
            });
        },
    );
}

/// With ends that the pool learns from, and corrects what their clients were charged.
fn learning(c: &mut Criterion) {
    let mut cluster = Cluster::busy();
    cluster.learn();
    let mut worker = 0;
    c.bench_function("backlog: end, pop, submit (3 decisions), learning", |b| {
        b.iter(|| {
            worker = (worker + 1) % WORKERS;
            cluster.end(worker);
            cluster.pool.pop(cluster.workers[worker]).unwrap();
            cluster.drain();
            cluster.submit();
            cluster.drain();
        });
    });
}

fn idle(c: &mut Criterion, mut cluster: Cluster, how: &str) {
    c.bench_function(
        &format!("idle: submit, take, finish, pop (4 decisions){how}"),
        |b| {
            b.iter(|| {
                cluster.submit();
                let worker = cluster.drain().expect("somebody waits");
                cluster.finish(worker);
                cluster.pool.pop(cluster.workers[worker]).unwrap();
                cluster.drain();
            });
        },
    );
    c.bench_function(
        &format!("idle: the same, with a hint that all workers have{how}"),
        |b| {
            b.iter(|| {
                cluster
                    .pool
                    .submit(NOW, &cluster.clients[0], "everywhere", false);
                let worker = cluster.drain().expect("somebody waits");
                cluster.finish(worker);
                cluster.pool.pop(cluster.workers[worker]).unwrap();
                cluster.drain();
            });
        },
    );
}

/// What a forecast takes with 10,000 queued tickets and 300 workers: the copy, which holds its caller, and the runs,
/// which do not.
fn forecasts(c: &mut Criterion) {
    let mut cluster = Cluster::of(300);
    for _ in 0..10_300 {
        cluster.submit();
        cluster.drain();
    }
    cluster.learn();
    c.bench_function("forecast: copy", |b| {
        b.iter(|| cluster.pool.outlook(NOW, 1_000));
    });
    let outlook = cluster.pool.outlook(NOW, 1_000).unwrap();
    c.bench_function("forecast: runs", |b| b.iter(|| outlook.forecast(1)));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    forecasts(&mut criterion);
    criterion.final_summary();
}
