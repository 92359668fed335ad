//! `show`: the pools of a scheduler, the state of one, or of one worker.

use std::ffi::OsString;
use std::time::Duration;

use super::Common;
use super::service::{Service, failed};
use super::state;
use crate::error::CommandError;
use crate::human::{self, table};
use crate::json::pools::{InactiveReason, Job, OneWorker, Pool, Pools, Worker};
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
        Format::Text => print(&lines(&names)),
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
    let names: Vec<String> = workers.into_iter().map(|worker| worker.name).collect();
    print(&lines(&names))
}

fn lines(names: &[String]) -> String {
    names.iter().map(|name| printable(name) + "\n").collect()
}

async fn whole_pool(service: &Service, name: String, format: Format) -> Result<(), CommandError> {
    let pool = service.pool(&name);
    let state = pool.show().await.map_err(failed("PoolAdmin.show"))?;
    let (workers, queue) = state::pool(&pool).await?;
    let pool = Pool {
        pool: name,
        text: as_upstream(&state).trim().to_owned(),
        workers,
        queue,
    };
    let text = || format!("{}\n{}", pool.text, below(&pool.workers));
    format.print(text, || &pool)
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
    let answer = OneWorker { pool, worker };
    let state = match &answer.worker {
        Some(worker) if worker.paused => "Paused",
        Some(_) => "Running",
        None => "Not found",
    };
    let text = || match (&answer.worker, terse) {
        (_, true) => format!("{state}\n"),
        (Some(worker), false) => format!("{name}: {state}\n{}", details(worker)),
        (None, false) => format!("{name}: {state}\n"),
    };
    format.print(text, || &answer)
}

/// Returns the scheduler's state as far as upstream's goes. What ours says below that is for other admins: [`below`] says more.
fn as_upstream(state: &str) -> &str {
    let ours = ["\nrunning:\n", "\nnot answering:\n"];
    let end = ours.iter().filter_map(|section| state.find(section)).min();
    state.get(..end.unwrap_or(state.len())).unwrap_or(state)
}

/// Returns what workers run, and which pause themselves or do not answer: sections below those of upstream's scheduler, where
/// there is something.
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

/// Returns rows that end as [`job_row`] gives them, below the headings of their columns, of which `first` are the first.
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

/// Returns what is known about one worker, a line each, and then its jobs.
fn details(worker: &Worker) -> String {
    let mut rows = Vec::new();
    let mut say = |what: &str, text: String| rows.push(vec![format!("  {what}"), text]);
    match (&worker.connection, worker.left_seconds) {
        (Some(there), _) => {
            let address = printable(&there.address);
            let connected = duration(there.registered_seconds);
            say("connected", format!("for {connected}, from {address}"));
            say("takes jobs", takes_jobs(&there.inactive));
            for reason in &there.pause_reasons {
                say("problem", printable(&reason.problem));
                if !reason.advice.is_empty() {
                    say("what to do", printable(&reason.advice));
                }
            }
            say(
                "running",
                format!("{} of {}", there.running.len(), there.capacity),
            );
            say("in its queue", there.queued.to_string());
            say("finished", format!("{} since it connected", there.finished));
            // A moment is how long any answer takes.
            if there.silent_seconds >= 1.0 {
                say("silent", format!("for {}", duration(there.silent_seconds)));
            }
        }
        (None, Some(ago)) => say("connected", format!("no, it left {} ago", duration(ago))),
        // The rest is for schedulers that can tell.
        (None, None) if worker.connected => say("connected", "yes".to_owned()),
        (None, None) => say("connected", "no".to_owned()),
    }
    if let Some(count) = worker.registrations.filter(|&count| count != 1) {
        say(
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
        InactiveReason::AdminPause => "paused until it is unpaused",
        InactiveReason::TemporaryPause => "paused until it reconnects or is unpaused",
        InactiveReason::ShuttingDown => "about to be updated",
        InactiveReason::NotAnswering => "not answering",
        InactiveReason::Other => "a reason that this version does not know",
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
              takes jobs    no: paused until it is unpaused, paused by itself
              problem       Docker does not answer�
              what to do    start it
              running       1 of 4
              in its queue  3
              finished      17 since it connected
              silent        for 1m35s
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
