//! The time from the submission of a job until a waiting worker has it.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Sizes;
use super::report::Report;
use super::rig::{Rig, Side, broken};
use super::worker::{BenchWorker, UniformLog, labelled};
use cli::error::CommandError;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let (popped, pops) = mpsc::unbounded_channel();
    let mut worker = Side::start({
        let rig = rig.clone();
        move || take_jobs(rig, popped)
    });
    let mut client = Side::start({
        let (rig, samples) = (rig.clone(), sizes.samples);
        move || submit_jobs(rig, samples, pops)
    });
    let mut latencies = tokio::select! {
        latencies = client.outcome() => latencies?,
        failed = worker.outcome() => match failed? {},
    };
    add(report, "latency", sizes.samples, &mut latencies);
    Ok(())
}

/// Reports how long the submission of a job took until a worker had it.
pub(super) fn add(
    report: &mut Report,
    scenario: &'static str,
    samples: u32,
    latencies: &mut [Duration],
) {
    latencies.sort_unstable();
    let setup = format!("{samples} jobs, one at a time");
    for (metric, permille) in [("submit to pop, p50", 500), ("submit to pop, p99", 990)] {
        let latency = at_permille(latencies, permille).as_secs_f64() * 1000.0;
        report.add(scenario, &setup, metric, latency, "ms");
    }
}

/// Takes jobs, and sends the time of each.
pub(super) async fn take_jobs(
    rig: Rig,
    popped: mpsc::UnboundedSender<Instant>,
) -> Result<std::convert::Infallible, CommandError> {
    let worker = BenchWorker::register(&rig, "bench-latency", 1).await?;
    loop {
        let (job, _) = worker.pop(UniformLog::default()).await?;
        if popped.send(Instant::now()).is_err() {
            return Err(CommandError::failed("the mock client has exited"));
        }
        job.finish();
    }
}

async fn submit_jobs(
    rig: Rig,
    samples: u32,
    mut pops: mpsc::UnboundedReceiver<Instant>,
) -> Result<Vec<Duration>, CommandError> {
    let client = rig.client().await?;
    let mut latencies = Vec::new();
    // The first is not counted: connections are new, and the worker may not be registered yet.
    for sample in 0..=samples {
        // The worker must wait again.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let submitted = Instant::now();
        let ticket = client.service.submit(&rig.pool, &labelled(sample), false);
        ticket
            .job()
            .result()
            .await
            .map_err(broken("a job failed"))?;
        let popped = pops
            .recv()
            .await
            .ok_or_else(|| CommandError::failed("the mock worker has exited"))?;
        if sample > 0 {
            latencies.push(popped.saturating_duration_since(submitted));
        }
    }
    Ok(latencies)
}

/// Returns the permille quantile of `sorted` values.
fn at_permille(sorted: &[Duration], permille: usize) -> Duration {
    let index = sorted.len().saturating_mul(permille) / 1000;
    sorted
        .get(index)
        .or(sorted.last())
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(at_permille(&sorted, 500), Duration::from_millis(51));
        assert_eq!(at_permille(&sorted, 990), Duration::from_millis(100));
        assert_eq!(at_permille(&sorted[..1], 990), Duration::from_millis(1));
        assert_eq!(at_permille(&[], 500), Duration::ZERO);
    }
}
