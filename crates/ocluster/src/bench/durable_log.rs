//! The throughput of the log of a durable job: from a worker into the scheduler's store while it is written, and from
//! there to its readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cluster_api::DurableJob;
use futures::future::{try_join, try_join_all};
use tokio::sync::oneshot;

use super::Sizes;
use super::report::Report;
use super::rig::{Rig, Side, broken};
use super::worker::{BenchWorker, UniformLog, durable};
use cli::error::CommandError;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest piece that our workers return.
const PIECE: u64 = 256 * KIB;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    for readers in [1, sizes.readers] {
        let log = UniformLog {
            size: u64::from(sizes.log_size) * MIB,
            piece: PIECE,
            line: 0,
        };
        let served = Arc::new(AtomicU64::new(0));
        let per_second = read_log(rig, log, readers, Arc::clone(&served)).await?;
        let setup = format!("{readers} readers, 256 KiB a call");
        let metric = "to each reader";
        report.add("durable-log", &setup, metric, per_second, "MiB/s");
        #[expect(
            clippy::cast_precision_loss,
            reason = "a log is far smaller than the 2^53 bytes at which it matters"
        )]
        let times = served.load(Ordering::Relaxed) as f64 / log.size as f64;
        report.add(
            "durable-log",
            &setup,
            "read from the worker",
            times,
            "times",
        );
    }
    Ok(())
}

/// Has one log written and read, and returns the MiB per second that each reader got.
async fn read_log(
    rig: &Rig,
    log: UniformLog,
    readers: u32,
    served: Arc<AtomicU64>,
) -> Result<f64, CommandError> {
    let (ready, are_ready) = oneshot::channel();
    let mut worker = Side::start({
        let rig = rig.clone();
        move || write_log(rig, log, are_ready, served)
    });
    let mut clients = Side::start({
        let rig = rig.clone();
        move || receive_log(rig, readers, ready)
    });
    let (per_second, ()) = try_join(clients.outcome(), worker.outcome()).await?;
    Ok(per_second)
}

/// Runs one job, once its readers wait for its log.
async fn write_log(
    rig: Rig,
    log: UniformLog,
    are_ready: oneshot::Receiver<oneshot::Receiver<()>>,
    served: Arc<AtomicU64>,
) -> Result<(), CommandError> {
    let gone = |_| CommandError::failed("the mock clients have exited");
    let is_read = are_ready.await.map_err(gone)?;
    let worker = BenchWorker::register(&rig, "bench-durable-log", 1).await?;
    let (job, _) = worker.pop(log).await?;
    job.finish();
    is_read.await.map_err(gone)?;
    served.store(job.served(), Ordering::Relaxed);
    Ok(())
}

async fn receive_log(
    rig: Rig,
    readers: u32,
    ready: oneshot::Sender<oneshot::Receiver<()>>,
) -> Result<f64, CommandError> {
    let clients = try_join_all((0..readers).map(|_| rig.client())).await?;
    let mut jobs = Vec::new();
    let mut id = String::new();
    for client in &clients {
        if id.is_empty() {
            let accepted = client.service.submit_durable(&durable(&rig, "")?).await;
            let (new, job) = accepted.map_err(broken("a durable job was refused"))?;
            id = new;
            jobs.push(job);
        } else {
            let found = client.service.find_durable(&id).await;
            jobs.push(found.map_err(broken("cannot find the job"))?);
        }
    }
    let (read, is_read) = oneshot::channel();
    let reading = try_join_all(jobs.iter().map(read_all));
    // An error means that the worker's side has failed, which is reported there.
    drop(ready.send(is_read));
    let read_by_each = reading.await?;
    let _: Result<(), ()> = read.send(());
    let first = read_by_each.iter().map(|read| read.began).min();
    let elapsed = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    let bytes = read_by_each.first().map_or(0, |read| read.bytes);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a log is far smaller than the 2^53 bytes at which it matters"
    )]
    let mib = bytes as f64 / MIB as f64;
    Ok(mib / elapsed)
}

/// What one reader got.
struct Read {
    bytes: u64,
    /// When its first bytes arrived.
    began: Instant,
}

async fn read_all(job: &DurableJob) -> Result<Read, CommandError> {
    let mut read = Read {
        bytes: 0,
        began: Instant::now(),
    };
    loop {
        let chunk = job.log(1, read.bytes).await;
        let chunk = chunk.map_err(broken("cannot read the log"))?;
        if chunk.bytes.is_empty() {
            return Ok(read);
        }
        if read.bytes == 0 {
            read.began = Instant::now();
        }
        read.bytes = chunk.next;
    }
}
