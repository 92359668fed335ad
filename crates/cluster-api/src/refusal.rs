//! Jobs that no worker gets: refused, or ended while they were queued; and names that a scheduler does not have.

/// Why a scheduler did not accept a job. [`Refusal::of`] reads it from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It has no such pool.
    NoSuchPool,
    /// The client was removed.
    Revoked,
    /// The capability is not a submission, but that of an operator or of a pool, perhaps.
    NotASubmission,
    /// It has too much to do, or is shutting down. It may accept the job later.
    Overloaded,
}

/// How the job of a ticket ended that no worker took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketEnd {
    /// Its client cancelled the ticket.
    Cancelled,
    /// An operator cancelled the job.
    CancelledByOperator,
    /// Its client released the ticket.
    Released,
    /// Its client was removed.
    ClientRemoved,
}

/// What a request named that the scheduler does not know. [`UnknownName::of_reason`] reads it from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownName {
    /// A pool.
    Pool,
    /// A worker of the pool.
    Worker,
    /// A client.
    Client,
}
