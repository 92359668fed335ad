//! `ocluster bench`: how fast a scheduler is, ours or any that speaks the protocol.
//!
//! Mock workers and clients, each a vat of its own with its own key and connection, talk to a running scheduler that
//! is only known by its cap files. They do nothing that takes time, so what is measured is the scheduler and the path
//! to it. They run on threads of their own, because the scheduler should be what is busy.

mod idle;
mod jobs;
mod latency;
mod log;
mod mock;
mod queued;
mod report;
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use self::report::Report;
use self::rig::Rig;
use crate::capability_args::CapFile;
use cli::error::CommandError;
use cli::output::Format;

/// How long the scheduler has between scenarios, and before its memory is looked at.
const SETTLING: Duration = Duration::from_millis(500);

/// Measure how fast a scheduler is, with mock workers and clients
///
/// The pool should have no other workers, and nothing else to do.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to measure [default: everything]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// A client's cap file
    #[arg(long, value_name = "FILE")]
    submission: PathBuf,
    /// The pool's cap file
    #[arg(long, value_name = "FILE")]
    pool_cap: PathBuf,
    /// The pool's name
    #[arg(long, value_name = "NAME")]
    pool: String,
    /// The scheduler's process id, to measure its memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// How to print the results: text or json
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

/// How much of everything there is.
#[derive(clap::Args, Clone, Debug)]
struct Sizes {
    /// jobs: the number of clients
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// jobs: the number of workers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// jobs: how many jobs of one client are under way at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// jobs: how many jobs one worker takes at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    capacity: u32,
    /// jobs: how many jobs to run
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// latency: how many jobs to submit, one after the other
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// queued: how many jobs to queue
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    queued: u32,
    /// log: the size of the log
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    log_size: u32,
    /// log: the largest piece the worker gives [default: 256, and upstream's 10 with one call in flight]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=8192))]
    chunk: Option<u32>,
    /// log: how many calls the client has in flight
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    window: u32,
    /// idle: how many workers to connect
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    idle_workers: u32,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// How many jobs that do nothing are completed in a second.
    #[value(help = "jobs that do nothing, completed per second")]
    Jobs,
    /// How long a job takes from its client to a waiting worker.
    #[value(help = "the time from submitting a job to a waiting worker having it")]
    Latency,
    /// How much memory a queued job takes.
    #[value(help = "the scheduler's memory for a queued job (needs --pid)")]
    Queued,
    /// How fast a log gets from a worker to a client.
    #[value(help = "the speed of a log from a worker to a client")]
    Log,
    /// How fast workers connect, and how much memory they take.
    #[value(
        help = "workers that connect per second, and the scheduler's memory for one (with --pid)"
    )]
    Idle,
}

impl Args {
    fn scenarios(&self) -> Vec<Scenario> {
        match self.scenarios.as_slice() {
            [] => Scenario::value_variants()
                .iter()
                .copied()
                // Without a process there is no memory to look at.
                .filter(|scenario| *scenario != Scenario::Queued || self.pid.is_some())
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
        pool: args.pool,
        pid: args.pid,
    };
    rig::allow_many_files();
    let mut report = Report::default();
    for scenario in scenarios {
        cli::print::complain(&format!("Measuring {scenario:?}…\n"));
        match scenario {
            Scenario::Jobs => jobs::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Latency => latency::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Queued => queued::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Log => log::measure(&rig, &args.sizes, &mut report).await?,
            Scenario::Idle => idle::measure(&rig, &args.sizes, &mut report).await?,
        }
        // So that the scheduler has noticed that the mock workers are gone.
        tokio::time::sleep(SETTLING).await;
    }
    report.print(args.output)
}
