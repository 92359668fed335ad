//! How long to wait for a program that waits for others.

use std::cell::Cell;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::survivors::{self, Work};

/// How often to check for progress, at most and at least.
const TICKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(5)];

/// The kernel's ticks, as it shows them to programs on all architectures that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// How much of a processor a program may use that only waits. Git asks every 50 ms whether something has come, which
/// takes a thousandth.
const IDLE_SHARE: f64 = 0.05;

/// How long to wait for a program. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Patience {
    /// While it prints nothing, neither reads nor writes anything, and hardly computes: what it waits for is not its
    /// own.
    pub(crate) silence: Option<Duration>,
    /// In all.
    pub(crate) total: Option<Duration>,
}

/// Which of them was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    Silence,
    Total,
}

impl Patience {
    /// Waits until a process group has taken too long, which may be never. `printed` counts what it has printed.
    pub(super) async fn exhausted(self, group: Pid, printed: &Cell<u64>) -> Exhausted {
        tokio::select! {
            () = silence(self.silence, group, printed) => Exhausted::Silence,
            () = passed(self.total) => Exhausted::Total,
        }
    }
}

async fn silence(limit: Option<Duration>, group: Pid, printed: &Cell<u64>) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let [least, most] = TICKS;
    let tick = (limit / 10).clamp(least, most);
    let mut last = (0, Work::default());
    let (mut checked, mut since) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(tick).await;
        // Without a thread to check with, only the output counts.
        let work = tokio::task::spawn_blocking(move || survivors::work(group)).await;
        let now = (printed.get(), work.unwrap_or_default());
        let elapsed = std::mem::replace(&mut checked, Instant::now()).elapsed();
        if is_busy(last, now, elapsed) {
            since = checked;
        } else if since.elapsed() >= limit {
            return;
        }
        last = now;
    }
}

/// Returns whether there was progress between two checks: more than a program's own polling.
fn is_busy(before: (u64, Work), now: (u64, Work), elapsed: Duration) -> bool {
    let bytes = |(printed, work): (u64, Work)| (printed, work.bytes);
    let ticks = now.1.ticks.abs_diff(before.1.ticks);
    let share = ticks as f64 / TICKS_PER_SECOND / elapsed.as_secs_f64();
    bytes(before) != bytes(now) || share > IDLE_SHARE
}

async fn passed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_computes_or_reads_does_not_wait() {
        let second = Duration::from_secs(1);
        let work = |bytes, ticks| (0, Work { bytes, ticks });
        assert!(!is_busy(work(7, 100), work(7, 101), second));
        assert!(is_busy(work(7, 100), work(7, 150), second));
        assert!(is_busy(work(7, 100), work(8, 100), second));
        assert!(is_busy(work(7, 100), (1, work(7, 100).1), second));
    }
}
