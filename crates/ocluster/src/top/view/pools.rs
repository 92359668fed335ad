//! The list of pools, and the jobs that did not succeed lately.

use visible::{CompactElapsed, counted};

use super::{heading, jobs};
use crate::admin::state;
use crate::json::pools::Totals;
use crate::top::facts::Facts;
use crate::top::report::Pool;
use crate::top::row::{Cells, Piece, Row, Target, Tone, table};

/// The columns of a bar of running jobs.
const BAR: usize = 10;

pub(super) fn rows(facts: &Facts, width: usize) -> Vec<Row> {
    let Some(pools) = &facts.pools else {
        return vec![Row::new("  Waiting for the scheduler.", Tone::Faint)];
    };
    if pools.is_empty() {
        return vec![Row::plain("  The scheduler has no pools.")];
    }
    let columns = ["POOL", "RUNNING", "", "QUEUED", "LONGEST WAIT", "WORKERS"];
    let mut rows = table(&columns, pools.iter().map(cells).collect(), width);
    let problems: Vec<Row> = pools.iter().filter_map(problem).collect();
    if !problems.is_empty() {
        rows.push(Row::default());
        rows.extend(problems);
    }
    let failed = facts.jobs.as_ref().filter(|jobs| jobs.pool.is_none());
    if let Some(jobs) = failed.filter(|jobs| !jobs.ended.is_empty()) {
        rows.extend(heading("Jobs that did not succeed"));
        rows.extend(jobs::table_of(&jobs.ended, width));
    }
    rows
}

fn cells(pool: &Pool) -> Cells {
    let name = Piece::new(&pool.name, Tone::Plain);
    let target = Some(Target::Pool(pool.name.clone()));
    let totals = match &pool.state {
        Ok(state) => state::totals_of(pool.name.clone(), state),
        Err(why) => {
            let nothing = || Piece::new("-", Tone::Faint);
            let why = Piece::new(&format!("cannot be read: {why}"), Tone::Bad);
            return Cells {
                cells: vec![name, nothing(), nothing(), nothing(), nothing(), why],
                target,
            };
        }
    };
    let known = |value: Option<String>| match value {
        Some(text) => Piece::new(&text, Tone::Plain),
        None => Piece::new("-", Tone::Faint),
    };
    let busy = totals.running.zip(totals.capacity);
    let wait = totals.oldest_wait_seconds.filter(|wait| *wait > 0.0);
    Cells {
        cells: vec![
            name,
            known(busy.map(|(running, capacity)| format!("{running} of {capacity}"))),
            Piece::new(
                &busy.map_or(String::new(), |(running, capacity)| bar(running, capacity)),
                Tone::Good,
            ),
            known(totals.queued.map(|queued| queued.to_string())),
            known(wait.map(|wait| CompactElapsed::from_seconds(wait).to_string())),
            workers(&totals),
        ],
        target,
    }
}

/// Returns how much of the capacity is used.
fn bar(running: usize, capacity: u64) -> String {
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX).max(1);
    let full = running.min(capacity).saturating_mul(BAR).div_ceil(capacity);
    "█".repeat(full) + &"░".repeat(BAR - full.min(BAR))
}

/// Returns how many workers are there.
fn workers(totals: &Totals) -> Piece {
    let Totals {
        workers,
        connected,
        inactive,
        ..
    } = totals;
    let (text, tone) = match (workers, inactive) {
        (0, _) => ("none".to_owned(), Tone::Warning),
        (_, 0) => (format!("{connected} of {workers}"), Tone::Plain),
        _ => (
            format!("{connected} of {workers}, {inactive} inactive"),
            Tone::Plain,
        ),
    };
    Piece::new(
        &text,
        if *connected == *inactive {
            Tone::Warning
        } else {
            tone
        },
    )
}

/// Returns what is wrong with a pool: jobs wait, and no worker takes them.
fn problem(pool: &Pool) -> Option<Row> {
    let state = pool.state.as_ref().ok()?;
    let totals = state::totals_of(pool.name.clone(), state);
    let waiting = totals.queued.filter(|queued| *queued > 0)?;
    let verb = if waiting == 1 { "waits" } else { "wait" };
    let why = match (totals.workers, totals.connected) {
        (0, _) => "no worker has ever connected",
        (_, 0) => "no worker is connected",
        (_, connected) if connected == totals.inactive => "no worker takes jobs",
        _ => return None,
    };
    let waiting = counted(waiting, "job");
    let text = format!("  {}: {waiting} {verb}, and {why}", pool.name);
    Some(Row::new(&text, Tone::Bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_empty_only_if_nothing_runs() {
        assert_eq!(bar(0, 4), "░░░░░░░░░░");
        assert_eq!(bar(1, 100), "█░░░░░░░░░");
        assert_eq!(bar(5, 10), "█████░░░░░");
        assert_eq!(bar(9, 4), "██████████");
        assert_eq!(bar(1, 0), "██████████");
    }
}
