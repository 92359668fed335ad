//! `show`: the pools of a scheduler, the state of one, or of one worker.

mod job_table;
mod legend;
mod pool_text;
mod queue;
#[cfg(test)]
mod testing;
mod totals;
mod worker_text;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;
use visible::natural;

pub(crate) use self::worker_text::details as worker_details;
use super::Common;
use super::known::{self, Known};
use super::service::{About, Service};
use super::state::{self, State};
use crate::json::pools::{OneWorker, Pool, Pools};
use cli::appearance::is_dumb;
use cli::error::CommandError;
use cli::output::{self, Format};
use cli::print::{print, print_bytes};
use cli::quote::printable;
use cli::signals::Interrupts;

/// How many jobs of each queue are shown without `--all`.
const FIRST_JOBS: u32 = 10;

/// The interval of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Clears a terminal, and moves the cursor to its top.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Show all pools, one pool or one worker
///
/// Without POOL, lists the pools. On a terminal or with --all, the list has totals; otherwise it has only names, like
/// the list of the OCaml program.
///
/// The state of a pool begins in the format of the OCaml scheduler, with the first 10 jobs of each queue. The running
/// jobs follow, with their workers, clients and times.
///
/// CLIENT:HINT@TIME(COST) is a queued job; the rightmost is the next. TIME is when it would start if each client got
/// exactly its share (s: seconds, m: minutes; negative: overdue). COST is its expected length in seconds.
///
/// WORKER (SECONDS) is a worker, with the total expected length of the jobs in its queue.
///
/// CLIENT(RATE)+TIME is a client. RATE is its share of the pool, in jobs at once. With +TIME, it has used more than its
/// share, and its next job would start in TIME.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Print only names and states
    #[arg(long)]
    terse: bool,
    /// Show all queued jobs, not only the first 10 of each queue
    #[arg(long)]
    all: bool,
    /// Repeat every 2 seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool = positionals.optional("POOL")?;
    let worker = positionals.optional("WORKER")?;
    positionals.finish()?;
    let show = Query {
        service: Service::connect(&cap).await?,
        pool,
        worker,
        terse: args.terse,
        all: args.all,
        format: common.format(),
    };
    match args.watch {
        false => show.view().await?.print(show.format),
        true => watch(&show).await,
    }
}

/// Prints the view repeatedly: on a terminal in place, elsewhere as blocks with an empty line between them, and as JSON
/// with one object per line.
async fn watch(show: &Query) -> Result<(), CommandError> {
    let mut interrupts = Interrupts::listen()?;
    let on_terminal = std::io::stdout().is_terminal() && !is_dumb();
    let mut is_first = true;
    loop {
        let view = tokio::select! {
            view = show.view() => view?,
            interrupt = interrupts.next() => return Err(CommandError::interrupted(interrupt, "")),
        };
        match show.format {
            Format::Json => output::print_event(&view.json)?,
            Format::Text if on_terminal => {
                print_bytes(CLEAR)?;
                print(&view.text)?;
            }
            Format::Text if is_first => print(&view.text)?,
            Format::Text => print(&format!("\n{}", view.text))?,
        }
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            interrupt = interrupts.next() => return Err(CommandError::interrupted(interrupt, "")),
        }
    }
}

/// The operator's query.
struct Query {
    service: Service,
    pool: Option<String>,
    worker: Option<String>,
    terse: bool,
    all: bool,
    format: Format,
}

/// The answer, for people and for programs.
struct View {
    text: String,
    json: Json,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Json {
    Pools(Pools),
    Pool(Pool),
    Worker(Box<OneWorker>),
    /// Names are for scripts that read text.
    Nothing {},
}

impl View {
    fn print(self, format: Format) -> Result<(), CommandError> {
        let Self { text, json } = self;
        format.print(|| text, || json)
    }
}

impl Query {
    async fn view(&self) -> Result<View, CommandError> {
        match (&self.pool, &self.worker) {
            (None, _) => self.pools().await,
            (Some(pool), None) if self.terse && self.format == Format::Text => {
                self.names(pool).await
            }
            (Some(pool), None) => self.whole_pool(pool).await,
            (Some(pool), Some(worker)) => self.one_worker(pool, worker).await,
        }
    }

    /// Returns the error for a method that failed, with the pool, if any.
    async fn failed(&self, pool: Option<&str>, (method, error): state::Failure) -> CommandError {
        let about = pool.map(About::pool).unwrap_or_default();
        self.service.failed(method, about, error).await
    }

    async fn pools(&self) -> Result<View, CommandError> {
        let names = self.service.admin().pools().await;
        let names = match names {
            Ok(names) => names,
            Err(error) => return Err(self.failed(None, ("Admin.pools", error)).await),
        };
        let for_people = self.all || std::io::stdout().is_terminal();
        if self.format == Format::Text && (self.terse || !for_people) {
            return Ok(View::names(&names));
        }
        let totals = names.into_iter().map(async |name| {
            let totals = state::totals(name.clone(), &self.service.pool(&name)).await;
            match totals {
                Ok(totals) => Ok(totals),
                Err(failure) => Err(self.failed(Some(&name), failure).await),
            }
        });
        let pools = futures::future::try_join_all(totals).await?;
        Ok(View {
            text: totals::text(&pools),
            json: Json::Pools(Pools { pools }),
        })
    }

    async fn names(&self, pool: &str) -> Result<View, CommandError> {
        let workers = match self.service.pool(pool).workers().await {
            Ok(workers) => workers,
            Err(error) => {
                return Err(self.failed(Some(pool), ("PoolAdmin.workers", error)).await);
            }
        };
        let mut names: Vec<String> = workers.into_iter().map(|worker| worker.name).collect();
        names.sort_by(|a, b| natural(a, b));
        Ok(View::names(&names))
    }

    async fn whole_pool(&self, name: &str) -> Result<View, CommandError> {
        let pool = self.service.pool(name);
        let most = if self.all { u32::MAX } else { FIRST_JOBS };
        let State {
            workers,
            queue,
            text,
        } = match state::pool(&pool, most).await {
            Ok(state) => state,
            Err((_, error)) => {
                return Err(self.failed(Some(name), ("PoolAdmin.show", error)).await);
            }
        };
        let text = match text {
            Some(text) => text,
            None => match pool.show().await {
                Ok(text) => pool_text::upstream_part(&text).to_owned(),
                Err(error) => {
                    return Err(self.failed(Some(name), ("PoolAdmin.show", error)).await);
                }
            },
        };
        let pool = Pool {
            pool: name.to_owned(),
            text: text.trim().to_owned(),
            workers,
            queue,
        };
        Ok(View {
            text: pool_text::text(&pool),
            json: Json::Pool(pool),
        })
    }

    async fn one_worker(&self, pool: &str, name: &str) -> Result<View, CommandError> {
        let State { workers, .. } = match state::pool(&self.service.pool(pool), 0).await {
            Ok(state) => state,
            Err(failure) => return Err(self.failed(Some(pool), failure).await),
        };
        let names: Vec<String> = workers.iter().map(|worker| worker.name.clone()).collect();
        let Some(worker) = workers.into_iter().find(|worker| worker.name == name) else {
            return Err(CommandError::failed(format_args!(
                "cannot show worker \"{}\": pool \"{}\" has no such worker",
                printable(name),
                printable(pool)
            ))
            .hint(known::hint(Known::Workers, name, names)));
        };
        let state = if worker.paused { "Paused" } else { "Running" };
        let text = match self.terse {
            true => format!("{state}\n"),
            false => format!("{name}: {state}\n{}", worker_text::details(&worker)),
        };
        let pool = pool.to_owned();
        Ok(View {
            text,
            json: Json::Worker(Box::new(OneWorker { pool, worker })),
        })
    }
}

impl View {
    fn names(names: &[String]) -> Self {
        Self {
            text: names.iter().map(|name| printable(name) + "\n").collect(),
            json: Json::Nothing {},
        }
    }
}
