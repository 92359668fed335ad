//! The rate at which workers connect and register, and the scheduler's memory per waiting worker.

use std::time::Instant;

use futures::stream::{StreamExt as _, TryStreamExt as _};

use super::report::Report;
use super::rig::Rig;
use super::worker::{BenchWorker, UniformLog};
use super::{SETTLING, Sizes};
use cli::error::CommandError;

/// How many workers are connecting at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let first = BenchWorker::register(rig, "bench-idle-first", 1).await?;
    let before = rig.memory()?;
    let begin = Instant::now();
    let workers: Vec<BenchWorker> = futures::stream::iter(0..sizes.idle_workers)
        .map(async |i| BenchWorker::register(rig, &format!("bench-idle-{i}"), 1).await)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let connects = f64::from(sizes.idle_workers) / begin.elapsed().as_secs_f64();
    let setup = format!("{} workers", sizes.idle_workers);
    report.add(
        "idle",
        &setup,
        "connected and registered",
        connects,
        "workers/s",
    );

    let mut pops: futures::stream::FuturesUnordered<_> = workers
        .iter()
        .chain([&first])
        .map(|worker| worker.pop(UniformLog::default()))
        .collect();
    tokio::select! {
        // None of them gets a job, so any end is a failure.
        ended = pops.next() => {
            if let Some(Err(error)) = ended {
                return Err(error);
            }
        }
        () = tokio::time::sleep(SETTLING) => {}
    }
    if let (Some(before), Some(after)) = (before, rig.memory()?) {
        let each = (after - before) / f64::from(sizes.idle_workers) / 1024.0;
        report.add("idle", &setup, "memory of a worker", each, "KiB");
    }
    Ok(())
}
