//! The time limits of a program that waits for servers.

use std::cell::Cell;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::survivors::{self, Work};

/// The shortest and the longest interval between two checks for progress.
const CHECK_INTERVALS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(5)];

/// The kernel's ticks in the processor times that it shows to programs: the same on all supported architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// The share of a processor that a waiting program may use. Git polls every 50 ms, which takes a thousandth.
const IDLE_SHARE: f64 = 0.05;

/// The time limits of a program. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimeLimits {
    /// How long it may print nothing, read and write nothing, and use almost no processor time: then it waits for
    /// something that does not come.
    pub(crate) silence: Option<Duration>,
    /// How long it may run.
    pub(crate) total: Option<Duration>,
}

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Silence,
    Total,
}

impl TimeLimits {
    /// Waits until a process group exceeds a limit. This may never end. `printed` is the number of bytes that it has
    /// printed.
    pub(super) async fn exceeded(self, group: Pid, printed: &Cell<u64>) -> Exceeded {
        tokio::select! {
            () = silence(self.silence, group, printed) => Exceeded::Silence,
            () = passed(self.total) => Exceeded::Total,
        }
    }
}

async fn silence(limit: Option<Duration>, group: Pid, printed: &Cell<u64>) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let [shortest, longest] = CHECK_INTERVALS;
    let interval = (limit / 10).clamp(shortest, longest);
    let mut last = (0, Work::default());
    let (mut checked, mut since) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(interval).await;
        // If no thread can be started, only the output counts.
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

/// Returns whether there was progress between two checks, and not only polling.
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
    fn a_program_that_computes_or_reads_is_busy() {
        let second = Duration::from_secs(1);
        let work = |bytes, ticks| (0, Work { bytes, ticks });
        assert!(!is_busy(work(7, 100), work(7, 101), second));
        assert!(is_busy(work(7, 100), work(7, 150), second));
        assert!(is_busy(work(7, 100), work(8, 100), second));
        assert!(is_busy(work(7, 100), (1, work(7, 100).1), second));
    }
}
