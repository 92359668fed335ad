//! The audit log: what operators did, on disk before they are answered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use cluster_api::{AuditEntry as WireEntry, AuditPage, AuditQuery, RpcError};
use futures::channel::oneshot;
use job_store::{AuditEntry, Entry, Reader as _};
use pool::Time;
use visible::Shown;

use super::DurableJobs;

/// How many entries a page has, unless its reader asks for another number.
const DEFAULT_PAGE: u32 = 100;

/// The entries that are on their way to the disk.
pub(super) struct AuditLog(RefCell<Waiting>);

struct Waiting {
    /// The time of the latest entry. Each has another one.
    last: Time,
    /// Who waits for which entry, by the number that the store has for it, with the entry as a line of a log.
    calls: BTreeMap<u64, (oneshot::Sender<()>, String)>,
}

impl AuditLog {
    /// Returns one that goes on after the entry of this time.
    pub(super) fn after(last: Time) -> Self {
        Self(RefCell::new(Waiting {
            last,
            calls: BTreeMap::new(),
        }))
    }

    /// The entries up to this one are on disk.
    pub(super) fn appended(&self, up_to: u64) {
        for (call, _) in self.answer(up_to) {
            // An error means that the operator does not wait any more.
            call.send(()).ok();
        }
    }

    /// The entries up to this one could not be saved, and are tried again. What operators do goes on: they may be about
    /// to free the disk.
    pub(super) fn not_appended(&self, up_to: u64, error: &str) {
        for (call, line) in self.answer(up_to) {
            tracing::warn!(
                target: "scheduler",
                "Cannot save an entry of the audit log: {line}: {error}; retrying"
            );
            // An error means that the operator does not wait any more.
            call.send(()).ok();
        }
    }

    fn answer(&self, up_to: u64) -> impl Iterator<Item = (oneshot::Sender<()>, String)> + use<> {
        let mut waiting = self.0.borrow_mut();
        let later = waiting.calls.split_off(&up_to.saturating_add(1));
        let due = std::mem::replace(&mut waiting.calls, later);
        due.into_values()
    }
}

impl DurableJobs {
    /// Records what an operator is about to do. Returns the entry's time, and a future that ends when the entry is on
    /// disk, or cannot be saved at present. The entry is saved also if the future is dropped.
    pub(crate) fn audit(&self, mut entry: AuditEntry) -> (Time, impl Future<Output = ()> + use<>) {
        {
            let mut waiting = self.audit.0.borrow_mut();
            let next = Time::from_micros(waiting.last.micros().saturating_add(1));
            entry.time = self.clock.unix_now().max(next);
            waiting.last = entry.time;
        }
        let line = line(&entry);
        (entry.time, self.append(Entry::Audit(entry), line))
    }

    /// Adds to an entry that what it is about has failed. Returns a future like that of [`audit`](Self::audit).
    pub(crate) fn audit_failed(&self, time: Time, error: &str) -> impl Future<Output = ()> + use<> {
        let line = format!("failed: {}", Shown(error));
        let error = error.to_owned();
        self.append(Entry::AuditFailed { time, error }, line)
    }

    fn append(&self, entry: Entry, line: String) -> impl Future<Output = ()> + use<> {
        let (call, answered) = oneshot::channel();
        // While the scheduler ends there is no store, and nobody waits.
        if let Some(committer) = &*self.committer.borrow() {
            let number = committer.append(entry);
            let mut waiting = self.audit.0.borrow_mut();
            waiting.calls.insert(number, (call, line));
        }
        async move { answered.await.unwrap_or_default() }
    }

    /// Returns a page of the audit log.
    pub(crate) async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, RpcError> {
        let AuditQuery {
            within,
            before,
            at_most,
        } = query;
        let query = job_store::AuditQuery {
            since: within.map(|within| self.before(within)),
            before: before.map(|time| Time::from_micros(i64::try_from(time).unwrap_or(i64::MAX))),
            at_most: at_most.unwrap_or(DEFAULT_PAGE),
        };
        let page = self.read(move |reader| reader.audit(&query)).await?;
        Ok(AuditPage {
            next: page.next.and_then(|time| u64::try_from(time.micros()).ok()),
            entries: page.entries.into_iter().map(on_the_wire).collect(),
        })
    }
}

/// Returns an entry as a line of a log.
fn line(entry: &AuditEntry) -> String {
    let AuditEntry {
        by,
        address,
        action,
        object,
        pool,
        ..
    } = entry;
    let (by, object, pool) = (
        Shown(by).to_string(),
        Shown(object).to_string(),
        Shown(pool).to_string(),
    );
    format!("{action} of {object:?} (pool {pool:?}) by {by:?} at {address}")
}

fn on_the_wire(entry: AuditEntry) -> WireEntry {
    let AuditEntry {
        time,
        service,
        address,
        by,
        action,
        pool,
        object,
        detail,
        error,
    } = entry;
    WireEntry {
        time: Duration::from_micros(u64::try_from(time.micros()).unwrap_or(0)),
        service,
        address,
        by,
        action,
        pool,
        object,
        detail,
        error,
    }
}
