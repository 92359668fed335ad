//! A pool full of jobs, and its many workers.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster_api::{Admin, DurableStage, Label, Submission};
use futures::future::try_join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use vat::SturdyRef;

use super::super::Sizes;
use super::super::rig::{Connected, Rig, broken};
use super::super::worker::{BenchWorker, UniformLog, durable, labelled};
use cli::error::CommandError;

/// How many clients have jobs in the queue.
const CLIENTS: u32 = 5;

/// How many cache hints their jobs have.
const HINTS: u32 = 50;

/// How long the log is that is looked at.
const LOG: UniformLog = UniformLog {
    size: 400 << 10,
    piece: 100 << 10,
    line: 80,
};

/// What the sides of the benchmark tell each other.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// How long each job runs, in milliseconds.
    pub(super) job_millis: AtomicU64,
    /// How many jobs were queued.
    pub(super) queued: AtomicU64,
    /// How many were completed.
    pub(super) completed: AtomicU64,
}

impl Load {
    fn job_time(&self) -> Duration {
        Duration::from_millis(self.job_millis.load(Ordering::Relaxed))
    }
}

/// Adds the clients of this benchmark, and returns how to reach each.
pub(super) async fn add_clients(admin: &Admin) -> Result<Vec<SturdyRef>, CommandError> {
    remove_clients(admin).await?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let submission = admin.add_client(&name(number)).await;
        let submission = submission.map_err(broken("cannot add a client"))?;
        let saved = submission.save().await;
        let saved = saved.map_err(broken("cannot save the capability of a client"))?;
        clients.push(saved.parse().map_err(CommandError::caused)?);
    }
    Ok(clients)
}

/// Removes the clients of this benchmark, also those of one that was interrupted.
pub(super) async fn remove_clients(admin: &Admin) -> Result<(), CommandError> {
    let known = admin.list_clients().await;
    let known = known.map_err(broken("cannot list the clients"))?;
    for client in (0..CLIENTS).map(name).filter(|name| known.contains(name)) {
        let removed = admin.remove_client(&client).await;
        removed.map_err(broken("cannot remove a client"))?;
    }
    Ok(())
}

fn name(client: u32) -> String {
    format!("bench-pages-{client}")
}

/// Has a job with a log run, and returns its id.
pub(super) async fn log_job(rig: &Rig) -> Result<String, CommandError> {
    let worker = BenchWorker::register(rig, "bench-pages-log", 1).await?;
    let client = rig.client().await?;
    let mut request = durable(rig, "FROM busybox\n")?;
    request.labels = vec![Label {
        name: "ref".to_owned(),
        value: "bench".to_owned(),
    }];
    let accepted = client.service.submit_durable(&request).await;
    let (id, job) = accepted.map_err(broken("a durable job was refused"))?;
    let (run, _) = worker.pop(LOG).await?;
    run.finish();
    let mut version = 0;
    loop {
        let status = job.watch(version).await;
        let status = status.map_err(broken("cannot watch a job"))?;
        if let DurableStage::Ended { .. } = status.stage {
            return Ok(id);
        }
        version = status.version;
    }
}

/// Registers workers that run one job at a time, for ever.
pub(super) async fn run_jobs(
    rig: Rig,
    sizes: Sizes,
    load: Arc<Load>,
) -> Result<Infallible, CommandError> {
    let workers = (0..sizes.page_workers).map(async |number| {
        let worker = BenchWorker::register(&rig, &worker_name(number), 1).await?;
        loop {
            let (job, _) = worker.pop(UniformLog::default()).await?;
            match load.job_time() {
                Duration::ZERO => {}
                // Not all at the same moment.
                time => tokio::time::sleep(time * (50 + number % 100) / 100).await,
            }
            job.finish();
            load.completed.fetch_add(1, Ordering::Relaxed);
        }
    });
    first_failure(workers).await
}

/// Returns the name of a worker.
pub(super) fn worker_name(number: u32) -> String {
    format!("bench-{number}")
}

/// Keeps the pool full: a job that has ended is followed by another one.
pub(super) async fn queue_jobs(
    rig: Rig,
    clients: Vec<SturdyRef>,
    sizes: Sizes,
    load: Arc<Load>,
) -> Result<Infallible, CommandError> {
    let clients = try_join_all(clients.iter().map(|client| rig.client_at(client))).await?;
    let count = u32::try_from(clients.len()).unwrap_or(1).max(1);
    let all = sizes.queued.saturating_add(sizes.page_workers);
    let lanes = (0..all.div_ceil(count)).flat_map(|lane| {
        let (rig, load) = (&rig, &load);
        clients
            .iter()
            .map(move |client| queue_in_lane(rig, client, lane, Arc::clone(load)))
    });
    first_failure(lanes).await
}

/// Runs all of these, and returns why the first one fails. Of thousands, only those are looked at that have something
/// to do: the more often that is, the more it would cost otherwise, and the less would be left for the scheduler.
async fn first_failure(
    all: impl Iterator<Item = impl Future<Output = Result<Infallible, CommandError>>>,
) -> Result<Infallible, CommandError> {
    let mut all: FuturesUnordered<_> = all.collect();
    match all.next().await {
        Some(failed) => failed,
        // There are none, so none fails.
        None => std::future::pending().await,
    }
}

async fn queue_in_lane(
    rig: &Rig,
    client: &Connected<Submission>,
    lane: u32,
    load: Arc<Load>,
) -> Result<Infallible, CommandError> {
    let hint = format!("git/project-{}", lane % HINTS);
    loop {
        let mut description = labelled(format_args!("FROM busybox\nRUN echo {lane}\n"));
        hint.clone_into(&mut description.cache_hint);
        let ticket = client.service.submit(&rig.pool, &description, false);
        let result = ticket.job().result();
        let _ticket = ticket.await.map_err(broken("a job was refused"))?;
        load.queued.fetch_add(1, Ordering::Relaxed);
        result.await.map_err(broken("a job failed"))?;
    }
}

/// A link of an operator for each of so many visitors, each of whom must use it before there are more.
pub(super) async fn link(admin: &Rc<Connected<Admin>>) -> Result<String, CommandError> {
    let link = admin.service.web_link(None).await;
    Ok(link.map_err(broken("cannot get a link to the pages"))?.url)
}
