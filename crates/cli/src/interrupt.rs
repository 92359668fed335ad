//! The signals that ask a program to end.

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

    /// Returns the signal's number. With 128 added it is the exit code of a command that the signal ended.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Interrupted => 2,
            Self::Terminated => 15,
            Self::HungUp => 1,
        }
    }
}
