//! `show`: the pools of a scheduler, the state of one, or of one worker.

use std::ffi::OsString;
use std::time::Duration;

use super::Common;
use super::service::{Service, failed};
use super::state;
use crate::error::CommandError;
use crate::human::{self, counted, table};
use crate::json::pools::{Connection, InactiveReason, Job, OneWorker, Pool, Pools, Worker};
use crate::output::Format;
use crate::program::print;
use crate::quote::printable;

/// Show the pools, the state of one pool, or of one worker
///
/// The state of a pool begins as that of the OCaml scheduler does: the rightmost job of a queue is the next. Then follows
/// what each worker runs, for whom, and for how long.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Print names and states alone, for scripts
    #[arg(long)]
    terse: bool,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool = positionals.optional("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let format = common.format();
    match (pool, worker) {
        (None, _) => pools(&service, format).await,
        (Some(pool), None) if args.terse && format == Format::Text => names(&service, &pool).await,
        (Some(pool), None) => whole_pool(&service, pool, format).await,
        (Some(pool), Some(worker)) => one_worker(&service, pool, &worker, args.terse, format).await,
    }
}

async fn pools(service: &Service, format: Format) -> Result<(), CommandError> {
    let names = service.admin().pools().await;
    let names = names.map_err(failed("Admin.pools"))?;
    match format {
        Format::Text => print(
            &names
                .iter()
                .map(|name| format!("{name}\n"))
                .collect::<String>(),
        ),
        Format::Json => {
            let totals = names
                .into_iter()
                .map(async |name| state::totals(name.clone(), &service.pool(&name)).await);
            let pools = futures::future::try_join_all(totals).await?;
            format.print(String::new, || Pools { pools })
        }
    }
}

async fn names(service: &Service, pool: &str) -> Result<(), CommandError> {
    let workers = service.pool(pool).workers().await;
    let workers = workers.map_err(failed("PoolAdmin.workers"))?;
    let line = |worker: &cluster_api::WorkerInfo| format!("{}\n", worker.name);
    print(&workers.iter().map(line).collect::<String>())
}

async fn whole_pool(service: &Service, name: String, format: Format) -> Result<(), CommandError> {
    let pool = service.pool(&name);
    let shown = pool.show().await.map_err(failed("PoolAdmin.show"))?;
    let shown = shown.trim().to_owned();
    let (workers, queue) = state::pool(&pool).await?;
    let running = || match queue {
        Some(_) => format!("{shown}\n{}", running(&workers)),
        // A scheduler that cannot tell.
        None => format!("{shown}\n"),
    };
    match format {
        Format::Text => print(&running()),
        Format::Json => format.print(String::new, || Pool {
            pool: name,
            text: shown,
            workers,
            queue,
        }),
    }
}

async fn one_worker(
    service: &Service,
    pool: String,
    name: &str,
    terse: bool,
    format: Format,
) -> Result<(), CommandError> {
    let (workers, _) = state::pool(&service.pool(&pool)).await?;
    let worker = workers.into_iter().find(|worker| worker.name == name);
    let state = match &worker {
        Some(worker) if worker.paused => "Paused",
        Some(_) => "Running",
        None => "Not found",
    };
    let text = || match (&worker, terse) {
        (_, true) => format!("{state}\n"),
        (Some(worker), false) => format!("{name}: {state}\n{}", details(worker)),
        (None, false) => format!("{name}: {state}\n"),
    };
    match format {
        Format::Text => print(&text()),
        Format::Json => format.print(String::new, || OneWorker { pool, worker }),
    }
}

/// Returns what all workers run, as a section below those of the scheduler.
fn running(workers: &[Worker]) -> String {
    let mut rows = Vec::new();
    for worker in workers {
        for job in worker.connection.iter().flat_map(|there| &there.running) {
            let mut row = vec![format!("  {}", printable(&worker.name))];
            row.extend(job_row(job));
            rows.push(row);
        }
    }
    section("running:", "  WORKER", rows)
}

fn section(title: &str, first_column: &str, mut rows: Vec<Vec<String>>) -> String {
    if !rows.is_empty() {
        let columns = [first_column, "TICKET", "CLIENT", "FOR", "CACHE HINT"];
        rows.insert(0, columns.map(str::to_owned).to_vec());
    }
    format!("{title}\n{}", table(&rows))
}

fn job_row(job: &Job) -> [String; 4] {
    let hint = match job.cache_hint.as_str() {
        "" => "(no cache hint)".to_owned(),
        hint => printable(hint).to_string(),
    };
    let urgent = if job.urgent { " (urgent)" } else { "" };
    [
        job.ticket.to_string(),
        printable(&job.client).to_string(),
        duration(job.running_seconds),
        format!("{hint}{urgent}"),
    ]
}

/// Returns what is known about one worker, a line each.
fn details(worker: &Worker) -> String {
    let registrations = |count: u64| match count {
        1 => String::new(),
        count => format!(", registered {count} times since the scheduler started"),
    };
    match (worker, worker.registrations) {
        // A scheduler that cannot tell.
        (_, None) => match worker.connected {
            true => "  connected\n".to_owned(),
            false => "  disconnected\n".to_owned(),
        },
        (
            Worker {
                connection: Some(there),
                ..
            },
            Some(count),
        ) => {
            let connected = format!(
                "  connected for {} from {}{}\n",
                duration(there.registered_seconds),
                printable(&there.address),
                registrations(count)
            );
            connected + &connected_details(there)
        }
        (Worker { left_seconds, .. }, Some(count)) => match left_seconds {
            Some(ago) => format!(
                "  disconnected {} ago{}\n",
                duration(*ago),
                registrations(count)
            ),
            None => "  not seen since the scheduler started\n".to_owned(),
        },
    }
}

fn connected_details(there: &Connection) -> String {
    let takes = match there.inactive.as_slice() {
        [] => "yes".to_owned(),
        reasons => {
            let reasons: Vec<&str> = reasons.iter().copied().map(in_words).collect();
            format!("no, {}", reasons.join(", "))
        }
    };
    let silent = match there.silent_seconds {
        seconds if seconds < 1.0 => String::new(),
        seconds => format!("  has not answered for {}\n", duration(seconds)),
    };
    let rows = there.running.iter().map(|job| {
        let [ticket, client, duration, hint] = job_row(job);
        vec![format!("    {ticket}"), client, duration, hint]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        let columns = ["    TICKET", "CLIENT", "FOR", "CACHE HINT"];
        rows.insert(0, columns.map(str::to_owned).to_vec());
    }
    format!(
        "{silent}  takes jobs: {takes}\n  runs {} of {}, has finished {}, and {} more in its queue\n{}",
        there.running.len(),
        counted(usize::try_from(there.capacity).unwrap_or(usize::MAX), "job"),
        there.finished,
        there.queued,
        table(&rows)
    )
}

fn in_words(reason: InactiveReason) -> &'static str {
    match reason {
        InactiveReason::WorkerPause => "paused by itself",
        InactiveReason::AdminPause => "paused until it is unpaused",
        InactiveReason::TemporaryPause => "paused until it reconnects or is unpaused",
        InactiveReason::ShuttingDown => "about to be updated",
        InactiveReason::NotAnswering => "it does not answer",
        InactiveReason::Other => "for a reason that this version does not know",
    }
}

fn duration(seconds: f64) -> String {
    human::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
