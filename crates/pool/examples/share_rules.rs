//! How far clients are from their shares by other rules than the pool's, of which some change an order that was shown.
//!
//! Five clients always have jobs waiting, of which the next of each is known. A rule chooses whose is started when a
//! worker is free. Printed is, for 1, 4 and 16 workers, the furthest that any client was from its share in any hour of
//! thirty, relative to the longest job (the mean of twelve seeds, and the worst), and how many pairs of jobs changed
//! places for each hundred that were started.
//!
//! ```sh
//! cargo run --release -p pool --example share_rules
//! ```
#![expect(clippy::print_stdout, reason = "a program")]

#[path = "../tests/simulate/random.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod random;

use std::collections::BTreeSet;

use random::Random;

const CLIENTS: usize = 5;

const RATES: [f64; CLIENTS] = [1.0, 2.0, 1.0, 4.0, 2.0];

/// How long jobs are expected to take, in ticks of ten seconds.
const LENGTHS: [usize; CLIENTS] = [1, 3, 10, 30, 100];

const HOUR: usize = 360;

/// How long is simulated, in ticks. The second half counts.
const END: usize = 60 * HOUR;

const SEEDS: u64 = 12;

/// Which jobs clients have.
#[derive(Clone, Copy, Debug)]
enum Jobs {
    /// All jobs of a client are expected to take the same.
    Alike,
    /// Each client has jobs of all lengths.
    Mixed,
}

/// Whose job is started: that of the client with the smallest [`key`].
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Its fair start is the first, as in the pool.
    FairStart,
    /// The middle of its job would be the first if shares were exact.
    FairMiddle,
    /// The end of its job would be the first if shares were exact.
    FairEnd,
    /// The same, of those that would have started (WF²Q+).
    FairEndOfStarted,
    /// It has been charged least, compared with its share.
    Charged,
    /// It has been served least, compared with its share; half of what its running jobs have left counts as served, and
    /// half of its next job on one of the workers.
    Served,
    /// It is the first that will have been served less than its share in an hour by so many long jobs if its job does
    /// not start; unless that makes it so much more than its share.
    Hour(f64),
}

const RULES: [Rule; 8] = [
    Rule::FairStart,
    Rule::FairMiddle,
    Rule::FairEnd,
    Rule::FairEndOfStarted,
    Rule::Charged,
    Rule::Served,
    Rule::Hour(0.8),
    Rule::Hour(0.7),
];

#[derive(Clone, Copy)]
struct Run {
    begin: usize,
    expected_end: usize,
}

impl Run {
    /// Returns how much longer it is expected to run, as the pool does.
    fn left(self, now: usize) -> f64 {
        let late = (now - self.begin) as f64 / 8.0;
        (self.expected_end as f64 - now as f64).max(late)
    }
}

struct Client {
    random: Random,
    /// Its part of all workers, in workers.
    share: f64,
    rate: f64,
    /// How long its next job is expected to take.
    next: usize,
    /// The number of that job.
    job: usize,
    /// For how long its jobs ran until each tick.
    served: Vec<f64>,
    /// For how long they are expected to run, or ran.
    charged: f64,
    runs: Vec<(usize, Run)>,
}

impl Client {
    /// Returns for how long it will have been served if no other job of it starts.
    fn will_be_served(&self, now: usize, at: usize) -> f64 {
        let left = |(_, run): &(usize, Run)| run.left(now).min((at - now) as f64);
        self.served[now] + self.runs.iter().map(left).sum::<f64>()
    }

    /// Returns for how long it was served until an hour before a tick.
    fn an_hour_before(&self, now: usize, at: usize) -> f64 {
        self.served[at.saturating_sub(HOUR).min(now)]
    }

    /// Returns when its next job must start at the latest by [`Rule::Hour`].
    fn latest_start(&self, now: usize, limit: f64) -> f64 {
        let (share, limit) = (
            self.share * HOUR as f64,
            limit * LENGTHS[CLIENTS - 1] as f64,
        );
        let behind = self.share * now as f64 - self.charged;
        if now < HOUR {
            return -behind / self.share;
        }
        let is_ahead = (now..=now + self.next).step_by(5).any(|at| {
            let served = self.will_be_served(now, at) + self.next.min(at - now) as f64;
            served - self.an_hour_before(now, at) - share > limit
        });
        if is_ahead {
            return f64::MAX / 2.0 - behind;
        }
        let mut later = (now..now + 2 * HOUR).step_by(5);
        let start = later.find(|at| {
            let served = self.will_be_served(now, *at) - self.an_hour_before(now, *at);
            share - served >= limit
        });
        // Of equals, the one that is further behind.
        start.unwrap_or(now + 2 * HOUR) as f64 - behind * 1e-6
    }
}

struct Cluster {
    now: usize,
    workers: usize,
    clients: Vec<Client>,
    /// The ends of running jobs, with their numbers and clients.
    ends: BTreeSet<(usize, usize, usize)>,
    jobs: Jobs,
    /// How far times spread around what is expected.
    sigma: f64,
    /// How many jobs there were.
    count: usize,
    longest: usize,
    /// How far the ideal cluster is, in which all clients are served at once by their rates.
    ideal: f64,
    shown: Vec<usize>,
    /// How many pairs of jobs changed places.
    turned: usize,
}

impl Cluster {
    fn new(seed: u64, workers: usize, jobs: Jobs, sigma: f64) -> Self {
        let all: f64 = RATES.iter().sum();
        let clients = (0..CLIENTS).map(|n| Client {
            random: Random::new(seed * 1_000 + n as u64),
            share: RATES[n] / all * workers as f64,
            rate: RATES[n],
            next: LENGTHS[n],
            job: n,
            served: vec![0.0],
            charged: 0.0,
            runs: Vec::new(),
        });
        Self {
            now: 0,
            workers,
            clients: clients.collect(),
            ends: BTreeSet::new(),
            jobs,
            sigma,
            count: CLIENTS,
            longest: 0,
            ideal: 0.0,
            shown: Vec::new(),
            turned: 0,
        }
    }

    fn key(&self, client: &Client, rule: Rule) -> f64 {
        let (now, next) = (self.now as f64, client.next as f64);
        let start = client.charged / client.rate;
        match rule {
            Rule::FairStart => start,
            Rule::FairMiddle => start + next / 2.0 / client.rate,
            Rule::FairEnd => start + next / client.rate,
            Rule::FairEndOfStarted if start <= self.ideal + 1e-9 => start + next / client.rate,
            Rule::FairEndOfStarted => f64::MAX / 2.0 + start,
            Rule::Charged => client.charged - client.share * now,
            Rule::Served => {
                let left: f64 = client.runs.iter().map(|(_, run)| run.left(self.now)).sum();
                let next = next / self.workers as f64;
                client.served[self.now] + (left + next) / 2.0 - client.share * now
            }
            Rule::Hour(limit) => client.latest_start(self.now, limit),
        }
    }

    fn start(&mut self, rule: Rule) {
        let keys = self.clients.iter().map(|client| self.key(client, rule));
        let mut order: Vec<(f64, usize)> = keys.zip(0..).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let order: Vec<usize> = order.into_iter().map(|(_, client)| client).collect();
        self.show(&order);
        let (n, begin) = (order[0], self.now);
        let client = &mut self.clients[n];
        self.ideal = self.ideal.max(client.charged / client.rate);
        let took = client.next as f64 * (self.sigma * normal(&mut client.random)).exp();
        let took = (took.round() as usize).max(1);
        let expected_end = begin + client.next;
        let run = Run {
            begin,
            expected_end,
        };
        client.runs.push((client.job, run));
        client.charged += client.next as f64;
        self.ends.insert((begin + took, client.job, n));
        self.longest = self.longest.max(took);
        if let Jobs::Mixed = self.jobs {
            client.next = LENGTHS[client.random.below(CLIENTS)];
        }
        client.job = self.count;
        self.count += 1;
    }

    /// Counts the pairs of jobs that have changed places since the last time.
    fn show(&mut self, order: &[usize]) {
        let now: Vec<usize> = order
            .iter()
            .map(|client| self.clients[*client].job)
            .collect();
        let place = |job| now.iter().position(|other| other == job);
        let places: Vec<usize> = self.shown.iter().filter_map(place).collect();
        for (n, place) in places.iter().enumerate() {
            self.turned += places[n..].iter().filter(|later| *later < place).count();
        }
        self.shown = now;
    }

    /// Lets time pass until the next end.
    fn pass(&mut self) {
        let end = self.ends.first().map_or(END, |end| end.0).min(END);
        let rates: f64 = RATES.iter().sum();
        self.ideal += (end - self.now) as f64 * self.workers as f64 / rates;
        for client in &mut self.clients {
            for _ in self.now..end {
                let served = client.served[client.served.len() - 1];
                client.served.push(served + client.runs.len() as f64);
            }
        }
        self.now = end;
        while let Some((at, job, n)) = self.ends.first().copied()
            && at <= end
        {
            self.ends.pop_first();
            let client = &mut self.clients[n];
            if let Some(place) = client.runs.iter().position(|(other, _)| *other == job) {
                let (_, run) = client.runs.swap_remove(place);
                client.charged += at as f64 - run.expected_end as f64;
            }
        }
        let starts = self
            .clients
            .iter()
            .map(|client| client.charged / client.rate);
        self.ideal = self.ideal.max(starts.fold(f64::MAX, f64::min));
    }

    fn unfairness(&self) -> f64 {
        let windows = self.clients.iter().flat_map(|client| {
            (END / 2..=END).map(|end| {
                let served = client.served[end] - client.served[end - HOUR];
                (served - client.share * HOUR as f64).abs()
            })
        });
        windows.fold(0.0, f64::max) / self.longest as f64
    }
}

/// Returns a number of a standard normal distribution.
fn normal(random: &mut Random) -> f64 {
    let mut share = || random.below(1 << 30) as f64 / f64::from(1 << 30);
    let (radius, angle) = (1.0 - share(), share());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn serve(mut cluster: Cluster, rule: Rule) -> (f64, f64) {
    while cluster.now < END {
        while cluster.ends.len() < cluster.workers {
            cluster.start(rule);
        }
        cluster.pass();
    }
    let turned = cluster.turned as f64 / cluster.count as f64;
    (cluster.unfairness(), 100.0 * turned)
}

fn main() {
    for (jobs, sigma) in [
        (Jobs::Alike, 0.0),
        (Jobs::Mixed, 0.0),
        (Jobs::Alike, 0.3),
        (Jobs::Mixed, 0.3),
    ] {
        println!("{jobs:?}, sigma {sigma}");
        for rule in RULES {
            let columns = [1, 4, 16].map(|workers| {
                let all =
                    (1..=SEEDS).map(|seed| serve(Cluster::new(seed, workers, jobs, sigma), rule));
                let (far, turned): (Vec<_>, Vec<_>) = all.unzip();
                let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
                let worst = far.iter().copied().fold(0.0, f64::max);
                format!("{:.2}, {worst:.2}, {:3.0}", mean(&far), mean(&turned))
            });
            println!("  {:17}| {}", format!("{rule:?}"), columns.join(" | "));
        }
    }
}
