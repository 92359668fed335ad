//! Measures a scheduler that prunes a long history: `cargo run --release -p cluster-scheduler --example pruning
//! [JOBS]`.
//!
//! It makes a history of so many jobs (1,000,000 unless told otherwise) that ended too long ago to be kept, and starts
//! a scheduler with it. While that removes them, it times how late the event loop is, and how long submissions take.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{JobRequest, Submission};
use cluster_scheduler::Scheduler;
use job_store::sqlite::{self, SqliteWriter};
use job_store::{Details, Sealer, Write, Writer as _};
use jobs::{Change, JobId, NewJob, Outcome, Terms, Verdict};
use pool::{CacheHint, ClientId, Time};
use testkit::{Connected, config_in, docker};
use tokio::time::sleep;

/// How many jobs are saved together when the history is made.
const GROUP: usize = 5_000;
/// For how long to watch.
const WATCHED: Duration = Duration::from_secs(10);
/// The resolution of the clock that wakes the tasks.
const TICK: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let jobs = match std::env::args().nth(1) {
        Some(jobs) => jobs.parse()?,
        None => 1_000_000,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(jobs))
}

async fn measure(jobs: u64) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let config = config_in(directory.path());
    std::fs::create_dir_all(&config.state_dir)?;
    let database = config.state_dir.join("jobs.db");
    let (mut writer, reader) = sqlite::open(&database)?;
    drop(reader);
    make_history(&mut writer, jobs)?;
    drop(writer);

    let scheduler = Rc::new(Scheduler::start(config).await?);
    let running = Rc::clone(&scheduler);
    let task = tokio::task::spawn_local(async move { running.run().await });
    let lateness = tokio::task::spawn_local(lateness());
    let mut submissions = submissions(directory.path()).await?;
    submissions.sort_by(f64::total_cmp);
    let late = lateness.await?;
    scheduler.shutdown();
    task.await?;

    let left: u64 = rusqlite::Connection::open(&database)?.query_row(
        "SELECT count(*) FROM jobs",
        [],
        |row| row.get(0),
    )?;
    let removed = (jobs + submissions.len() as u64).saturating_sub(left);
    println!("{removed} jobs removed in {} s", WATCHED.as_secs());
    println!("the event loop was {late:.1} ms late at most");
    let at = |part: usize| submissions.get(submissions.len() * part / 100);
    if let (Some(median), Some(p99), Some(slowest)) = (at(50), at(99), submissions.last()) {
        println!("a submission: p50 {median:.2} ms, p99 {p99:.2} ms, slowest {slowest:.2} ms");
    }
    Ok(())
}

/// Saves jobs that ended in 1970.
fn make_history(writer: &mut SqliteWriter, jobs: u64) -> Result<(), Box<dyn Error>> {
    let sealer = Sealer::new(b"a private key");
    for first in (0..jobs).step_by(GROUP) {
        let mut writes = Vec::with_capacity(2 * GROUP);
        for number in first..jobs.min(first + GROUP as u64) {
            let id = JobId::from_bits(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let new = NewJob {
                id,
                client: ClientId::new(&format!("client-{}", number % 7))?,
                pool: "pool".into(),
                hint: CacheHint::new("git/project"),
                urgent: false,
                key: None,
                terms: Terms::default(),
            };
            let details = Details {
                description: sealer.seal(id, &[b'x'; 600])?,
                kind: "docker".to_owned(),
                labels: Vec::new(),
            };
            let at = Time::from_secs(number.cast_signed());
            writes.push(Write::submitted(new, at, details));
            let outcome = Outcome::Done(Verdict::Succeeded("".into()));
            let job = id;
            writes.push(Write::new(Change::Ended { job, outcome, at }, None));
        }
        writer.commit(&writes)?;
    }
    Ok(())
}

/// Returns by how many milliseconds a task of the event loop was woken too late, at most.
async fn lateness() -> f64 {
    let began = Instant::now();
    let mut worst = Duration::ZERO;
    while began.elapsed() < WATCHED {
        let before = Instant::now();
        sleep(TICK).await;
        worst = worst.max(before.elapsed().saturating_sub(2 * TICK));
    }
    worst.as_secs_f64() * 1e3
}

/// Submits jobs, one at a time, and returns how many milliseconds each took.
async fn submissions(directory: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let cap = vat::cap_file::load(directory.join("secrets/submission.cap"))?;
    let connected = Connected::to(&cap).await?;
    let client = Submission::from_client(connected.client.clone());
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < WATCHED {
        let request = JobRequest::new("pool", docker("image").encode()?);
        let before = Instant::now();
        client.submit_durable(&request).await?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
        sleep(5 * TICK).await;
    }
    Ok(times)
}
