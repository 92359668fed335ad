//! The line with which a job ends.

use visible::{Elapsed, OneLine};

use super::observed::Observed;
use cli::error::{CommandError, Kind};
use cli::quote::printable;

/// Returns in a line how a job ended, and how long it took. A build can print such a line too, but none after this one.
/// `name` is its number or its id, if that is known.
pub(super) fn verdict(
    observed: &Observed,
    name: Option<String>,
    pool: &str,
    failed: Option<&CommandError>,
) -> String {
    let times = observed.times();
    let (ended, why) = match failed {
        None => ("succeeded in", None),
        Some(failed) => match failed.kind {
            Kind::Cancelled => ("cancelled after", None),
            Kind::JobLost => ("lost after", Some(&failed.message)),
            _ => ("failed after", Some(&failed.message)),
        },
    };
    let name = name.map_or_else(String::new, |name| format!("job {name} of "));
    let worker = observed.worker();
    let worker = worker.map(|worker| format!(" on worker {}", printable(&worker)));
    let why = why.map(|why| format!(": {}", OneLine(why)));
    format!(
        "Job {ended} {} (waited {}): {name}pool {}{}{}",
        Elapsed::from_seconds(times.ran_seconds),
        Elapsed::from_seconds(times.waited_seconds),
        printable(pool),
        worker.unwrap_or_default(),
        why.unwrap_or_default(),
    )
}
