//! What is read rather than selected: a worker, a job by its number, a job with its log, and the keys.

use cluster_api::JobState;
use visible::CompactElapsed;

use crate::admin::{job_text, worker_details};
use crate::json::pools::Worker;
use crate::top::facts::Facts;
use crate::top::job::ShownJob;
use crate::top::row::{Piece, Row, Tone, filled, wrapped_pieces};

/// The columns of the names in the text about a job.
const JOB_INDENT: usize = 12;

/// The keys, and what they do.
const KEYS: &[(&str, &str)] = &[
    ("j, down", "next row, or one line down"),
    ("k, up", "row before, or one line up"),
    ("space, page down", "a page down"),
    ("page up", "a page up"),
    ("g, home", "beginning"),
    ("G, end", "end; a log is followed from there"),
    ("tab", "next list"),
    ("enter, right", "open the selected row"),
    ("esc, left", "back"),
    ("/", "show only rows with a text; in a log, search for it"),
    ("f", "follow a log: go to its end"),
    ("e", "go to what went wrong in a log"),
    ("t", "show when each line of a log was written, or not"),
    ("n, N", "next, previous place in a log"),
    ("q, Ctrl-C", "quit"),
];

pub(super) fn worker(facts: &Facts, pool: &str, name: &str, width: usize) -> Vec<Row> {
    let state = facts.pool(pool).and_then(|pool| pool.state.as_ref().ok());
    let worker = state.and_then(|state| state.workers.iter().find(|each| each.name == name));
    let Some(worker) = worker else {
        return vec![Row::plain(
            "  The scheduler does not know this worker any more.",
        )];
    };
    let mut rows = paragraph(&worker_details(worker), width);
    rows.push(Row::default());
    rows.extend(commands(pool, worker, width));
    rows
}

/// Returns the command lines that change a worker's state.
fn commands(pool: &str, worker: &Worker, width: usize) -> Vec<Row> {
    let command = match (worker.connected, worker.paused) {
        (_, true) => "unpause",
        (true, false) => "drain",
        (false, false) => "forget",
    };
    let line = format!("  ocluster-admin {command} -c CAP {pool} {}", worker.name);
    paragraph(&line, width)
}

pub(super) fn ticket(facts: &Facts, pool: &str, ticket: u64, width: usize) -> Vec<Row> {
    let state = facts.pool(pool).and_then(|pool| pool.state.as_ref().ok());
    let queue = state.and_then(|state| state.queue.as_ref());
    let queued = queue.and_then(|queue| queue.jobs.iter().find(|job| job.ticket == ticket));
    let runs = state
        .iter()
        .flat_map(|state| &state.workers)
        .find_map(|worker| {
            let mut jobs = worker.connection.iter().flat_map(|there| &there.running);
            Some((worker, jobs.find(|job| job.ticket == ticket)?))
        });
    let seconds = |seconds| CompactElapsed::from_seconds(seconds).to_string();
    let mut lines = match (queued, runs) {
        (Some(job), _) => vec![
            (
                "state",
                format!("queued for {}", seconds(job.waiting_seconds)),
            ),
            ("worker", job.worker.clone().unwrap_or("any".to_owned())),
            ("client", job.client.clone()),
            ("cache hint", job.cache_hint.clone()),
            ("urgent", if job.urgent { "yes" } else { "no" }.to_owned()),
        ],
        (None, Some((worker, job))) => vec![
            (
                "state",
                format!("running for {}", seconds(job.running_seconds)),
            ),
            ("worker", worker.name.clone()),
            ("client", job.client.clone()),
            ("cache hint", job.cache_hint.clone()),
            ("urgent", if job.urgent { "yes" } else { "no" }.to_owned()),
        ],
        (None, None) => {
            return vec![Row::plain(
                "  It has ended, or is not among the first in the queue.",
            )];
        }
    };
    if let Some(explanation) = queued.and_then(|job| job.explanation.as_ref()) {
        lines.insert(1, ("why", explanation.text.clone()));
        let forecast = explanation.forecast.as_ref().map(|forecast| {
            let (from, to) = (
                forecast.earliest_start_seconds,
                forecast.latest_start_seconds,
            );
            format!("in {} to {}", seconds(from), seconds(to))
        });
        lines.insert(2, ("expected start", forecast.unwrap_or_default()));
    }
    let cancel = format!("ocluster-admin cancel -c CAP {pool} {ticket}");
    lines.push(("to cancel it", cancel));
    let lines = lines.into_iter().filter(|(_, text)| !text.is_empty());
    lines
        .flat_map(|(name, text)| indented(&format!("  {name:16}{text}"), width, 18))
        .collect()
}

pub(super) fn job(facts: &Facts, width: usize, shows_times: bool) -> Vec<Row> {
    let Some(job) = &facts.job else {
        return Vec::new();
    };
    let mut rows = match &job.known {
        None => vec![Row::new("  Waiting for the scheduler.", Tone::Faint)],
        Some(Err(why)) => vec![Row::new(&format!("  Cannot show it: {why}"), Tone::Bad)],
        Some(Ok(known)) => indented(&job_text(known), width, JOB_INDENT),
    };
    rows.extend(cancellation(job, width));
    rows.push(Row::default());
    rows.extend(log(job, width, shows_times));
    rows
}

/// Returns the command line that cancels a job, if that can be done.
fn cancellation(job: &ShownJob, width: usize) -> Vec<Row> {
    match job.state() {
        Some(JobState::Queued | JobState::Running) => {
            let line = format!("cancel it:  ocluster-admin cancel -c CAP --job {}", job.id);
            indented(&line, width, JOB_INDENT)
        }
        _ => Vec::new(),
    }
}

fn log(job: &ShownJob, width: usize, shows_times: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(log) = job.log() {
        if log.is_cut() {
            rows.push(Row::new(
                "… the log before this is not shown …",
                Tone::Faint,
            ));
        }
        for (offset, line) in log.lines() {
            if shows_times {
                let time = Piece::new(&job.times().before(offset), Tone::Faint);
                let line = [&[time], line].concat();
                rows.extend(wrapped_pieces(&line, width));
            } else {
                rows.extend(wrapped_pieces(line, width));
            }
        }
        if log.has_ended() {
            rows.push(Row::new("… end of the log …", Tone::Faint));
        }
    }
    if let (Some(why), true) = (job.times().failed(), shows_times) {
        let text = format!("Cannot show when the log was written: {why}");
        rows.push(Row::new(&text, Tone::Warning));
    }
    if let Some(why) = &job.no_log {
        rows.push(Row::new(
            &format!("Cannot show the log: {why}"),
            Tone::Warning,
        ));
    }
    rows
}

pub(super) fn help() -> Vec<Row> {
    let row = |(keys, what): &(&str, &str)| Row::plain(&format!("  {keys:18}{what}"));
    KEYS.iter().map(row).collect()
}

/// Returns lines of text as rows.
fn paragraph(text: &str, width: usize) -> Vec<Row> {
    indented(text, width, 4)
}

/// Returns lines of text as rows; what does not fit into one is in others, indented by so many columns.
fn indented(text: &str, width: usize, indent: usize) -> Vec<Row> {
    let lines = text.lines().flat_map(|line| filled(line, width, indent));
    lines.map(|line| Row::plain(&line)).collect()
}
