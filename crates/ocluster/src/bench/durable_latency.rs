//! The time from the submission of a durable job until a waiting worker has it: on the way, the job and its attempt
//! are saved.

use std::time::{Duration, Instant};

use cluster_api::{DurableJob, DurableStage};
use tokio::sync::mpsc;

use super::report::Report;
use super::rig::{Rig, Side, broken};
use super::worker::durable;
use super::{Sizes, latency};
use cli::error::CommandError;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let (popped, pops) = mpsc::unbounded_channel();
    let mut worker = Side::start({
        let rig = rig.clone();
        move || latency::take_jobs(rig, popped)
    });
    let mut client = Side::start({
        let (rig, samples) = (rig.clone(), sizes.samples);
        move || submit_jobs(rig, samples, pops)
    });
    let mut latencies = tokio::select! {
        latencies = client.outcome() => latencies?,
        failed = worker.outcome() => match failed? {},
    };
    latency::add(report, "durable-latency", sizes.samples, &mut latencies);
    Ok(())
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
        let request = durable(&rig, sample)?;
        let submitted = Instant::now();
        let accepted = client.service.submit_durable(&request).await;
        let (_, job) = accepted.map_err(broken("a durable job was refused"))?;
        let popped = pops
            .recv()
            .await
            .ok_or_else(|| CommandError::failed("the mock worker has exited"))?;
        ended(&job).await?;
        if sample > 0 {
            latencies.push(popped.saturating_duration_since(submitted));
        }
    }
    Ok(latencies)
}

/// Waits until a job has ended.
async fn ended(job: &DurableJob) -> Result<(), CommandError> {
    let mut version = 0;
    loop {
        let status = job.watch(version).await;
        let status = status.map_err(broken("cannot watch a job"))?;
        if let DurableStage::Ended { .. } = status.stage {
            return Ok(());
        }
        version = status.version;
    }
}
