//! Ctrl-C and its relatives. The first asks a program to end well; the second ends it at once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT, which Ctrl-C sends.
    Interrupted,
    /// SIGTERM, which service managers send.
    Terminated,
    /// SIGHUP: the terminal is gone.
    HungUp,
}

impl Interrupt {
    /// Returns the signal's number. With 128 added it is the exit code of a command that the signal ended.
    pub fn number(self) -> u8 {
        match self {
            Self::Interrupted => 2,
            Self::Terminated => 15,
            Self::HungUp => 1,
        }
    }
}

/// The requests to end that arrive from now on. While it lives, they do not kill the process.
#[derive(Debug)]
pub struct Interrupts {
    signals: [(Signal, Interrupt); 3],
}

impl Interrupts {
    /// Starts to listen.
    pub fn listen() -> Result<Self, CommandError> {
        let listen = || -> io::Result<Self> {
            Ok(Self {
                signals: [
                    (signal(SignalKind::interrupt())?, Interrupt::Interrupted),
                    (signal(SignalKind::terminate())?, Interrupt::Terminated),
                    (signal(SignalKind::hangup())?, Interrupt::HungUp),
                ],
            })
        };
        listen().map_err(|error| {
            CommandError::internal(format_args!("failed to listen for signals: {error}"))
        })
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
