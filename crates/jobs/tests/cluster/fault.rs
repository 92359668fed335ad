//! Faults to plant around the jobs, to see that they are found.

/// A fault in the code that carries out what the jobs decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClusterFault {
    /// A client that got no answer submits again with another key.
    ForgetsKey,
    /// A client that has reconnected reads the log from its beginning, and prints it again.
    RepeatsLog,
    /// The store reports changes before they are on disk.
    ReportsUnsynced,
    /// The scheduler appends to a log without a look at the offset.
    AppendsBlindly,
    /// The scheduler acknowledges an attempt whose log is not synced.
    AcknowledgesUnsyncedLog,
    /// The scheduler takes the end of a connection that was replaced for that of the worker.
    BelievesOldConnection,
    /// The scheduler ends a job before its log is whole.
    EndsBeforeLog,
    /// A worker cancels what it runs when its connection ends.
    CancelsOnDisconnect,
    /// A worker forgets an attempt when it has sent its end.
    ForgetsOnEnd,
    /// A worker that was restarted runs again what it ran.
    RunsAgain,
}
