//! How much of this vat one peer may use, and all of them together.

use std::time::Duration;

use crate::KeepAlive;

/// What peers may do at most before a connection is closed.
///
/// The defaults are far above what a cluster needs; they are there so that a peer that is broken, or means harm, ends
/// only its own connection. A *stranger* is a peer that has not named any service that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message that is read, in bytes.
    pub message: usize,
    /// The largest message that is read from a stranger, in bytes; it asks for a service with it, and no more. While its
    /// calls that are not answered have more, or the answers that it has not read, nothing more is read from it.
    pub strangers_message: usize,
    /// The most bytes of messages that have not arrived whole, over all connections; beyond them, the connection that
    /// has most of them is closed.
    pub incomplete: usize,
    /// How long a message may take to arrive, unless [`Limits::INCOMING_PROGRESS`] bytes of it come in that time.
    pub incomplete_time: Duration,
    /// The most bytes that wait to be sent to a peer; beyond them, nothing more is read from it.
    pub unsent: usize,
    /// How long `unsent` may be exceeded, unless the peer reads [`Limits::PROGRESS`] bytes in that time.
    pub unsent_time: Duration,
    /// The most bytes that wait to be sent, over all connections: answers to what was asked before come also to a peer
    /// that does not read. Beyond them, the connection that has most of them is closed.
    pub unsent_total: usize,
    /// The most questions a peer may have asked without having said that it is done with the answer. A client has at most
    /// four for each job that it waits for.
    pub questions: usize,
    /// The same for a stranger. While half as many are not answered, nothing more is read from it.
    pub strangers_questions: usize,
    /// The most bytes that a peer's calls may have which are not answered.
    pub unanswered: usize,
    /// The most capabilities of a peer that are known here at a time. A worker has one for each job that it runs; of a
    /// scheduler, clients know more, and so [`DialOptions`](crate::DialOptions) allow more.
    pub imports: usize,
}

impl Limits {
    /// How long to wait for a peer that is slow: longer than for one that is silent, as a network that fails and comes back
    /// delays what is half sent by as much (see [`KeepAlive::survived_outage`]).
    const PATIENCE: Duration = KeepAlive::DEFAULT
        .unacknowledged
        .saturating_add(Duration::from_secs(30));

    /// The most segments a message may have: what other implementations accept, too.
    pub(crate) const SEGMENTS: usize = 512;

    /// The most capabilities in one message; those of a cluster have one.
    pub(crate) const MESSAGE_IMPORTS: usize = 64;

    /// How many calls may follow each other, each on the answer of the one before, which is not there yet. Clients ask for
    /// their service, submit, ask for the job, and for its result: four.
    pub(crate) const PIPELINE_DEPTH: u8 = 16;

    /// How many calls a peer may have finished before they were answered, and are not answered since.
    pub(crate) const CANCELLED: usize = 1_000_000;

    /// How many steps may lead from an answer to the capability in it that is called. In a cluster, it is one.
    pub(crate) const TRANSFORM: u32 = 16;

    /// How many promises may become each the next.
    pub(crate) const PROMISE_CHAIN: u8 = 16;

    /// How many services that do not exist a peer may ask for on one connection.
    pub(crate) const UNKNOWN_SERVICES: u32 = 5;

    /// How many bytes a peer must read for another [`Limits::unsent_time`].
    pub const PROGRESS: usize = 1024 * 1024;

    /// How many bytes must come from a peer for another [`Limits::incomplete_time`].
    pub const INCOMING_PROGRESS: u64 = 64 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 * 1024 * 1024,
            strangers_message: 16 * 1024,
            incomplete: 256 * 1024 * 1024,
            incomplete_time: Self::PATIENCE,
            unsent: 16 * 1024 * 1024,
            unsent_time: Self::PATIENCE,
            unsent_total: 1024 * 1024 * 1024,
            questions: 800_000,
            strangers_questions: 64,
            unanswered: 256 * 1024 * 1024,
            imports: 100_000,
        }
    }
}
