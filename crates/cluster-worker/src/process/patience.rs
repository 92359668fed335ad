//! How long to wait for a program that waits for others.

use std::cell::Cell;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::survivors;

/// How often to look whether anything has happened, at most and at least.
const TICKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(5)];

/// How long to wait for a program. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Patience {
    /// While it prints nothing, and neither reads nor writes anything.
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
    let mut last = (0, 0);
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(tick).await;
        // Without a thread to look with, what is printed must do.
        let transferred = tokio::task::spawn_blocking(move || survivors::transferred(group)).await;
        let now = (printed.get(), transferred.unwrap_or_default());
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= limit {
            return;
        }
    }
}

async fn passed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
