//! The state of a worker in a word, and why.

use visible::CompactElapsed;

use crate::admin::inactivity::why_inactive;
use crate::json::pools::Worker;
use crate::top::row::{Cells, Piece, Target, Tone};

/// Returns a worker's row in the list of its pool.
pub(super) fn cells(pool: &str, worker: &Worker) -> Cells {
    let plain = |text: &str| Piece::new(text, Tone::Plain);
    let (state, tone, why) = state(worker);
    let there = worker.connection.as_ref();
    let running = there.map_or("-".to_owned(), |there| {
        format!("{} of {}", there.running.len(), there.capacity)
    });
    let queued = there.map_or("-".to_owned(), |there| there.queued.to_string());
    Cells {
        cells: vec![
            plain(&worker.name),
            Piece::new(state, tone),
            plain(&running),
            plain(&queued),
            plain(&why),
        ],
        target: Some(Target::Worker {
            pool: pool.to_owned(),
            worker: worker.name.clone(),
        }),
    }
}

/// Returns the state of a worker, its tone, and why it is so.
fn state(worker: &Worker) -> (&'static str, Tone, String) {
    let pause = worker.pause.as_ref().map_or(String::new(), |pause| {
        let by = if pause.by.is_empty() {
            "an operator"
        } else {
            &pause.by
        };
        let since = CompactElapsed::from_seconds(pause.lasting_seconds);
        let note = if pause.note.is_empty() { "" } else { ": " };
        format!("by {by}, {since} ago{note}{}", pause.note)
    });
    let Some(there) = &worker.connection else {
        let left = worker.left_seconds.map(|ago| {
            let ago = CompactElapsed::from_seconds(ago);
            format!("left {ago} ago")
        });
        return match (worker.connected, worker.paused) {
            // For schedulers that report less.
            (true, true) => ("paused", Tone::Warning, pause),
            (true, false) => ("connected", Tone::Good, String::new()),
            (false, _) => ("away", Tone::Faint, left.unwrap_or_default()),
        };
    };
    match why_inactive(there) {
        Some(_) if there.silent_seconds > 1.0 && !worker.paused => {
            let silent = CompactElapsed::from_seconds(there.silent_seconds);
            ("unresponsive", Tone::Bad, format!("for {silent}"))
        }
        Some(_) if !pause.is_empty() => ("paused", Tone::Warning, pause),
        Some(why) => ("paused", Tone::Warning, why),
        None if there.running.len() >= usize::try_from(there.capacity).unwrap_or(usize::MAX) => {
            ("busy", Tone::Good, String::new())
        }
        None if there.running.is_empty() => ("idle", Tone::Plain, String::new()),
        None => ("ready", Tone::Good, String::new()),
    }
}
