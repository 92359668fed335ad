//! How much of this vat one peer may use.

use std::time::Duration;

/// What a peer may do at most before its connection is closed.
///
/// The defaults are far above what a cluster needs; they are there so that a peer that is broken, or means harm, ends
/// only its own connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message that is read, in bytes.
    pub message: usize,
    /// The most bytes that wait to be sent to a peer; beyond them, nothing more is read from it.
    pub unsent: usize,
    /// How long `unsent` may be exceeded, unless the peer reads [`Limits::PROGRESS`] bytes in that time.
    pub unsent_time: Duration,
    /// The most questions a peer may have asked without having said that it is done with the answer. A client has a
    /// few for each job that it waits for.
    pub questions: usize,
    /// The same for a peer that has not named any service that exists.
    pub strangers_questions: usize,
    /// The most capabilities of a peer that are known here at a time.
    pub imports: usize,
}

impl Limits {
    /// The most segments a message may have: what other implementations accept, too.
    pub(crate) const SEGMENTS: usize = 512;

    /// The most capabilities in one message.
    pub(crate) const MESSAGE_IMPORTS: usize = 10_000;

    /// How many bytes a peer must read for another [`Limits::unsent_time`].
    pub const PROGRESS: usize = 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 * 1024 * 1024,
            unsent: 16 * 1024 * 1024,
            unsent_time: Duration::from_secs(60),
            questions: 10_000_000,
            strangers_questions: 1000,
            imports: 10_000_000,
        }
    }
}
