//! What a scheduler refuses, by the names of what it does not have.

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

/// What a request named that the scheduler does not know. [`UnknownName::of`] reads it from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownName {
    /// A pool.
    Pool,
    /// A worker of the pool.
    Worker,
    /// A client.
    Client,
}
