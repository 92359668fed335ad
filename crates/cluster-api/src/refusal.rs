//! Jobs that no worker takes, because they are refused or end in the queue; and unknown names.

/// Why a scheduler did not accept a job. [`Refusal::of`] reads it from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It has no such pool.
    NoSuchPool,
    /// The client was removed.
    Revoked,
    /// The capability is not a submission, but that of an operator or of a pool, perhaps.
    NotASubmission,
    /// It is overloaded or shutting down. It may accept the job later.
    Overloaded,
}

/// How a ticket ended that no worker had taken.
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

/// An unknown name in a request. [`UnknownName::of_reason`] reads it from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownName {
    /// A pool.
    Pool,
    /// A worker of the pool.
    Worker,
    /// A client.
    Client,
}
