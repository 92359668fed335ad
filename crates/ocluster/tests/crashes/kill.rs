//! How and when a program is stopped.

use std::time::Duration;

use rustix::process::Signal;

use crate::plan::Victim;
use crate::random::Random;

/// A signal that stops a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopSignal {
    /// SIGKILL: it does nothing any more.
    Kill,
    /// SIGTERM: it ends in order.
    Terminate,
    /// SIGINT: it ends in order, but without waiting for jobs.
    Interrupt,
}

impl StopSignal {
    pub(crate) const ALL: [Self; 3] = [Self::Kill, Self::Terminate, Self::Interrupt];

    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }

    /// Returns its number: that of a program that was killed by it.
    pub(crate) fn number(self) -> i32 {
        self.signal().as_raw()
    }

    pub(crate) fn draw(random: &mut Random) -> Self {
        random.pick(&Self::ALL)
    }
}

/// When a program is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// So long after the beginning of the round, or the start of the client's program.
    After(Duration),
    /// When so many of its lines have been shown of each job of the round, or by the client's program.
    Shown(usize),
}

/// A program is stopped, or the client's connection is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) moment: Moment,
    pub(crate) victim: Victim,
    pub(crate) signal: StopSignal,
    /// How long until it is started again.
    pub(crate) pause: Duration,
}

impl Kill {
    pub(crate) fn draw(random: &mut Random) -> Self {
        Self {
            moment: Moment::After(random.millis(900)),
            victim: random.pick(&[
                Victim::Scheduler,
                Victim::Scheduler,
                Victim::Worker(0),
                Victim::Worker(1),
                Victim::Connection,
            ]),
            pause: random.millis(300),
            signal: StopSignal::draw(random),
        }
    }
}
