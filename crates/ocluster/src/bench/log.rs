//! The throughput of a log from a worker, through the scheduler, to one client.

use std::time::Instant;

use cluster_client::LogReader;

use super::Sizes;
use super::report::Report;
use super::rig::{Rig, Side, broken};
use super::worker::{BenchWorker, UniformLog, labelled};
use cli::error::CommandError;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest piece that upstream's workers return, in KiB; its clients have one call in flight.
const UPSTREAM_PIECE: u32 = 10;

/// The largest piece that our workers return, in KiB.
const OUR_PIECE: u32 = 256;

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let patterns = match sizes.chunk {
        Some(chunk) => vec![(chunk, sizes.window)],
        None => vec![(OUR_PIECE, sizes.window), (UPSTREAM_PIECE, 1)],
    };
    for (chunk, window) in patterns {
        let log = UniformLog {
            size: u64::from(sizes.log_size) * MIB,
            piece: u64::from(chunk) * KIB,
            line: 0,
        };
        let per_second = read_log(rig, log, window).await?;
        report.add(
            "log",
            format!("{chunk} KiB a call, {window} in flight"),
            "to one client",
            per_second,
            "MiB/s",
        );
    }
    Ok(())
}

/// Reads one log, and returns the MiB per second.
async fn read_log(rig: &Rig, log: UniformLog, window: u32) -> Result<f64, CommandError> {
    let mut worker = Side::start({
        let rig = rig.clone();
        move || serve_log(rig, log)
    });
    let mut client = Side::start({
        let rig = rig.clone();
        move || receive_log(rig, window)
    });
    tokio::select! {
        per_second = client.outcome() => per_second,
        failed = worker.outcome() => match failed? {},
    }
}

async fn serve_log(rig: Rig, log: UniformLog) -> Result<std::convert::Infallible, CommandError> {
    let worker = BenchWorker::register(&rig, "bench-log", 1).await?;
    let (job, _) = worker.pop(log).await?;
    job.finish();
    // The job's log is still to be read, so the worker stays.
    std::future::pending().await
}

async fn receive_log(rig: Rig, window: u32) -> Result<f64, CommandError> {
    let client = rig.client().await?;
    let ticket = client.service.submit(&rig.pool, &labelled(""), false);
    let job = ticket.job();
    job.result().await.map_err(broken("the job failed"))?;
    let begin = Instant::now();
    let mut bytes = 0_u64;
    let mut log = LogReader::new(job.clone(), usize::try_from(window).unwrap_or(1));
    let lost = broken("cannot read the log");
    while let Some(piece) = log.next().await.map_err(&lost)? {
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(0));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a log is far smaller than the 2^53 bytes at which it matters"
    )]
    let mib = bytes as f64 / MIB as f64;
    Ok(mib / begin.elapsed().as_secs_f64())
}
