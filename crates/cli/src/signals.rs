//! Signals that end a program. The first asks it to shut down; the second ends it immediately.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;
use crate::interrupt::Interrupt;

/// The requests to end that arrive from now on. While it lives, they do not kill the process.
#[derive(Debug)]
pub struct Interrupts {
    signals: Vec<(Signal, Interrupt)>,
}

impl Interrupts {
    /// Starts to listen.
    ///
    /// # Errors
    /// If the system refuses to report signals.
    pub fn listen() -> Result<Self, CommandError> {
        let mut kinds = vec![
            (SignalKind::interrupt(), Interrupt::Interrupted),
            (SignalKind::terminate(), Interrupt::Terminated),
        ];
        // A program started with nohup outlives the terminal.
        if !is_ignored(SignalKind::hangup()) {
            kinds.push((SignalKind::hangup(), Interrupt::HungUp));
        }
        let listen = || {
            kinds
                .into_iter()
                .map(|(kind, interrupt)| Ok((signal(kind)?, interrupt)))
                .collect()
        };
        let signals: io::Result<_> = listen();
        let signals = signals.map_err(|error| {
            CommandError::internal(format_args!("cannot listen for signals: {error}"))
        })?;
        Ok(Self { signals })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Interrupt {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Interrupt> {
        for (signal, interrupt) in &mut self.signals {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(*interrupt);
            }
        }
        Poll::Pending
    }
}

/// Returns whether our parent process has set a signal to be ignored; false if that is unknown.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, kind)
}

fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let bit = kind.as_raw_value().saturating_sub(1);
    u32::try_from(bit)
        .ok()
        .and_then(|bit| mask.checked_shr(bit))
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_recognised() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SignalKind::hangup()));
        assert!(ignores(status, SignalKind::pipe()));
        assert!(!ignores(status, SignalKind::interrupt()));
        assert!(!ignores("", SignalKind::hangup()));
    }
}
