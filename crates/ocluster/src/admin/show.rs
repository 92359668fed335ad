//! `show`: the pools of a scheduler, the state of one, or of one worker.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;
use visible::natural;

use super::known::{self, Known};
use super::service::{About, Service};
use super::state::{self, State};
use super::{Common, legend, queue, totals};
use crate::json::pools::{InactiveReason, Job, OneWorker, Pool, Pools, Worker};
use cli::appearance::is_dumb;
use cli::error::CommandError;
use cli::human::{self, table};
use cli::output::{self, Format};
use cli::print::{print, print_bytes};
use cli::quote::printable;
use cli::signals::Interrupts;

/// How many jobs of each queue are shown without `--all`.
const FIRST: u32 = 10;

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
    let show = Show {
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
async fn watch(show: &Show) -> Result<(), CommandError> {
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

/// What an operator asked for.
struct Show {
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
    Worker(OneWorker),
    /// Names are for scripts that read text.
    Nothing {},
}

impl View {
    fn print(self, format: Format) -> Result<(), CommandError> {
        let Self { text, json } = self;
        format.print(|| text, || json)
    }
}

impl Show {
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
        let most = if self.all { u32::MAX } else { FIRST };
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
                Ok(text) => as_upstream(&text).to_owned(),
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
            text: whole_text(&pool),
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
            false => format!("{name}: {state}\n{}", details(&worker)),
        };
        let pool = pool.to_owned();
        Ok(View {
            text,
            json: Json::Worker(OneWorker { pool, worker }),
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

/// Returns a pool's state, then what upstream's scheduler does not report, then the meaning of the short forms.
fn whole_text(pool: &Pool) -> String {
    let workers: Vec<&Worker> = pool.workers.iter().collect();
    let queue = pool.queue.as_ref();
    format!(
        "{}\n{}{}{}{}{}",
        pool.text,
        below(&pool.workers),
        queue.map(queue::jobs).unwrap_or_default(),
        queue::pauses(&workers),
        queue::versions(&workers),
        queue
            .map(|queue| legend::text(&workers, queue))
            .unwrap_or_default()
    )
}

/// Returns the part of the scheduler's state that upstream's has too. [`below`] prints more than the rest of it.
fn as_upstream(state: &str) -> &str {
    let ours = [
        "\nrunning:\n",
        "\nnot answering:\n",
        "\nnot answering (",
        "\nunresponsive (",
    ];
    let end = ours.iter().filter_map(|section| state.find(section)).min();
    state.get(..end.unwrap_or(state.len())).unwrap_or(state)
}

/// Returns the sections below those of upstream's scheduler, without empty ones: running jobs, workers that paused
/// themselves, and workers that do not answer.
fn below(workers: &[Worker]) -> String {
    let connected = || {
        let connected = workers.iter().map(|worker| (worker, &worker.connection));
        connected.filter_map(|(worker, there)| Some((printable(&worker.name), there.as_ref()?)))
    };
    let mut jobs = Vec::new();
    let mut silent = Vec::new();
    let mut paused = Vec::new();
    for (name, there) in connected() {
        for job in &there.running {
            let mut row = vec![format!("  {name}")];
            row.extend(job_row("", job));
            jobs.push(row);
        }
        for reason in &there.pause_reasons {
            let problem = printable(&reason.problem);
            paused.push(vec![format!("  {name}"), problem]);
            if !reason.advice.is_empty() {
                let advice = printable(&reason.advice);
                paused.push(vec![String::new(), format!("-> {advice}")]);
            }
        }
        if there.inactive.contains(&InactiveReason::NotAnswering) {
            let since = duration(there.silent_seconds);
            let address = printable(&there.address);
            silent.push(vec![format!("  {name}"), format!("for {since}"), address]);
        }
    }
    let section = |title: &str, rows: String| match rows.is_empty() {
        true => rows,
        false => format!("{title}:\n{rows}"),
    };
    section("running", job_table(&["  WORKER", "TICKET"], jobs))
        + &section("paused by themselves", table(&paused))
        + &section("not answering", table(&silent))
}

/// Returns a table of rows that end with the columns of [`job_row`]. `first` are the headings of the columns before
/// those.
fn job_table(first: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if !rows.is_empty() {
        let columns = first.iter().chain(&["CLIENT", "FOR", "CACHE HINT"]);
        rows.insert(0, columns.map(|column| (*column).to_owned()).collect());
    }
    table(&rows)
}

fn job_row(indent: &str, job: &Job) -> Vec<String> {
    let hint = match job.cache_hint.as_str() {
        "" => "(no cache hint)".to_owned(),
        hint => printable(hint),
    };
    let urgent = if job.urgent { " (urgent)" } else { "" };
    vec![
        format!("{indent}{}", job.ticket),
        printable(&job.client),
        duration(job.running_seconds),
        format!("{hint}{urgent}"),
    ]
}

/// Returns what is known about one worker, one line each, and then its jobs.
fn details(worker: &Worker) -> String {
    let mut rows = Vec::new();
    let mut add = |what: &str, text: String| rows.push(vec![format!("  {what}"), text]);
    match (&worker.connection, worker.left_seconds) {
        (Some(there), _) => {
            let address = printable(&there.address);
            let connected = duration(there.registered_seconds);
            add("connected", format!("for {connected}, from {address}"));
            add("takes jobs", takes_jobs(&there.inactive));
            for reason in &there.pause_reasons {
                add("problem", printable(&reason.problem));
                if !reason.advice.is_empty() {
                    add("what to do", printable(&reason.advice));
                }
            }
            add(
                "running",
                format!("{} of {}", there.running.len(), there.capacity),
            );
            add("in its queue", there.queued.to_string());
            add("finished", format!("{} since it connected", there.finished));
            // Any answer takes a moment.
            if there.silent_seconds >= 1.0 {
                add("silent", format!("for {}", duration(there.silent_seconds)));
            }
        }
        (None, Some(ago)) => add("connected", format!("no, it left {} ago", duration(ago))),
        // For schedulers that report less.
        (None, None) if worker.connected => add("connected", "yes".to_owned()),
        (None, None) => add("connected", "no".to_owned()),
    }
    if let Some(version) = &worker.version {
        add("version", printable(version));
    }
    if let Some(pause) = &worker.pause {
        add("paused", queue::described(pause));
    }
    if let Some(count) = worker.registrations.filter(|&count| count != 1) {
        add(
            "registered",
            format!("{count} times since the scheduler started"),
        );
    }
    let jobs = worker.connection.iter().flat_map(|there| &there.running);
    let jobs: Vec<Vec<String>> = jobs.map(|job| job_row("    ", job)).collect();
    table(&rows) + &job_table(&["    TICKET"], jobs)
}

fn takes_jobs(inactive: &[InactiveReason]) -> String {
    match inactive {
        [] => "yes".to_owned(),
        reasons => {
            let reasons: Vec<&str> = reasons.iter().copied().map(in_words).collect();
            format!("no: {}", reasons.join(", "))
        }
    }
}

pub(super) fn in_words(reason: InactiveReason) -> &'static str {
    match reason {
        InactiveReason::WorkerPause => "paused by itself",
        InactiveReason::AdminPause => "paused until unpaused",
        InactiveReason::TemporaryPause => "paused until it reconnects or is unpaused",
        InactiveReason::ShuttingDown => "about to be updated",
        InactiveReason::NotAnswering => "not answering",
        InactiveReason::Other => "a reason unknown to this version",
    }
}

fn duration(seconds: f64) -> String {
    human::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::json::pools::{Connection, PauseReason};

    fn worker(name: &str, inactive: &[InactiveReason], hints: &[&str]) -> Worker {
        let jobs = (7..).zip(hints).map(|(ticket, hint)| Job {
            ticket,
            client: "alice".to_owned(),
            cache_hint: (*hint).to_owned(),
            urgent: hint.is_empty(),
            running_seconds: 130.0,
        });
        Worker {
            name: name.to_owned(),
            connected: true,
            paused: false,
            registrations: Some(2),
            left_seconds: None,
            version: Some("0.1.0".to_owned()),
            pause: None,
            connection: Some(Connection {
                registered_seconds: 273_600.0,
                address: "10.0.0.1:40000".to_owned(),
                capacity: 4,
                inactive: inactive.to_vec(),
                silent_seconds: 95.0,
                queued: 3,
                workload_seconds: 30.0,
                finished: 17,
                running: jobs.collect(),
                pause_reasons: if inactive.contains(&InactiveReason::WorkerPause) {
                    vec![PauseReason {
                        kind: "docker".to_owned(),
                        problem: "Docker does not answer\u{1b}".to_owned(),
                        advice: "start it".to_owned(),
                    }]
                } else {
                    Vec::new()
                },
            }),
        }
    }

    #[test]
    fn what_upstream_does_not_say_is_below() {
        let workers = [
            worker("w1", &[], &["long", ""]),
            worker(
                "worker-2",
                &[InactiveReason::NotAnswering],
                &["a\u{1b}[31mb"],
            ),
            worker("w3", &[InactiveReason::WorkerPause], &[]),
        ];
        expect![[r#"
            running:
              WORKER    TICKET  CLIENT  FOR    CACHE HINT
              w1        7       alice   2m10s  long
              w1        8       alice   2m10s  (no cache hint) (urgent)
              worker-2  7       alice   2m10s  a�[31mb
            paused by themselves:
              w3  Docker does not answer�
                  -> start it
            not answering:
              worker-2  for 1m35s  10.0.0.1:40000
        "#]]
        .assert_eq(&below(&workers));
        assert_eq!(below(&[worker("w1", &[], &[])]), "");
    }

    #[test]
    fn a_worker_has_a_line_for_each_thing_and_then_its_jobs() {
        let reasons = [InactiveReason::AdminPause, InactiveReason::WorkerPause];
        // The name stands for the line above, which is not indented.
        let named = |worker: &Worker| format!("w1\n{}", details(worker));
        expect![[r#"
            w1
              connected     for 3d04h, from 10.0.0.1:40000
              takes jobs    no: paused until unpaused, paused by itself
              problem       Docker does not answer�
              what to do    start it
              running       1 of 4
              in its queue  3
              finished      17 since it connected
              silent        for 1m35s
              version       0.1.0
              registered    2 times since the scheduler started
                TICKET  CLIENT  FOR    CACHE HINT
                7       alice   2m10s  long
        "#]]
        .assert_eq(&named(&worker("w1", &reasons, &["long"])));
        let left = Worker {
            connected: false,
            left_seconds: Some(61.0),
            connection: None,
            ..worker("w1", &[], &[])
        };
        expect![[r#"
            w1
              connected   no, it left 1m01s ago
              version     0.1.0
              registered  2 times since the scheduler started
        "#]]
        .assert_eq(&named(&left));
    }

    #[test]
    fn the_schedulers_own_words_for_the_same_are_left_out() {
        let upstream = "capacity: 1\nclients: alice(1)";
        for ours in [
            "",
            "\nrunning:\n  w1: alice:hint for 3s (ticket 1)\nnot answering:\n  w1: for 40s\n",
            "\nnot answering:\n  w1: for 40s\n",
        ] {
            assert_eq!(as_upstream(&format!("{upstream}{ours}")), upstream);
        }
    }
}
