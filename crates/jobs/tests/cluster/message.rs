//! What goes over the network.

use jobs::{AttemptEnd, AttemptId, Held, JobId, JobKey, Outcome};
use pool::{ClientId, WorkerName};

#[derive(Clone, Debug)]
pub(crate) enum Message {
    FromClient(FromClient),
    FromWorker(FromWorker),
    ToClient(ToClient),
    ToWorker(ToWorker),
}

/// `wish` says which of a client's jobs a call is about, so that the client knows what was answered.
#[derive(Clone, Debug)]
pub(crate) enum FromClient {
    Submit {
        wish: usize,
        client: ClientId,
        key: JobKey,
        terms: usize,
    },
    Find {
        wish: usize,
        job: JobId,
    },
    Watch {
        wish: usize,
        job: JobId,
        version: u64,
    },
    ReadLog {
        wish: usize,
        attempt: AttemptId,
        start: usize,
    },
    Cancel {
        job: JobId,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum ToClient {
    Accepted {
        wish: usize,
        job: JobId,
    },
    Refused {
        wish: usize,
    },
    Found {
        wish: usize,
        job: JobId,
    },
    Unknown {
        job: JobId,
    },
    Status {
        wish: usize,
        version: u64,
        attempt: u32,
        outcome: Option<Outcome>,
    },
    Log {
        wish: usize,
        attempt: AttemptId,
        bytes: Vec<u8>,
        is_complete: bool,
    },
    Cancelled {
        job: JobId,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum FromWorker {
    Rejoin {
        name: WorkerName,
        survives: bool,
        held: Vec<Held>,
    },
    Pop,
    Log {
        attempt: AttemptId,
        start: usize,
        bytes: Vec<u8>,
        is_complete: bool,
    },
    End {
        attempt: AttemptId,
        end: AttemptEnd,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum ToWorker {
    /// The answer to `Rejoin`: what to forget of what it holds.
    Rejoined {
        forget: Vec<AttemptId>,
    },
    /// The answer to `Pop`.
    Start {
        attempt: AttemptId,
    },
    Stop {
        attempt: AttemptId,
    },
    Forget {
        attempt: AttemptId,
    },
    ReadLog {
        attempt: AttemptId,
        start: usize,
    },
}
