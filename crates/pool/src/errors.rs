//! Why the pool refused something. The texts are upstream's where it has one.

use core::error::Error;
use core::fmt;

use crate::WorkerName;

/// A worker of this name is connected already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTaken;

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker already registered!")
    }
}

impl Error for NameTaken {}

/// The registration has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue already closed!")
    }
}

impl Error for Disconnected {}

/// No worker of this name has ever registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWorker;

impl fmt::Display for UnknownWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unknown worker")
    }
}

impl Error for UnknownWorker {}

/// Why a worker cannot be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgetError {
    /// No worker of this name has ever registered.
    UnknownWorker {
        /// The name asked for.
        worker: WorkerName,
    },
    /// It would be remembered again at once.
    StillConnected {
        /// The name asked for.
        worker: WorkerName,
    },
}

impl fmt::Display for ForgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWorker { worker } => {
                write!(f, "Worker \"{worker}\" not known in this pool")
            }
            Self::StillConnected { worker } => write!(f, "Worker \"{worker}\" is still connected!"),
        }
    }
}

impl Error for ForgetError {}
