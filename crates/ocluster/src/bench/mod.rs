//! `ocluster bench`: measures a scheduler, ours or any other with the same protocol.
//!
//! Mock workers and clients, each a vat of its own with its own key and connection, talk to a running scheduler that
//! is only known by its cap files. They do nothing that takes time, so what is measured is the scheduler and the path
//! to it. They run on threads of their own, because the scheduler should be what is busy.

mod durable;
mod durable_latency;
mod durable_log;
mod idle;
mod jobs;
mod latency;
mod log;
mod pages;
mod queued;
mod report;
mod rig;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use vat::DialOptions;

use self::report::Report;
use self::rig::Rig;
use cli::capability_args::{AlsoArgs, CapFile};
use cli::error::CommandError;
use cli::output::Format;

/// The pause between scenarios, and before the scheduler's memory is measured.
const SETTLING: Duration = Duration::from_millis(500);

/// Measure a scheduler, with mock workers and clients
///
/// The pool should have no other workers and no other jobs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Scenarios to measure [default: all but pages and streams]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Cap file of a client
    #[arg(long, value_name = "FILE")]
    submission: PathBuf,
    /// Cap file of the pool
    #[arg(long, value_name = "FILE")]
    pool_cap: PathBuf,
    /// Cap file of the operator, for pages and streams
    #[arg(long, value_name = "FILE")]
    admin: Option<PathBuf>,
    #[command(flatten)]
    also: AlsoArgs,
    /// Name of the pool
    #[arg(long, value_name = "NAME")]
    pool: String,
    /// Process id of the scheduler, to measure its memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Output format: text for people, json for programs
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output: Format,
    #[command(flatten)]
    sizes: Sizes,
}

/// The sizes of the scenarios.
#[derive(clap::Args, Clone, Debug)]
struct Sizes {
    /// jobs, durable: number of clients
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// jobs, durable: number of workers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// jobs, durable: number of jobs that each client has in flight
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// jobs, durable: number of jobs that each worker runs at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    capacity: u32,
    /// jobs: number of jobs to run
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// latency, durable-latency: number of jobs to submit, one after the other
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// queued, durable, pages: number of jobs to queue
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    queued: u32,
    /// log, durable-log: size of the log, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    log_size: u32,
    /// log: size of the pieces, in KiB [default: 256; then 10 with one call in flight, as upstream]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=8192))]
    chunk: Option<u32>,
    /// log: number of calls that the client has in flight
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    window: u32,
    /// durable-log: number of clients that read the log, after one alone
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    readers: u32,
    /// idle: number of workers to connect
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    idle_workers: u32,
    /// pages: number of workers
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    page_workers: u32,
    /// pages: number of visitors
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    visitors: u32,
    /// pages: duration of each of nine measurements, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// streams: number of streams of events to open
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// How many jobs that do nothing are completed in a second.
    #[value(help = "jobs that do nothing, completed per second")]
    Jobs,
    /// How long a job takes from its client to a waiting worker.
    #[value(help = "time from the submission of a job until a waiting worker has it")]
    Latency,
    /// How much memory a queued job takes.
    #[value(help = "the scheduler's memory per queued job (needs --pid)")]
    Queued,
    /// How fast a log gets from a worker to a client.
    #[value(help = "throughput of a log from a worker to a client")]
    Log,
    /// How fast durable jobs are accepted and completed, and how much memory a queued one takes.
    #[value(
        help = "durable jobs, accepted and completed per second, and the scheduler's memory per queued one (with --pid)"
    )]
    Durable,
    /// How long a durable job takes from its client to a waiting worker.
    #[value(help = "time from the submission of a durable job until a waiting worker has it")]
    DurableLatency,
    /// How fast the log of a durable job gets from a worker to several clients.
    #[value(help = "throughput of the log of a durable job to one client and to several")]
    DurableLog,
    /// How fast workers connect, and how much memory they take.
    #[value(
        help = "workers connecting per second, and the scheduler's memory per worker (with --pid)"
    )]
    Idle,
    /// How long pages take, and what they cost the jobs.
    #[value(
        help = "time of pages while a pool is full, and jobs completed with visitors and without (needs --admin)"
    )]
    Pages,
    /// What streams of events cost.
    #[value(help = "streams of events at once, and their memory (needs --admin; with --pid)")]
    Streams,
}

impl Scenario {
    /// Returns whether upstream's scheduler cannot do it.
    fn is_of_durable_jobs(self) -> bool {
        matches!(
            self,
            Self::Durable | Self::DurableLatency | Self::DurableLog
        )
    }
}

impl Args {
    fn scenarios(&self) -> Vec<Scenario> {
        match self.scenarios.as_slice() {
            [] => Scenario::value_variants()
                .iter()
                .copied()
                .filter(|scenario| match scenario {
                    // Without a process id there is no memory to measure.
                    Scenario::Queued => self.pid.is_some(),
                    // They are for a scheduler that serves pages, and are many seconds long.
                    Scenario::Pages | Scenario::Streams => false,
                    _ => true,
                })
                .collect(),
            chosen => chosen.to_vec(),
        }
    }
}

/// Runs the scenarios, and prints their results.
pub(crate) async fn run(args: Args) -> Result<(), CommandError> {
    let scenarios = args.scenarios();
    let rig = Rig {
        submission: CapFile::existing(args.submission, "option '--submission'")?.load()?,
        registration: CapFile::existing(args.pool_cap, "option '--pool-cap'")?.load()?,
        admin: match args.admin {
            Some(admin) => Some(CapFile::existing(admin, "option '--admin'")?.load()?),
            None => None,
        },
        dial: DialOptions {
            also: args.also.also,
            ..DialOptions::default()
        },
        pool: args.pool,
        pid: args.pid,
    };
    let mut report = Report::default();
    let skips_durable = args.scenarios.is_empty() && !rig.has_durable_jobs().await?;
    for scenario in scenarios {
        if skips_durable && scenario.is_of_durable_jobs() {
            continue;
        }
        cli::print::print_error(&format!("Measuring {scenario:?}…\n"));
        match scenario {
            Scenario::Jobs => jobs::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Latency => latency::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Queued => queued::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Log => log::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Durable => durable::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::DurableLatency => {
                durable_latency::measure(&rig, &args.sizes, &mut report).await?;
            }
            Scenario::DurableLog => durable_log::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Idle => idle::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Pages => pages::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Streams => pages::measure_streams(&rig, &args.sizes, &mut report).await?,
        }
        // So that the scheduler has noticed that the mock workers are gone.
        tokio::time::sleep(SETTLING).await;
    }
    report.print(args.output)
}
