//! Stores behind a box, of which it is not known at compile time what they are.

use std::ops::RangeInclusive;

use jobs::{AttemptId, JobId, JobKey, Saved};
use pool::{ClientId, Time};

use crate::{
    AttachedRecord, AuditPage, AuditQuery, ChangedPhases, Entry, Expired, Expiry, FinishedAttempt,
    LogStatus, Page, PhaseRecord, Pruned, Query, Reader, Record, Sealed, StoreError, Submitted,
    Totals, Write, Writer,
};

impl<W: Writer + ?Sized> Writer for Box<W> {
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError> {
        (**self).restore()
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        (**self).commit(writes)
    }

    fn save_attached(&mut self, records: &[AttachedRecord]) -> Result<(), StoreError> {
        (**self).save_attached(records)
    }

    fn end_attached(&mut self, at: Time) -> Result<usize, StoreError> {
        (**self).end_attached(at)
    }

    fn prune(&mut self, ended_before: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError> {
        (**self).prune(ended_before, at_most)
    }

    fn wipe(&mut self, ended_before: Time, at_most: u32) -> Result<usize, StoreError> {
        (**self).wipe(ended_before, at_most)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        (**self).totals()
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        (**self).append(entries)
    }

    fn save_phases(&mut self, changed: &[ChangedPhases]) -> Result<(), StoreError> {
        (**self).save_phases(changed)
    }

    fn expire(&mut self, expiry: &Expiry, at_most: u32) -> Result<Expired, StoreError> {
        (**self).expire(expiry, at_most)
    }
}

impl<R: Reader + ?Sized> Reader for Box<R> {
    fn finished(&mut self, at_most: u32) -> Result<Vec<FinishedAttempt>, StoreError> {
        (**self).finished(at_most)
    }

    fn with_key(&mut self, client: &ClientId, key: &JobKey) -> Result<Option<JobId>, StoreError> {
        (**self).with_key(client, key)
    }

    fn in_range(
        &mut self,
        client: &ClientId,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        (**self).in_range(client, ids, at_most)
    }

    fn is_kept(&mut self, job: JobId) -> Result<bool, StoreError> {
        (**self).is_kept(job)
    }

    fn all_in_range(
        &mut self,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        (**self).all_in_range(ids, at_most)
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        (**self).audit(query)
    }

    fn log_status(&mut self, attempt: AttemptId) -> Result<LogStatus, StoreError> {
        (**self).log_status(attempt)
    }

    fn log_length(&mut self, attempt: AttemptId) -> Result<Option<u64>, StoreError> {
        (**self).log_length(attempt)
    }

    fn phases(&mut self, attempt: AttemptId) -> Result<Vec<PhaseRecord>, StoreError> {
        (**self).phases(attempt)
    }

    fn record(&mut self, job: JobId) -> Result<Option<Record>, StoreError> {
        (**self).record(job)
    }

    fn page(&mut self, query: &Query) -> Result<Page, StoreError> {
        (**self).page(query)
    }

    fn submitted(&mut self, job: JobId) -> Result<Option<Submitted>, StoreError> {
        (**self).submitted(job)
    }

    fn description(&mut self, job: JobId) -> Result<Option<Sealed>, StoreError> {
        (**self).description(job)
    }

    fn description_sizes(&mut self) -> Result<Vec<(JobId, usize)>, StoreError> {
        (**self).description_sizes()
    }
}
