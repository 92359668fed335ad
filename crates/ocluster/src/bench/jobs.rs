//! The rate of jobs that do nothing: submitted, taken by a worker, ended, and their result received.

use std::time::Instant;

use futures::future::{join_all, try_join_all};

use super::Sizes;
use super::report::Report;
use super::rig::{Rig, Side, broken};
use super::worker::{BenchWorker, labelled};
use cli::error::CommandError;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut workers = Side::start({
        let (rig, sizes) = (rig.clone(), sizes.clone());
        move || complete_jobs(rig, sizes)
    });
    let mut clients = Side::start({
        let (rig, sizes) = (rig.clone(), sizes.clone());
        move || submit_jobs(rig, sizes)
    });
    let per_second = tokio::select! {
        per_second = clients.outcome() => per_second?,
        failed = workers.outcome() => match failed? {},
    };
    let setup = format!(
        "{} clients × {} in flight, {} workers × {}",
        sizes.clients, sizes.in_flight, sizes.workers, sizes.capacity
    );
    report.add("jobs", setup, "completed", per_second, "jobs/s");
    Ok(())
}

/// Registers workers that complete jobs, forever.
pub(super) async fn complete_jobs(
    rig: Rig,
    sizes: Sizes,
) -> Result<std::convert::Infallible, CommandError> {
    let workers = (0..sizes.workers).map(async |i| {
        let worker = BenchWorker::register(&rig, &format!("bench-{i}"), sizes.capacity).await?;
        let (failed, _, _) = futures::future::select_all(
            (0..sizes.capacity).map(|_| Box::pin(worker.complete_all())),
        )
        .await;
        failed
    });
    let (failed, _, _) = futures::future::select_all(workers.map(Box::pin)).await;
    failed
}

/// Submits all jobs, and returns how many were completed in a second.
async fn submit_jobs(rig: Rig, sizes: Sizes) -> Result<f64, CommandError> {
    let clients = try_join_all((0..sizes.clients).map(|_| rig.client())).await?;
    let lanes = sizes.clients.saturating_mul(sizes.in_flight);
    let each = sizes.jobs.div_ceil(lanes);
    let begin = Instant::now();
    let work = clients.iter().flat_map(|client| {
        (0..sizes.in_flight).map(async |_| {
            for _ in 0..each {
                let ticket = client.service.submit(&rig.pool, &labelled(""), false);
                ticket
                    .job()
                    .result()
                    .await
                    .map_err(broken("a job failed"))?;
            }
            Ok(())
        })
    });
    join_all(work)
        .await
        .into_iter()
        .collect::<Result<(), CommandError>>()?;
    Ok(f64::from(each.saturating_mul(lanes)) / begin.elapsed().as_secs_f64())
}
