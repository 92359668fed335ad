//! The rates at which durable jobs are accepted, each on disk, and completed, and the scheduler's memory per queued
//! one.

use std::time::{Duration, Instant};

use cluster_api::{JobQuery, JobState, Submission};
use futures::future::try_join_all;

use super::jobs::complete_jobs;
use super::report::Report;
use super::rig::{Connected, Rig, Side, broken};
use super::worker::durable;
use super::{SETTLING, Sizes};
use cli::error::CommandError;

/// How often to ask whether all jobs have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut clients = Side::start({
        let (rig, sizes) = (rig.clone(), sizes.clone());
        move || queue(rig, sizes)
    });
    let Queued {
        jobs,
        per_second,
        memory,
    } = clients.outcome().await?;
    let setup = format!(
        "{jobs} jobs, {} clients × {} in flight",
        sizes.clients, sizes.in_flight
    );
    report.add("durable", &setup, "accepted", per_second, "jobs/s");
    if let Some(bytes) = memory {
        let kib = bytes / 1024.0;
        report.add("durable", &setup, "memory of a queued job", kib, "KiB");
    }
    let begin = Instant::now();
    let mut workers = Side::start({
        let (rig, sizes) = (rig.clone(), sizes.clone());
        move || complete_jobs(rig, sizes)
    });
    tokio::select! {
        ended = all_have_ended(rig) => ended?,
        failed = workers.outcome() => match failed? {},
    }
    let per_second = f64::from(jobs) / begin.elapsed().as_secs_f64();
    let setup = format!(
        "{jobs} jobs, {} workers × {}",
        sizes.workers, sizes.capacity
    );
    report.add("durable", setup, "completed", per_second, "jobs/s");
    Ok(())
}

struct Queued {
    /// How many are queued, those that were not counted included.
    jobs: u32,
    per_second: f64,
    /// Bytes for each job; `None` if the scheduler's process is not known.
    memory: Option<f64>,
}

async fn queue(rig: Rig, sizes: Sizes) -> Result<Queued, CommandError> {
    let clients = try_join_all((0..sizes.clients).map(|_| rig.client())).await?;
    // A few first, so that memory shared by all jobs is not counted.
    let first = submit(&rig, &clients, sizes.in_flight, 1).await?;
    tokio::time::sleep(SETTLING).await;
    let before = rig.memory()?;
    let begin = Instant::now();
    let each = sizes
        .queued
        .div_ceil(sizes.clients.saturating_mul(sizes.in_flight));
    let jobs = submit(&rig, &clients, sizes.in_flight, each).await?;
    let per_second = f64::from(jobs) / begin.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLING).await;
    let memory = before
        .zip(rig.memory()?)
        .map(|(before, after)| (after - before) / f64::from(jobs));
    Ok(Queued {
        jobs: first.saturating_add(jobs),
        per_second,
        memory,
    })
}

/// Submits jobs, and releases each as soon as it is accepted. Returns how many.
async fn submit(
    rig: &Rig,
    clients: &[Connected<Submission>],
    in_flight: u32,
    each: u32,
) -> Result<u32, CommandError> {
    let lanes = clients.iter().flat_map(|client| {
        (0..in_flight).map(async |lane| {
            for job in 0..each {
                let label = format_args!("FROM busybox\nRUN echo {lane} {job}\n");
                let job = durable(rig, label)?;
                let accepted = client.service.submit_durable(&job).await;
                accepted.map_err(broken("a durable job was refused"))?;
            }
            Ok::<_, CommandError>(each)
        })
    });
    Ok(try_join_all(lanes).await?.into_iter().sum())
}

async fn all_have_ended(rig: &Rig) -> Result<(), CommandError> {
    let client = rig.client().await?;
    let query = JobQuery {
        states: vec![JobState::Queued, JobState::Running],
        at_most: Some(1),
        ..JobQuery::default()
    };
    loop {
        if !has_any(&client, &query).await? {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns whether there is a job for this query. The first page may have none although a later one has.
async fn has_any(client: &Connected<Submission>, query: &JobQuery) -> Result<bool, CommandError> {
    let mut query = query.clone();
    loop {
        let page = client.service.list_durable(&query).await;
        let page = page.map_err(broken("cannot list durable jobs"))?;
        match page.next {
            _ if !page.jobs.is_empty() => return Ok(true),
            Some(next) => query.before = Some(next),
            None => return Ok(false),
        }
    }
}
