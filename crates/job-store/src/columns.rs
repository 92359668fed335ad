//! Ids and durations, as columns hold them.

use std::time::Duration;

use jobs::JobId;

/// Returns an id as a column holds it.
pub(crate) fn column(job: JobId) -> i64 {
    // Ids have 60 bits.
    job.bits().cast_signed()
}

/// Returns the id that a column holds.
pub(crate) fn id(column: i64) -> JobId {
    JobId::from_bits(column.cast_unsigned())
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
