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
    /// The database compares no numbers.
    WritesUnfenced,
    /// The database compares no numbers; a leader writes while its lease is valid by its own clock.
    TrustsItsClock,
    /// A lease that is taken has the number of the one before.
    ReusesLeaseNumbers,
    /// A standby takes a lease only when that has expired by the clock of the database.
    WaitsForDatabaseClock,
    /// A leader that was deposed keeps its connections.
    KeepsConnections,
    /// A leader that no peer can reach keeps its lease.
    KeepsLeaseUnreached,
    /// A new leader restores what it read when it became a standby, and not what is there when it has the lease.
    RestoresOldRows,
    /// A batch whose answer was lost is written again without a look at its number.
    WritesTwice,
    /// A batch whose answer was lost is taken for one that was not saved, as there is no space when it is sent again.
    BelievesLatestAnswer,
    /// A leader that steps down reports what it could not save any more.
    ReportsUnsavedAtHandover,
    /// An attempt is acknowledged when its log is on the leader's disk.
    AcknowledgesBeforeUpload,
    /// A worker is told to forget an attempt of a job that has ended, though nobody has its whole log.
    ForgetsUnsharedLog,
    /// A leader that has restarted does not copy the logs that it has to the store.
    ForgetsToUpload,
}
