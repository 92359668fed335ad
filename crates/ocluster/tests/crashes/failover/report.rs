//! What rounds have shown: how long clients waited.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::gaps::Wait;
use super::round::Plan;
use super::trouble::Trouble;

/// The longest wait of a client that is promised.
const PROMISED: Duration = Duration::from_secs(10);

/// What rounds have shown.
#[derive(Debug, Default)]
pub(super) struct Report {
    rounds: Vec<(Plan, Vec<(Wait, Duration)>)>,
    pub(super) failures: Vec<String>,
}

impl Report {
    /// A round has shown no mistake, and these waits.
    #[expect(clippy::print_stdout, reason = "rounds take long")]
    pub(super) fn note(&mut self, plan: &Plan, waits: Vec<(Wait, Duration)>) {
        let shown: Vec<_> = waits
            .iter()
            .map(|(wait, time)| format!("{wait:?} {:.1} s", time.as_secs_f64()))
            .collect();
        println!(
            "round {:3}: {:?} for {:.1} s; the longest waits: {}",
            plan.number,
            plan.trouble,
            plan.length.as_secs_f64(),
            shown.join(", ")
        );
        self.rounds.push((plan.clone(), waits));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.rounds.extend(other.rounds);
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waits: BTreeMap<(Trouble, Wait), Vec<Duration>> = BTreeMap::new();
        for (plan, of_round) in &self.rounds {
            for (wait, time) in of_round {
                waits.entry((plan.trouble, *wait)).or_default().push(*time);
            }
        }
        writeln!(f, "{} rounds without a mistake", self.rounds.len())?;
        writeln!(
            f,
            "{:20}{:12}{:>7}{:>9}{:>9}",
            "", "", "rounds", "median", "longest"
        )?;
        for ((trouble, wait), mut times) in waits {
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            let longest = times.last().copied().unwrap_or_default();
            writeln!(
                f,
                "{:20}{:12}{:7}{:7.1} s{:7.1} s",
                format!("{trouble:?}"),
                format!("{wait:?}"),
                times.len(),
                median.as_secs_f64(),
                longest.as_secs_f64()
            )?;
        }
        let too_long = self.rounds.iter().filter(|(_, waits)| {
            let mut times = waits.iter().map(|(_, time)| *time);
            times.any(|time| time > PROMISED)
        });
        let too_long: Vec<_> = too_long.map(|(plan, _)| plan.number.to_string()).collect();
        match too_long.is_empty() {
            true => write!(f, "no wait was longer than {} s", PROMISED.as_secs()),
            false => write!(
                f,
                "longer than {} s: in the rounds {}",
                PROMISED.as_secs(),
                too_long.join(", ")
            ),
        }
    }
}
