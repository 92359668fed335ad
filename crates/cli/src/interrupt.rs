//! The signals that ask a program to end.

use std::time::Duration;

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
    /// Returns the signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "SIGINT",
            Self::Terminated => "SIGTERM",
            Self::HungUp => "SIGHUP",
        }
    }

    /// Returns the grace period of running jobs when this is the first signal; `None` if they end at once.
    ///
    /// Only SIGTERM, which service managers send, has one: after Ctrl-C a person waits at the terminal. A second
    /// signal, whatever it is, ends the program immediately.
    pub fn grace_period(self, configured: Duration) -> Option<Duration> {
        match self {
            Self::Terminated => Some(configured).filter(|period| !period.is_zero()),
            Self::Interrupted | Self::HungUp => None,
        }
    }

    /// Returns the signal's number. With 128 added it is the exit code of a command that the signal ended.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Interrupted => 2,
            Self::Terminated => 15,
            Self::HungUp => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_service_manager_grants_a_grace_period() {
        let minute = Duration::from_secs(60);
        assert_eq!(Interrupt::Terminated.grace_period(minute), Some(minute));
        assert_eq!(Interrupt::Terminated.grace_period(Duration::ZERO), None);
        assert_eq!(Interrupt::Interrupted.grace_period(minute), None);
        assert_eq!(Interrupt::HungUp.grace_period(minute), None);
    }
}
