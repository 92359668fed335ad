//! A ticket waits for a worker that has its hint cached only while that saves time.

use pool::Time;

use crate::cluster::{Cluster, Truth, share};
use crate::random::Random;

/// How many jobs of each hint are measured, in the mean.
const JOBS: usize = 40;

const SIGMA: f64 = 0.3;

/// How many hints and workers there are, and how uneven the hints are: in the number of their jobs, and in how long
/// these take.
#[derive(Clone, Copy, Debug)]
struct Shape {
    hints: usize,
    workers: usize,
    skew: f64,
    shortest: f64,
    longest: f64,
    /// How much longer a job takes without its cache.
    cold: f64,
    /// How many clients submit the jobs, each those of some hints.
    clients: usize,
}

/// Lets all jobs end.
fn finish(cluster: &mut Cluster) {
    while cluster.is_busy() {
        cluster.step(Time::from_secs(i64::MAX / 2_000_000));
    }
}

/// Has each hint built by one worker, and then runs many jobs that are submitted at once. Returns the share of those
/// that ran warm, and how long all took relative to the ideal, in which no worker idles and no job is cold.
fn serve(seed: u64, shape: &Shape, learns: bool) -> (f64, f64) {
    let mut random = Random::new(seed);
    let truths: Vec<_> = (0..shape.hints)
        .map(|_| {
            let range = shape.longest / shape.shortest;
            let warm = shape.shortest * range.powf(share(&mut random));
            let cold = warm * shape.cold;
            Truth {
                warm,
                cold,
                sigma: SIGMA,
            }
        })
        .collect();
    let mut cluster = Cluster::new(seed, shape.workers, truths.clone(), learns);
    for hint in (0..shape.hints).chain(0..shape.hints) {
        cluster.submit(hint % shape.clients, hint);
    }
    finish(&mut cluster);
    cluster.runs.clear();
    let (begin, jobs) = (cluster.now, JOBS * shape.hints);
    let mut work = 0.0;
    for _ in 0..jobs {
        let hint = (share(&mut random).powf(shape.skew) * shape.hints as f64) as usize;
        work += truths[hint].warm * (SIGMA * SIGMA / 2.0).exp();
        cluster.submit(hint % shape.clients, hint);
    }
    finish(&mut cluster);
    assert_eq!(cluster.runs.len(), jobs);
    let warm = cluster.runs.values().filter(|run| run.is_warm).count();
    let ideal = work / shape.workers as f64;
    (
        warm as f64 / jobs as f64,
        cluster.now.secs_after(begin) / ideal,
    )
}

fn mean(shape: &Shape, learns: bool) -> (f64, f64) {
    let all: Vec<_> = (0..4).map(|seed| serve(seed, shape, learns)).collect();
    let mean = |part: fn(&(f64, f64)) -> f64| all.iter().map(part).sum::<f64>() / all.len() as f64;
    (mean(|one| one.0), mean(|one| one.1))
}

/// Nearly all jobs run where their caches are, and hardly a worker idles for that.
#[test]
fn caches_are_used_and_workers_do_not_idle() {
    for (hints, workers) in [(16, 4), (64, 8)] {
        for (shortest, longest) in [(1.0, 1.0), (1.0, 4.0), (10.0, 40.0)] {
            // What one client has beside others is known later, so a little more runs cold.
            for (skew, clients, limit) in
                [(1.0, 1, 1.1), (2.0, 1, 1.1), (1.0, 4, 1.15), (2.0, 4, 1.15)]
            {
                let shape = Shape {
                    hints,
                    workers,
                    skew,
                    shortest,
                    longest,
                    cold: 5.0,
                    clients,
                };
                let (warm, time) = mean(&shape, true);
                assert!(
                    warm >= 0.95 && time <= limit,
                    "{shape:?}: {warm} warm in {time} of the ideal"
                );
            }
        }
    }
}

/// By upstream's guesses of ten seconds and ten minutes, workers idle where jobs are shorter.
#[test]
fn guesses_let_workers_idle() {
    let shape = Shape {
        hints: 16,
        workers: 4,
        skew: 2.0,
        shortest: 1.0,
        longest: 1.0,
        cold: 5.0,
        clients: 1,
    };
    let (warm, time) = mean(&shape, false);
    assert!(
        warm >= 0.99 && time > 1.1,
        "{warm} warm in {time} of the ideal"
    );
}
