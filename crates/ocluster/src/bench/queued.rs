//! The scheduler's memory per queued job, with a client that waits for its result.

use cluster_api::{Answer, Job, Pipelined, Submission, Ticket};
use futures::future::try_join_all;

use super::Sizes;
use super::report::Report;
use super::rig::{Connected, Rig, broken};
use super::worker::labelled;
use cli::error::CommandError;

/// The jobs that one client queues: a scheduler may limit the unfinished calls of a connection.
const JOBS_PER_CLIENT: u32 = 10_000;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let shares = shares(sizes.queued);
    let clients = try_join_all(shares.iter().map(|_| rig.client())).await?;
    // One job of each first, so that memory shared by all jobs is not counted.
    let _first = queue_each(rig, &clients, &vec![1; shares.len()]).await?;
    let Some(before) = rig.memory()? else {
        return Err(CommandError::usage(
            "scenario 'queued' requires the option --pid",
        ));
    };
    let _queued = queue_each(rig, &clients, &shares).await?;
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

/// Returns the number of jobs for each client.
fn shares(jobs: u32) -> Vec<u32> {
    (0..jobs)
        .step_by(JOBS_PER_CLIENT as usize)
        .map(|first| JOBS_PER_CLIENT.min(jobs - first))
        .collect()
}

/// Queues each client's share of the jobs.
async fn queue_each(
    rig: &Rig,
    clients: &[Connected<Submission>],
    shares: &[u32],
) -> Result<Vec<Waiting>, CommandError> {
    let mut queued = Vec::new();
    for (client, jobs) in clients.iter().zip(shares) {
        queued.extend(queue(rig, &client.service, *jobs).await?);
    }
    Ok(queued)
}

/// The capabilities of a client that waits for a job.
struct Waiting {
    _ticket: Ticket,
    _job: Pipelined<Job>,
    _result: Answer<String>,
}

/// Queues jobs, and returns when the scheduler has them all.
async fn queue(rig: &Rig, client: &Submission, jobs: u32) -> Result<Vec<Waiting>, CommandError> {
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
        queued.extend(try_join_all(batch).await?);
    }
    Ok(queued)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_has_more_than_a_connection_may() {
        assert_eq!(shares(200), [200]);
        assert_eq!(shares(10_000), [10_000]);
        assert_eq!(shares(25_000), [10_000, 10_000, 5_000]);
    }
}
