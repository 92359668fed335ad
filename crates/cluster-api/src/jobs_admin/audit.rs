//! What operators did.

use std::time::Duration;

use crate::RpcError;
use crate::details::millis;
use crate::raw::extensions_capnp::jobs_admin::{audit_entry, audit_query, audit_results};
use crate::text::{check_length, list_length, malformed, text};

/// Which entries of the audit log to return: those that have all of what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Those that are at most so old.
    pub within: Option<Duration>,
    /// Those after the entries of an earlier page: its [`next`](AuditPage::next).
    pub before: Option<u64>,
    /// At most so many; `None` for the scheduler's default.
    pub at_most: Option<u32>,
}

/// A call that was to change something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, since 1970 (UTC), by the scheduler's clock.
    pub time: Duration,
    /// The service that it came through, such as `admin`.
    pub service: String,
    /// Where it came from.
    pub address: String,
    /// Who made it, as the operator's program reported; empty when it did not.
    pub by: String,
    /// What was to be done, in a word, such as `pause`.
    pub action: String,
    /// In which pool; empty if it was about no pool.
    pub pool: String,
    /// To which worker, client or job.
    pub object: String,
    /// More about it, for people; empty for nothing more.
    pub detail: String,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// Some entries of the audit log, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<u64>,
}

impl AuditQuery {
    pub(super) fn read(reader: audit_query::Reader<'_>) -> Self {
        let within = Duration::from_millis(reader.get_within());
        Self {
            within: Some(within).filter(|within| !within.is_zero()),
            before: Some(reader.get_before()).filter(|before| *before != 0),
            at_most: Some(reader.get_at_most()).filter(|most| *most != 0),
        }
    }

    pub(super) fn write(&self, mut builder: audit_query::Builder<'_>) {
        let Self {
            within,
            before,
            at_most,
        } = self;
        builder.set_within(within.map_or(0, |within| millis(within).max(1)));
        builder.set_before(before.unwrap_or(0));
        builder.set_at_most(at_most.unwrap_or(0));
    }
}

impl AuditPage {
    pub(super) fn read(reader: audit_results::Reader<'_>) -> Result<Self, RpcError> {
        let entries = reader
            .get_entries()
            .map_err(|error| malformed(&error, "entries"))?;
        check_length(reader.total_size(), entries.len(), "entries")?;
        Ok(Self {
            entries: entries
                .iter()
                .map(AuditEntry::read)
                .collect::<Result<_, _>>()?,
            next: Some(reader.get_next()).filter(|next| *next != 0),
        })
    }

    pub(super) fn write(&self, mut builder: audit_results::Builder<'_>) -> Result<(), RpcError> {
        builder.set_next(self.next.unwrap_or(0));
        let mut entries = builder.init_entries(list_length(&self.entries, "entries")?);
        for (index, entry) in (0..).zip(&self.entries) {
            entry.write(entries.reborrow().get(index));
        }
        Ok(())
    }
}

impl AuditEntry {
    fn read(reader: audit_entry::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            time: Duration::from_millis(reader.get_time()),
            service: text(reader.get_service(), "entry.service")?,
            address: text(reader.get_address(), "entry.address")?,
            by: text(reader.get_by(), "entry.by")?,
            action: text(reader.get_action(), "entry.action")?,
            pool: text(reader.get_pool(), "entry.pool")?,
            object: text(reader.get_object(), "entry.object")?,
            detail: text(reader.get_detail(), "entry.detail")?,
            error: text(reader.get_error(), "entry.error")?,
        })
    }

    fn write(&self, mut builder: audit_entry::Builder<'_>) {
        let Self {
            time,
            service,
            address,
            by,
            action,
            pool,
            object,
            detail,
            error,
        } = self;
        builder.set_time(millis(*time));
        builder.set_service(service);
        builder.set_address(address);
        builder.set_by(by);
        builder.set_action(action);
        builder.set_pool(pool);
        builder.set_object(object);
        builder.set_detail(detail);
        builder.set_error(error);
    }
}
