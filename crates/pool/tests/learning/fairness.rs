//! Clients that always have jobs waiting are served in proportion to their rates, however long their jobs are.

use std::collections::BTreeMap;

use pool::{Item, Items, Rate, TicketId, Time, WaitingView};

use crate::cluster::{Cluster, Run, Truth, client};

/// The clients' rates, and how long their jobs take in the median, in seconds: up to a hundred times as long.
const CLIENTS: [(f64, f64); 5] = [
    (1.0, 10.0),
    (2.0, 30.0),
    (1.0, 100.0),
    (4.0, 300.0),
    (2.0, 1_000.0),
];

/// How many jobs each client has waiting, unless a test says otherwise.
const WAITING: usize = 4;

/// A cluster whose clients always have jobs waiting.
#[derive(Clone, Copy, Debug)]
struct Load {
    seed: u64,
    workers: usize,
    /// The spread of times around what is expected: the standard deviation of the natural logarithm.
    sigma: f64,
    /// Whether the pool learns.
    learns: bool,
    /// How many jobs each client has waiting.
    waiting: usize,
    jobs: Jobs,
    /// How many times as long a job takes without its cache.
    cold: f64,
}

/// Which jobs clients have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    /// All jobs of a client are alike, and have a hint of their own.
    Alike,
    /// The same without hints, so that no job waits for a cache.
    WithoutHints,
    /// Each client has short and long ones, of all hints.
    Mixed,
}

impl Load {
    fn new(workers: usize, sigma: f64) -> Self {
        Self {
            seed: 1,
            workers,
            sigma,
            learns: true,
            waiting: WAITING,
            jobs: Jobs::Alike,
            cold: 1.0,
        }
    }
}

const HOUR: i64 = 3_600;

/// How long is measured, after as long in which the pool learns, in hours.
const HOURS: i64 = 30;

/// Keeps all clients waiting for some time, and returns the jobs that were run.
fn serve(load: &Load) -> BTreeMap<TicketId, Run> {
    serve_and_look(load, &mut |_| ())
}

/// The same, with a look at the cluster after each step.
fn serve_and_look(load: &Load, look: &mut dyn FnMut(&Cluster)) -> BTreeMap<TicketId, Run> {
    let truths = CLIENTS.map(|(_, seconds)| Truth {
        warm: seconds,
        cold: seconds * load.cold,
        sigma: load.sigma,
    });
    let mut cluster = Cluster::new(load.seed, load.workers, truths.to_vec(), load.learns);
    for (n, (rate, _)) in CLIENTS.into_iter().enumerate() {
        cluster.pool.set_rate(&client(n), Rate::new(rate).unwrap());
    }
    let mut queued = [0; CLIENTS.len()];
    let mut started = 0;
    let end = Time::from_secs(2 * HOURS * HOUR);
    loop {
        for (n, queued) in queued.iter_mut().enumerate() {
            while *queued < load.waiting {
                *queued += 1;
                match load.jobs {
                    Jobs::Alike => cluster.submit(n, n),
                    Jobs::WithoutHints => cluster.submit_without_hint(n, n),
                    Jobs::Mixed => {
                        let hint = cluster.random.below(CLIENTS.len());
                        cluster.submit(n, hint)
                    }
                };
            }
        }
        look(&cluster);
        let more = cluster.step(end);
        let new = cluster.starts.len();
        for client in &cluster.starts[started..new] {
            queued[*client] -= 1;
        }
        started = new;
        if !more {
            return cluster.runs;
        }
    }
}

/// Returns how far clients were from their shares in any window of an hour, at most, in seconds; and the longest job.
fn unfairness(runs: &BTreeMap<TicketId, Run>, workers: usize) -> (f64, f64) {
    let rates: f64 = CLIENTS.iter().map(|(rate, _)| rate).sum();
    let longest = runs.values().map(|run| run.end.secs_after(run.start));
    let longest = longest.fold(0.0, f64::max);
    let mut worst = 0.0_f64;
    for (n, (rate, _)) in CLIENTS.into_iter().enumerate() {
        // What the client was served until each half minute.
        let steps = 2 * HOURS * HOUR / 30;
        let mut served = vec![0.0; usize::try_from(steps).unwrap() + 1];
        for run in runs.values().filter(|run| run.client == n) {
            let [start, end] = [run.start, run.end].map(|time| time.secs_after(Time::EPOCH) / 30.0);
            let mut step = start.floor();
            while step < end && (step as usize) < served.len() - 1 {
                served[step as usize + 1] += (end.min(step + 1.0) - start.max(step)) * 30.0;
                step += 1.0;
            }
        }
        for step in 1..served.len() {
            served[step] += served[step - 1];
        }
        let share = rate / rates * workers as f64 * HOUR as f64;
        let hour = usize::try_from(HOUR / 30).unwrap();
        for begin in served.len() / 2..served.len() - hour {
            let window = served[begin + hour] - served[begin];
            worst = worst.max((window - share).abs());
        }
    }
    (worst, longest)
}

/// Returns the least that a client was served in the second half, relative to its share.
fn least(runs: &BTreeMap<TicketId, Run>, workers: usize) -> f64 {
    let rates: f64 = CLIENTS.iter().map(|(rate, _)| rate).sum();
    let [begin, end] = [HOURS, 2 * HOURS].map(|hours| Time::from_secs(hours * HOUR));
    let parts = CLIENTS.iter().enumerate().map(|(n, (rate, _))| {
        let runs = runs
            .values()
            .filter(|run| run.client == n && run.end > begin);
        let served: f64 = runs
            .map(|run| run.end.min(end).secs_after(run.start.max(begin)))
            .sum();
        served / (rate / rates * workers as f64 * end.secs_after(begin))
    });
    parts.fold(f64::MAX, f64::min)
}

/// Checks that clients get their shares in any hour, within one job.
fn check(load: &Load) {
    let (seconds, longest) = unfairness(&serve(load), load.workers);
    assert!(
        seconds <= longest,
        "{seconds} s of {longest} s with {load:?}"
    );
}

/// When jobs take what is expected, clients get their shares, however many jobs wait and workers there are.
#[test]
fn shares_are_kept_in_any_hour() {
    for workers in [1, 4, 16] {
        for waiting in [1, WAITING, 16] {
            let load = Load::new(workers, 0.0);
            check(&Load { waiting, ..load });
        }
    }
    for seed in 1..=6 {
        let load = Load::new(4, 0.0);
        check(&Load {
            seed,
            jobs: Jobs::Mixed,
            ..load
        });
    }
}

/// When they take longer or shorter, what was expected of jobs that wait in an order is in that order. With few of
/// them that is less than a job.
#[test]
fn shares_are_kept_by_jobs_of_uncertain_length() {
    for seed in 1..=6 {
        for workers in [1, 4, 16] {
            let load = Load::new(workers, 0.3);
            check(&Load {
                seed,
                waiting: 1,
                jobs: Jobs::WithoutHints,
                ..load
            });
        }
    }
    for waiting in [1, WAITING] {
        check(&Load {
            waiting,
            ..Load::new(1, 0.3)
        });
    }
}

/// Clients get their shares in any hour, too, if they have one job waiting each, and these wait for caches.
#[test]
fn shares_are_kept_by_jobs_that_wait_for_caches() {
    for seed in 1..=4 {
        check(&Load {
            seed,
            waiting: 1,
            ..Load::new(16, 0.3)
        });
    }
}

/// A client whose jobs wait for the one worker that has their cache gets others, too, before it loses its share.
#[test]
fn caches_do_not_cost_shares() {
    for cold in [2.0, 5.0] {
        for waiting in [1, WAITING] {
            for workers in [4, 16] {
                let load = Load {
                    seed: 7,
                    waiting,
                    cold,
                    ..Load::new(workers, 0.3)
                };
                let least = least(&serve(&load), workers);
                assert!(least >= 0.8, "{least} of a share with {load:?}");
            }
        }
    }
}

/// By upstream's guesses, each job counts the same.
#[test]
fn guesses_are_unfair_to_short_jobs() {
    let load = Load::new(4, 0.0);
    let (seconds, longest) = unfairness(
        &serve(&Load {
            learns: false,
            ..load
        }),
        4,
    );
    assert!(seconds > 2.0 * longest, "{seconds} s of {longest} s");
}

/// A client is charged for what its jobs took, and not for what was expected: here that is the median, and the mean is
/// seven times as long.
#[test]
fn what_jobs_really_took_counts() {
    let truth = |seconds, sigma| Truth {
        warm: seconds,
        cold: seconds,
        sigma,
    };
    let truths = vec![truth(20.0, 2.0), truth(60.0, 0.0)];
    let mut cluster = Cluster::new(5, 4, truths, true);
    let mut queued = [0; 2];
    let end = Time::from_secs(200 * HOUR);
    loop {
        for (n, queued) in queued.iter_mut().enumerate() {
            while *queued < WAITING {
                *queued += 1;
                cluster.submit(n, n);
            }
        }
        let more = cluster.step(end);
        for client in cluster.starts.drain(..) {
            queued[client] -= 1;
        }
        if !more {
            break;
        }
    }
    let served = [0, 1].map(|n| {
        let runs = cluster.runs.values().filter(|run| run.client == n);
        let seconds = runs.map(|run| run.end.min(end).secs_after(run.start));
        seconds.sum::<f64>()
    });
    let ratio = served[0] / served[1];
    assert!((0.9..1.1).contains(&ratio), "{served:?}");
}

/// Corrections never change the order of tickets that are queued, and a client's tickets stay in order.
#[test]
fn no_order_is_turned_around() {
    let mut before: Vec<Item> = Vec::new();
    let mut checked = 0;
    let load = Load {
        seed: 3,
        ..Load::new(4, 0.8)
    };
    serve_and_look(&load, &mut |cluster| {
        let snapshot = cluster.pool.snapshot(cluster.now, usize::MAX);
        let WaitingView::Backlog(Items { first: now, .. }) = snapshot.waiting else {
            return;
        };
        let place = |ticket| now.iter().position(|item| item.ticket == ticket);
        let places: Vec<_> = before
            .iter()
            .filter_map(|item| place(item.ticket))
            .collect();
        assert!(places.is_sorted(), "{before:?} has become {now:?}");
        for n in 0..CLIENTS.len() {
            let own = now.iter().filter(|item| item.client == client(n));
            assert!(own.is_sorted_by_key(|item| item.ticket), "{now:?}");
        }
        checked += usize::from(places.len() > 1);
        before = now;
    });
    assert!(checked > 1_000, "only {checked} orders");
}
