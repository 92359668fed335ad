//! What is kept beside the jobs: what operators did, and which logs there are.

use jobs::AttemptId;
use pool::Time;

/// Something to keep that is no change of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An operator is about to change something.
    Audit(AuditEntry),
    /// What an operator was about to do has failed.
    AuditFailed {
        /// The time of its entry.
        time: Time,
        /// Why.
        error: String,
    },
    /// The log of an attempt is whole.
    Log(KeptLog),
}

/// What an operator did. Each entry has a time of its own, which names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub time: Time,
    /// The service that the call came through.
    pub service: String,
    /// Where it came from.
    pub address: String,
    /// Who made it, as the operator's program reported; empty when it did not.
    pub by: String,
    /// What was to be done, in a word.
    pub action: String,
    /// In which pool; empty if it was about no pool.
    pub pool: String,
    /// To what.
    pub object: String,
    /// More about it, for people.
    pub detail: String,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// Which entries of the audit log to return: those that have all of what is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Those of this time or later.
    pub since: Option<Time>,
    /// Those before this time.
    pub before: Option<Time>,
    /// At most so many.
    pub at_most: u32,
}

/// Some entries of the audit log, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; `None` if this was the last one.
    pub next: Option<Time>,
}

/// A log that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLog {
    /// Its attempt.
    pub attempt: AttemptId,
    /// Since when it is whole.
    pub since: Time,
    /// How much of the disk or of the log store it takes, in bytes.
    pub bytes: u64,
    /// How long it is, in bytes; `None` if an older version has saved this.
    pub length: Option<u64>,
}

/// What a store knows of the log of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStatus {
    /// Nothing: it is not whole, or there is none, or it was not counted before the process was killed.
    Uncounted,
    /// It is whole.
    Counted,
    /// It was whole, and is not kept any more.
    Removed,
}

/// Which logs and entries to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Logs that were whole before this time.
    pub logs_before: Time,
    /// The oldest logs, until the others take no more of the disk than this, in bytes.
    pub max_log_bytes: u64,
    /// Entries of the audit log from before this time.
    pub audit_before: Time,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Logs, whose files are the caller's to remove.
    pub logs: Vec<KeptLog>,
    /// How many entries of the audit log.
    pub entries: u32,
}

/// Where a store goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How much of the disk all logs take that are whole, in bytes.
    pub log_bytes: u64,
    /// The time of the latest entry of the audit log.
    pub last_audit: Time,
}
