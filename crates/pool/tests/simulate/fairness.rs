//! Over any window in which clients all have tickets waiting, each is served in proportion to its
//! rate, within one job.

use pool::TicketId;

use crate::random::Random;
use crate::story::{COST, Story};

const JOBS: usize = 40;

/// Serves some clients with random rates on one worker; returns their rates, and whose turn it was.
fn serve(random: &mut Random, clients: usize) -> (Vec<f64>, Vec<usize>) {
    let mut s = Story::new();
    let rates: Vec<_> = (0..clients)
        .map(|_| (1 + random.below(50)) as f64 / 5.0)
        .collect();
    for (client, rate) in rates.iter().enumerate() {
        s.rate(&format!("c{client}"), *rate);
    }
    // In any order: who comes first gets no more than others.
    let mut owner = std::collections::BTreeMap::<TicketId, usize>::new();
    let mut left = vec![JOBS; clients];
    while left.iter().any(|left| *left > 0) {
        let client = random.below(clients);
        if left[client] > 0 {
            left[client] -= 1;
            let job = format!("{client}-{}", left[client]);
            owner.insert(s.submit(&format!("c{client}"), &job, ""), client);
        }
    }
    let w = s.reg("w");
    let mut turns = Vec::new();
    for _ in 0..clients * JOBS {
        let pop = s.pop(w);
        s.pause();
        let job = s.answer(pop);
        s.finish(&job);
        let client = job
            .split_once('-')
            .and_then(|(client, _)| client.parse().ok());
        turns.push(client.expect("jobs are called after their clients"));
    }
    s.end();
    (rates, turns)
}

/// Returns how far apart two clients were, at most, over any window in which both had tickets
/// waiting: the difference of what they got, each divided by its rate, in seconds.
fn unfairness(turns: &[usize], (a, rate_a): (usize, f64), (b, rate_b): (usize, f64)) -> f64 {
    let cost = COST.non_cached.as_secs_f64();
    let (mut difference, mut lowest, mut highest) = (0.0_f64, 0.0_f64, 0.0_f64);
    let (mut left_a, mut left_b) = (JOBS, JOBS);
    for turn in turns {
        if *turn == a {
            difference += cost / rate_a;
            left_a -= 1;
        } else if *turn == b {
            difference -= cost / rate_b;
            left_b -= 1;
        }
        if left_a == 0 || left_b == 0 {
            break;
        }
        lowest = lowest.min(difference);
        highest = highest.max(difference);
    }
    // The worst window is the one between the two extremes.
    highest - lowest
}

#[test]
fn shares_are_kept_over_any_window() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let clients = 2 + random.below(4);
        let (rates, turns) = serve(&mut random, clients);
        for a in 0..clients {
            for b in 0..a {
                let one_job = COST.non_cached.as_secs_f64() * (1.0 / rates[a] + 1.0 / rates[b]);
                let apart = unfairness(&turns, (a, rates[a]), (b, rates[b]));
                assert!(
                    apart <= one_job + 1e-3,
                    "seed {seed}: {a} and {b} were {apart}s apart, with {rates:?}: {turns:?}"
                );
            }
        }
    }
}
