//! How much of this vat one peer may use, and all peers together.

use std::time::Duration;

use crate::KeepAlive;

/// Limits above which a connection is closed.
///
/// The defaults are far above what a cluster needs. They make sure that a broken or hostile peer loses only its own
/// connection. A peer is *unauthenticated* until it has named a service that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in bytes.
    pub message: usize,
    /// The largest message of an unauthenticated peer, in bytes: it needs one to ask for a service, and no more.
    /// Nothing is read from such a peer while its unanswered calls, or its unread answers, are larger than this.
    pub unauthenticated_message: usize,
    /// The most memory for incomplete messages, in bytes, over all connections. Above it, the connection with the most
    /// of it is closed.
    pub incomplete: usize,
    /// How long a message may take to arrive, unless [`Limits::INCOMING_PROGRESS`] bytes of it arrive in that time.
    pub incomplete_time: Duration,
    /// The most unsent data for one peer, in bytes. Above it, nothing is read from the peer.
    pub unsent: usize,
    /// How long `unsent` may be exceeded, unless the peer reads [`Limits::PROGRESS`] bytes in that time.
    pub unsent_time: Duration,
    /// The most unsent data over all connections, in bytes: a peer that does not read still gets the answers to its
    /// earlier questions. Above it, the connection with the most unsent data is closed.
    pub unsent_total: usize,
    /// The most questions that a peer may have asked and not finished. A client has up to four for each of its jobs.
    pub questions: usize,
    /// The same for an unauthenticated peer. While half as many are unanswered, nothing is read from it.
    pub unauthenticated_questions: usize,
    /// The most data in unanswered calls of one peer, in bytes.
    pub unanswered: usize,
    /// The most capabilities of one peer that are held here at a time. A worker has one for each running job. A client
    /// holds more of its scheduler, and so [`DialOptions`](crate::DialOptions) allow more.
    pub imports: usize,
}

impl Limits {
    /// How long to wait for a slow peer. This is longer than for an unresponsive one, as an outage of the network
    /// delays messages by as much (see [`KeepAlive::survived_outage`]).
    const SLOW_PEER_LIMIT: Duration = KeepAlive::DEFAULT
        .unacknowledged
        .saturating_add(Duration::from_secs(30));

    /// The most segments of a message. Other implementations have the same limit.
    pub(crate) const SEGMENTS: usize = 512;

    /// The most capabilities in one message. Messages in a cluster have one.
    pub(crate) const MESSAGE_IMPORTS: usize = 64;

    /// The longest chain of calls, each on the unfinished answer of the one before. Clients have four: for their
    /// service, the submission, the job and its result.
    pub(crate) const PIPELINE_DEPTH: u8 = 16;

    /// How many calls a peer may have finished that are still unanswered.
    pub(crate) const CANCELLED: usize = 1_000_000;

    /// How many steps may lead from an answer to the capability in it that is called. In a cluster, there is one.
    pub(crate) const TRANSFORM: u32 = 16;

    /// The longest chain of promises that each resolve to the next.
    pub(crate) const PROMISE_CHAIN: u8 = 16;

    /// How many unknown services a peer may ask for on one connection.
    pub(crate) const UNKNOWN_SERVICES: u32 = 5;

    /// How many bytes a peer must read for another [`Limits::unsent_time`].
    pub const PROGRESS: usize = 1024 * 1024;

    /// How many bytes of a message must arrive for another [`Limits::incomplete_time`].
    pub const INCOMING_PROGRESS: u64 = 64 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 * 1024 * 1024,
            unauthenticated_message: 16 * 1024,
            incomplete: 256 * 1024 * 1024,
            incomplete_time: Self::SLOW_PEER_LIMIT,
            unsent: 16 * 1024 * 1024,
            unsent_time: Self::SLOW_PEER_LIMIT,
            unsent_total: 1024 * 1024 * 1024,
            questions: 800_000,
            unauthenticated_questions: 64,
            unanswered: 256 * 1024 * 1024,
            imports: 100_000,
        }
    }
}
