//! Of the ranges in which four of five jobs are expected to start and to end, about four of five hold.

use std::time::Duration;

use pool::{Forecast, Rate, Time};

use crate::cluster::{Cluster, Truth, client, share};

/// How many ranges there were, and how many of them held.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    starts: (u32, u32),
    ends: (u32, u32),
}

fn hold(range: (Time, Time), time: Time) -> bool {
    range.0 <= time && time <= range.1
}

impl Tally {
    fn add(&mut self, forecast: &Forecast, start: Time, end: Time) {
        self.starts.0 += 1;
        self.starts.1 += u32::from(hold(forecast.start, start));
        self.ends.0 += 1;
        self.ends.1 += u32::from(hold(forecast.end, end));
    }

    fn held(all: (u32, u32)) -> f64 {
        f64::from(all.1) / f64::from(all.0)
    }
}

/// Jobs of five clients with different rates come in bursts to a pool whose hints take from seconds to an hour. Every
/// now and then a forecast is made for all that wait; later it is compared with what has happened.
fn observe(seed: u64, workers: usize, hints: usize) -> Tally {
    let mut cluster = Cluster::new(seed, workers, Vec::new(), true);
    for n in 0..hints {
        let warm = 20.0 * 60.0_f64.powf(share(&mut cluster.random));
        let truth = Truth {
            warm,
            cold: warm * (1.5 + 3.0 * share(&mut cluster.random)),
            sigma: 0.3 + 0.3 * share(&mut cluster.random),
        };
        cluster.add_truth(n, truth);
    }
    for (n, rate) in [0.5, 1.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
        cluster.pool.set_rate(&client(n), Rate::new(rate).unwrap());
    }
    let mut tally = Tally::default();
    for round in 0..12 {
        // A burst, which is worked off in part.
        for _ in 0..10 * workers {
            let (client, hint) = (cluster.random.below(5), cluster.random.below(hints));
            cluster.submit(client, hint);
        }
        let outlook = cluster.pool.outlook(cluster.now, 1_000);
        let forecasts = outlook.map(|outlook| outlook.forecast(seed));
        let waiting: Vec<_> = cluster.queued_tickets();
        let until = cluster.now + Duration::from_secs(1_000_000);
        while cluster.is_busy() {
            cluster.step(until);
        }
        // In the first rounds little is known.
        let Some(forecasts) = forecasts.filter(|_| round >= 2) else {
            continue;
        };
        for ticket in waiting {
            let run = cluster.runs[&ticket];
            let forecast = &forecasts[&ticket];
            tally.add(forecast, run.start, run.end);
        }
    }
    tally
}

#[test]
fn four_of_five_hold() {
    let mut total = Tally::default();
    for seed in 0..8 {
        for (workers, hints) in [(4, 16), (12, 40)] {
            let tally = observe(seed, workers, hints);
            total.starts.0 += tally.starts.0;
            total.starts.1 += tally.starts.1;
            total.ends.0 += tally.ends.0;
            total.ends.1 += tally.ends.1;
        }
    }
    let (starts, ends) = (Tally::held(total.starts), Tally::held(total.ends));
    assert!(
        (0.75..=0.85).contains(&starts),
        "{starts} of the starts: {total:?}"
    );
    assert!(
        (0.75..=0.85).contains(&ends),
        "{ends} of the ends: {total:?}"
    );
}

/// A job that runs takes one of the times that it may still take: what has passed is not expected again.
#[test]
fn a_job_that_runs_has_less_left() {
    let truth = Truth {
        warm: 100.0,
        cold: 100.0,
        sigma: 0.0,
    };
    let mut cluster = Cluster::new(1, 1, vec![truth], true);
    for _ in 0..8 {
        cluster.submit(0, 0);
    }
    let until = Time::from_secs(10_000);
    while cluster.is_busy() {
        cluster.step(until);
    }
    let (begin, running, waiting) = (cluster.now, cluster.submit(0, 0), cluster.submit(0, 0));
    // Jobs are expected to differ by 2 %.
    for (elapsed, earliest, latest) in [(0, 95, 105), (50, 95, 105), (90, 95, 105), (150, 150, 160)]
    {
        let after = |seconds| begin + Duration::from_secs(seconds);
        let outlook = cluster.pool.outlook(after(elapsed), 10).unwrap();
        let forecasts = outlook.forecast(1);
        let Forecast { start, end } = forecasts[&running];
        assert_eq!(start, (begin, begin));
        let text = format!("after {elapsed} s: {end:?}");
        assert!(after(earliest) <= end.0 && end.1 <= after(latest), "{text}");
        // The other one starts when it ends.
        assert_eq!(forecasts[&waiting].start, end, "{text}");
    }
}
