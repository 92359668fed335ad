//! Measures a start with queued durable jobs: `cargo run --release -p cluster-scheduler --example restart [JOBS]`.
//!
//! It queues so many jobs (100,000 unless told otherwise), starts the scheduler again, and times that: until it
//! listens, and until a worker has its first job.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use cluster_api::{JobRequest, Submission, Unwatched};
use futures::future::try_join_all;
use testkit::{MockBuilder, MockWorker, Site, docker};

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

async fn measure(jobs: usize) -> Result<(), Box<dyn Error>> {
    let mut site = Site::start_at_socket().await;
    let connected = site.connect(&site.cap("submission.cap")).await;
    let client = Submission::from_client(connected.client.clone());
    let began = Instant::now();
    for first in (0..jobs).step_by(IN_FLIGHT) {
        let requests = (first..jobs.min(first + IN_FLIGHT)).map(request);
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
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
    drop((client, connected));
    site.stop().await;

    let began = Instant::now();
    site.start_again().await;
    println!("started again in {:.2} s", began.elapsed().as_secs_f64());
    let builder = MockBuilder::new();
    let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
    builder.starts("image-0").await;
    println!(
        "a worker has its first job after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn request(job: usize) -> Result<JobRequest, cluster_api::RpcError> {
    Ok(JobRequest {
        pool: "pool".to_owned(),
        description: docker(&format!("image-{job}")).encode()?,
        urgent: false,
        key: None,
        labels: Vec::new(),
        attempts: None,
        queue_limit: None,
        run_limit: None,
        silence_limit: None,
        unwatched: Unwatched::Continues,
    })
}
