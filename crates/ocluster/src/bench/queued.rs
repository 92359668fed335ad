//! How much of the scheduler's memory a queued job takes, with a client that waits for its result.

use super::Sizes;
use super::mock::labelled;
use super::report::Report;
use super::rig::{Rig, broken};
use crate::error::CommandError;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let client = rig.client().await?;
    // One job first, so that what is there once for all jobs is not counted.
    let _first = queue(rig, &client.service, 1).await?;
    let Some(before) = rig.memory()? else {
        return Err(CommandError::usage(
            "scenario 'queued' needs the option --pid",
        ));
    };
    let _queued = queue(rig, &client.service, sizes.queued).await?;
    let Some(after) = rig.memory()? else {
        return Ok(());
    };
    let each = (after - before) / f64::from(sizes.queued) / 1024.0;
    report.add(
        "queued",
        format!("{} jobs", sizes.queued),
        "memory of a job",
        each,
        "KiB",
    );
    Ok(())
}

/// What a client that waits for a job holds of it.
struct Waiting {
    _ticket: cluster_api::Ticket,
    _job: cluster_api::Pipelined<cluster_api::Job>,
    _result: cluster_api::Answer<String>,
}

/// Queues jobs, and returns when the scheduler has them all.
async fn queue(
    rig: &Rig,
    client: &cluster_api::Submission,
    jobs: u32,
) -> Result<Vec<Waiting>, CommandError> {
    /// How many answers to wait for at once, so that it is the scheduler's memory that grows and not a socket's.
    const BATCH: u32 = 256;
    let mut queued = Vec::new();
    for first in (0..jobs).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        let batch = (first..jobs.min(first.saturating_add(BATCH))).map(async |i| {
            let ticket = client.submit(
                &rig.pool,
                &labelled(format_args!("FROM busybox\nRUN echo {i}\n")),
                false,
            );
            let job = ticket.job();
            let result = job.result();
            let ticket = ticket.await.map_err(broken("a job was refused"))?;
            Ok::<_, CommandError>(Waiting {
                _ticket: ticket,
                _job: job,
                _result: result,
            })
        });
        queued.extend(futures::future::try_join_all(batch).await?);
    }
    Ok(queued)
}
