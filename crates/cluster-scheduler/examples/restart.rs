//! Measures queued durable jobs and a restart with them: `cargo run --release -p cluster-scheduler --example restart
//! [JOBS]`.
//!
//! It queues so many jobs (100,000 unless told otherwise), and counts the memory that is allocated for each, once the
//! client has left. Then it starts the scheduler again, and times that: until it listens, and until a worker has its
//! first job.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cluster_api::Submission;
use cluster_scheduler::Scheduler;
use futures::future::try_join_all;
use testkit::{Connected, MockBuilder, MockWorker, config_in, job_request};
use tokio::task::JoinHandle;

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: it does what the system's allocator does.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How long to wait until all that a client has released is freed.
const SETTLING: Duration = Duration::from_secs(1);

/// How many submissions are on their way at once.
const IN_FLIGHT: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let jobs = match std::env::args().nth(1) {
        Some(jobs) => jobs.parse()?,
        None => 100_000,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(jobs))
}

/// A scheduler in this process.
struct Running {
    scheduler: Rc<Scheduler>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let scheduler = Rc::new(Scheduler::start(config_in(directory)).await?);
        let running = Rc::clone(&scheduler);
        let task = tokio::task::spawn_local(async move { running.run().await });
        Ok(Self { scheduler, task })
    }

    async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.scheduler.shutdown();
        Ok(self.task.await?)
    }
}

async fn measure(jobs: usize) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let running = Running::start(directory.path()).await?;
    let before = allocated().await;
    queue(directory.path(), jobs).await?;
    let each = allocated().await.saturating_sub(before) / jobs.max(1);
    println!("{each} bytes allocated for each");
    running.stop().await?;

    let began = Instant::now();
    let running = Running::start(directory.path()).await?;
    println!("started again in {:.2} s", began.elapsed().as_secs_f64());
    let cap = vat::cap_file::load(directory.path().join("secrets/pool-pool.cap"))?;
    let builder = MockBuilder::new();
    let worker = MockWorker::start_in(&cap, "w1", 1, &builder).await;
    builder.starts("image-0").await;
    println!(
        "a worker has its first job after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    drop(worker);
    running.stop().await
}

/// Queues jobs, each accepted before the client leaves.
async fn queue(directory: &Path, jobs: usize) -> Result<(), Box<dyn Error>> {
    let cap = vat::cap_file::load(directory.join("secrets/submission.cap"))?;
    let connected = Connected::to(&cap).await?;
    let client = Submission::from_client(connected.client.clone());
    let began = Instant::now();
    for first in (0..jobs).step_by(IN_FLIGHT) {
        let numbers = first..jobs.min(first + IN_FLIGHT);
        let requests: Vec<_> = numbers
            .map(|job| job_request(&format!("image-{job}")))
            .collect();
        try_join_all(
            requests
                .iter()
                .map(|request| client.submit_durable(request)),
        )
        .await?;
    }
    println!(
        "{jobs} jobs queued in {:.2} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Returns how many bytes are allocated once all is quiet.
async fn allocated() -> usize {
    tokio::time::sleep(SETTLING).await;
    ALLOCATED.load(Ordering::Relaxed)
}
