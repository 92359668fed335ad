//! `ocluster-scheduler`: a scheduler, from its options.

mod connection_args;
mod job_args;
mod limit_args;
mod log_store_args;
pub(crate) mod store_args;
mod successor;
mod web_args;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use cluster_scheduler::{
    FileName, KeySource, Scheduler, SchedulerConfig, Standby, StartError, StopReason, Transport,
};
use vat::Address;

use self::connection_args::ConnectionArgs;
use self::job_args::JobArgs;
use self::limit_args::LimitArgs;
use self::log_store_args::LogStoreArgs;
use self::store_args::StoreArgs;
use self::web_args::WebArgs;
use cli::error::CommandError;
use cli::health::HealthArgs;
use cli::interrupt::Interrupt;
use cli::logging::{LoggingArgs, Verbosity};
use cli::memory;
use cli::program;
use cli::quantities::seconds;
use cli::service_manager::ServiceManager;
use cli::signals::Interrupts;
use cli::state_dir;

const NAME: &str = "ocluster-scheduler";

/// The time limit for saving the state, long enough for a slow disk.
const SAVE_TIME_LIMIT: Duration = Duration::from_secs(60);

/// After which time a scheduler that does not lead has started, as a standby.
const SOON: Duration = Duration::from_millis(500);

/// Runs `ocluster-scheduler`.
pub fn main() -> ExitCode {
    program::run(NAME, run)
}

/// Manage pools of build workers
///
/// Cap files are written to the secrets directory: submission.cap for clients, pool-NAME.cap for the workers of each
/// pool, and admin.cap for ocluster-admin.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Private key file, created if missing; "" generates a new key at every start
    #[arg(long, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    capnp_secret_key_file: PathBuf,
    /// Address to listen on: tcp:HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    capnp_listen_address: Address,
    /// Public address, written into cap files [default: the listen address]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    capnp_public_address: Option<Address>,
    /// Disable encryption and peer authentication
    #[arg(long)]
    capnp_disable_tls: bool,
    /// Existing directory for cap files
    #[arg(long, value_name = "DIR", default_value = "./capnp-secrets")]
    secrets_dir: PathBuf,
    /// Directory for logs of jobs and the database, created if missing
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
    /// Names of the pools to serve
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    pools: Vec<String>,
    /// Clients to create if missing, each with a cap file submit-NAME.cap
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    default_clients: Vec<String>,
    /// Address of the unauthenticated metrics endpoint: PORT or ADDR:PORT
    ///
    /// A PORT alone is 127.0.0.1:PORT. The OCaml scheduler listens on all IPv4 addresses (0.0.0.0:PORT).
    #[arg(long, value_name = "PORT", value_parser = parse_http_address)]
    listen_prometheus: Option<SocketAddr>,
    /// Time limit for a worker to reconnect after an update, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u32).range(1..))]
    update_timeout: u32,
    /// Grace period for running jobs after SIGTERM, in seconds
    ///
    /// Queued jobs are not started meanwhile. Afterwards all connections are closed.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    shutdown_timeout: Duration,
    #[command(flatten)]
    health: HealthArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    jobs: JobArgs,
    #[command(flatten)]
    log_store: LogStoreArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    web: WebArgs,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    logging: LoggingArgs,
}

/// Parses an address, with upstream's words for what is wrong with it.
fn parse_address(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|error: vat::ParseAddressError| error.to_string())
}

/// Parses the address of an HTTP endpoint. Host names are refused, as one may have several addresses.
fn parse_http_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        "expected a port up to 65535, or an address and a port as in 127.0.0.1:9090 or [::]:9090"
            .to_owned()
    })
}

impl TryFrom<Args> for SchedulerConfig {
    type Error = CommandError;

    fn try_from(args: Args) -> Result<Self, CommandError> {
        let pools: BTreeSet<FileName> = names("--pools", args.pools)?.into_iter().collect();
        if pools.is_empty() {
            return Err(CommandError::usage(
                "option '--pools': at least one pool is required",
            ));
        }
        state_dir::check(&args.state_dir)?;
        if !args.secrets_dir.is_dir() {
            return Err(CommandError::usage(format_args!(
                "option '--secrets-dir': no '{}' directory",
                args.secrets_dir.display()
            ))
            .hint(format_args!(
                "create it with: mkdir -m 700 {}",
                args.secrets_dir.display()
            )));
        }
        let store = args.store.settings()?;
        Ok(Self {
            log_store: args.log_store.settings(&store)?,
            store,
            has_led: successor::is_successor(),
            state_dir: args.state_dir,
            secrets_dir: args.secrets_dir,
            key: key_source(args.capnp_secret_key_file),
            listen: args.capnp_listen_address,
            public: args.capnp_public_address,
            transport: if args.capnp_disable_tls {
                Transport::Plaintext
            } else {
                Transport::Tls
            },
            pools,
            default_clients: names("--default-clients", args.default_clients)?,
            metrics: args.listen_prometheus,
            update_timeout: Duration::from_secs(args.update_timeout.into()),
            limits: args.limits.into(),
            jobs: args.jobs.into(),
            connections: args.connections.into(),
            web: args.web.settings()?,
        })
    }
}

fn key_source(path: PathBuf) -> KeySource {
    if path.as_os_str().is_empty() {
        KeySource::Ephemeral
    } else {
        KeySource::File(path)
    }
}

/// Returns the names given by `option`, without empty ones and duplicates.
fn names(option: &str, names: Vec<String>) -> Result<Vec<FileName>, CommandError> {
    let mut kept = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let name = FileName::new(name)
            .map_err(|error| CommandError::usage(format_args!("option '{option}': {error}")))?;
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    Ok(kept)
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Info);
    let mut interrupts = Interrupts::listen()?;
    let grace_period = args.shutdown_timeout;
    let health = args.health.clone();
    let config = SchedulerConfig::try_from(args)?;
    let manager = ServiceManager::from_env();
    let standby = Standby::open(config).await.map_err(CommandError::caused)?;
    health.start();
    let waiting = standby.wait();
    let waiting = async {
        tokio::select! {
            biased;
            waited = waiting => waited,
            never = wait_visibly(&manager, &standby) => match never {},
        }
    };
    tokio::select! {
        biased;
        waited = waiting => waited.map_err(CommandError::caused)?,
        signal = interrupts.next() => {
            tracing::info!(target: "scheduler", "{}: shutting down", signal.name());
            standby.shut_down().await;
            return Ok(());
        }
    }
    let scheduler = match standby.lead().await {
        Ok(scheduler) => scheduler,
        Err(StartError::Stopped(reason)) => return Err(start_again(reason)),
        Err(error) => return Err(CommandError::caused(error)),
    };
    manager.ready(&scheduler.status().to_string());
    memory::release_periodically();
    let mut running = std::pin::pin!(scheduler.run());
    let first = tokio::select! {
        () = &mut running => return match scheduler.stop_reason() {
            Some(reason) => Err(start_again(reason)),
            None => Ok(()),
        },
        never = manager.report_periodically(|| scheduler.status().to_string()) => match never {},
        first = interrupts.next() => first,
    };
    manager.stopping(grace_period + SAVE_TIME_LIMIT, "shutting down");
    // It serves until the shutdown is complete.
    let ending = futures::future::join(shut_down(&scheduler, first, grace_period), running);
    tokio::select! {
        // If another scheduler leads meanwhile, nothing is left to do.
        ((), ()) = ending => Ok(()),
        again = interrupts.next() => Err(CommandError::interrupted(again, "Exiting without saving everything")),
    }
}

/// Becomes a standby: a scheduler that does not lead any more starts afresh, in the same process. Returns only if that
/// is impossible.
fn start_again(reason: StopReason) -> CommandError {
    tracing::warn!(target: "scheduler", "Stopped leading: {reason}; waiting as a standby");
    let error = successor::start();
    CommandError::failed(format_args!("cannot start this program again: {error}"))
}

/// Tells the service manager that this scheduler waits, once it is clear that it does not lead at once.
async fn wait_visibly(manager: &ServiceManager, standby: &Standby) -> Infallible {
    tokio::time::sleep(SOON).await;
    manager.ready(&standby.status());
    manager.report_periodically(|| standby.status()).await
}

/// Shuts a scheduler down, after the grace period of running jobs if they have one.
async fn shut_down(scheduler: &Scheduler, why: Interrupt, grace_period: Duration) {
    let signal = why.name();
    match why.grace_period(grace_period) {
        Some(period) => {
            tracing::info!(
                target: "scheduler",
                "{signal}: draining; waiting up to {} s for running jobs. Another signal ends this scheduler \
                 immediately",
                period.as_secs_f64()
            );
            scheduler.drain(period).await;
        }
        None => tracing::info!(target: "scheduler", "{signal}: shutting down"),
    }
    scheduler.shutdown();
}
