//! A pool: what runs, what waits, its workers, and what has ended.

use visible::{CompactElapsed, counted};

use super::{heading, jobs, worker};
use crate::admin::state::State;
use crate::json::pools::{Job, Queue, QueuedJob};
use crate::top::facts::Facts;
use crate::top::report::{Jobs, Pool};
use crate::top::row::{Cells, Piece, Row, Target, Tone, table};

pub(super) fn rows(facts: &Facts, name: &str, width: usize) -> Vec<Row> {
    let Some(pool) = facts.pool(name) else {
        return vec![Row::plain("  The scheduler has no such pool any more.")];
    };
    let state = match &pool.state {
        Ok(state) => state,
        Err(why) => {
            return vec![Row::new(
                &format!("  Cannot read its state: {why}"),
                Tone::Bad,
            )];
        }
    };
    let history = facts.jobs.as_ref();
    let history = history.filter(|jobs| jobs.pool.as_deref() == Some(name));
    let mut rows = running(name, state, history, width);
    rows.extend(
        state
            .queue
            .iter()
            .flat_map(|queue| queued(pool, queue, width)),
    );
    rows.extend(workers(name, state, width));
    if let Some(history) = history.filter(|history| !history.ended.is_empty()) {
        rows.extend(heading("Ended"));
        rows.extend(jobs::table_of(&history.ended, width));
    }
    // The first heading needs no empty line before it.
    rows.into_iter().skip(1).collect()
}

/// Returns the running jobs: from the history, where they have ids, or else as the workers report them.
fn running(pool: &str, state: &State, history: Option<&Jobs>, width: usize) -> Vec<Row> {
    let of_workers: Vec<Cells> = state
        .workers
        .iter()
        .flat_map(|worker| {
            let jobs = worker.connection.iter().flat_map(|there| &there.running);
            jobs.map(|job| running_cells(pool, &worker.name, job))
        })
        .collect();
    let mut rows = heading(&format!("Running: {}", of_workers.len())).to_vec();
    match history {
        Some(history) if !history.running.is_empty() => {
            rows.extend(jobs::table_of(&history.running, width));
        }
        _ if of_workers.is_empty() => rows.push(Row::new("  No job runs.", Tone::Faint)),
        _ => {
            let columns = ["NUMBER", "WORKER", "CLIENT", "FOR", "HINT"];
            rows.extend(table(&columns, of_workers, width));
        }
    }
    rows
}

fn running_cells(pool: &str, worker: &str, job: &Job) -> Cells {
    let plain = |text: &str| Piece::new(text, Tone::Plain);
    Cells {
        cells: vec![
            plain(&job.ticket.to_string()),
            plain(worker),
            plain(&job.client),
            plain(&CompactElapsed::from_seconds(job.running_seconds).to_string()),
            plain(&job.cache_hint),
        ],
        target: Some(Target::Ticket {
            pool: pool.to_owned(),
            ticket: job.ticket,
        }),
    }
}

fn queued(pool: &Pool, queue: &Queue, width: usize) -> Vec<Row> {
    let all = queue.jobs.len() + usize::try_from(queue.more).unwrap_or(usize::MAX);
    let urgent: u32 = queue.clients.iter().map(|client| client.urgent).sum();
    let urgent = match urgent {
        0 => String::new(),
        urgent => format!(", {urgent} urgent"),
    };
    let mut rows = heading(&format!("Queue: {all}{urgent}")).to_vec();
    if queue.jobs.is_empty() {
        rows.push(Row::new("  No job waits.", Tone::Faint));
        return rows;
    }
    let columns = ["NUMBER", "CLIENT", "WAITING", "HINT", "WHY"];
    let lines = queue.jobs.iter().map(|job| queued_cells(pool, job));
    rows.extend(table(&columns, lines.collect(), width));
    if queue.more > 0 {
        let more = format!("  and {} after these", counted(queue.more, "job"));
        rows.push(Row::new(&more, Tone::Faint));
    }
    rows
}

fn queued_cells(pool: &Pool, job: &QueuedJob) -> Cells {
    let plain = |text: &str| Piece::new(text, Tone::Plain);
    let hint = match job.urgent {
        true => format!("urgent {}", job.cache_hint),
        false => job.cache_hint.clone(),
    };
    let why = match (&job.explanation, &job.worker) {
        (Some(explanation), _) => explanation.text.clone(),
        (None, Some(worker)) => format!("for {worker}"),
        (None, None) => String::new(),
    };
    Cells {
        cells: vec![
            plain(&job.ticket.to_string()),
            plain(&job.client),
            plain(&CompactElapsed::from_seconds(job.waiting_seconds).to_string()),
            plain(&hint),
            plain(&why),
        ],
        target: Some(match &job.id {
            Some(id) => Target::Job(id.clone()),
            None => Target::Ticket {
                pool: pool.name.clone(),
                ticket: job.ticket,
            },
        }),
    }
}

fn workers(pool: &str, state: &State, width: usize) -> Vec<Row> {
    let mut rows = heading(&format!("Workers: {}", state.workers.len())).to_vec();
    if state.workers.is_empty() {
        let advice = "  No worker has ever connected; start one with the cap file of this pool.";
        rows.push(Row::new(advice, Tone::Warning));
        return rows;
    }
    let columns = ["WORKER", "STATE", "RUNNING", "QUEUED", "WHY"];
    let lines = state.workers.iter().map(|each| worker::cells(pool, each));
    rows.extend(table(&columns, lines.collect(), width));
    rows
}
