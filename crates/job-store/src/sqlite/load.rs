//! Rows, as jobs.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use jobs::{JobId, JobKey, NewJob, ReturnTimeouts, Saved, Terms, Unwatched};
use pool::{CacheHint, ClientId, Time};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::attempt_row::{AttemptRow, losses, stage};
use crate::columns::{column, duration, id};
use crate::shared_texts::SharedTexts;
use crate::words::{Read, state};
use crate::{AttemptRecord, Label, Record, Sealed, StoreError, Submitted};

/// Returns the durable jobs that have not ended, in the order of their submissions.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<Saved>, StoreError> {
    let mut attempts: BTreeMap<JobId, Vec<AttemptRow>> = BTreeMap::new();
    let mut query = connection.prepare(
        "SELECT attempts.* FROM jobs JOIN attempts ON attempts.job = jobs.id
         WHERE jobs.state < 2 AND jobs.attached = 0 ORDER BY attempts.job, attempts.number",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let job = id(row.get("job")?);
        attempts.entry(job).or_default().push(attempt(row)?);
    }
    let mut query =
        connection.prepare("SELECT * FROM jobs WHERE state < 2 AND attached = 0 ORDER BY seq")?;
    let mut rows = query.query([])?;
    let mut jobs = Vec::new();
    let mut shared = SharedTexts::default();
    while let Some(row) = rows.next()? {
        let mut new = new_job(row)?;
        shared.share(&mut new);
        let attempts = attempts.remove(&new.id).unwrap_or_default();
        jobs.push(saved(new, row, &attempts)?);
    }
    Ok(jobs)
}

fn saved(new: NewJob, row: &Row<'_>, attempts: &[AttemptRow]) -> Result<Saved, StoreError> {
    let number: u32 = row.get("attempts")?;
    let since = (state(row.get("state")?)?, time(row, "since")?);
    let stage = stage(new.id, since, number, attempts)?;
    Ok(Saved {
        new,
        fair_start: row
            .get::<_, Option<i64>>("fair_start")?
            .map(Time::from_micros),
        stage,
        attempts: number,
        losses: losses(attempts)?,
    })
}

fn new_job(row: &Row<'_>) -> Result<NewJob, StoreError> {
    let id = id(row.get("id")?);
    let damaged = |what: &str| StoreError::Damaged(format!("{what} of {id}"));
    let limit =
        |column: &str| Ok::<_, StoreError>(row.get::<_, Option<i64>>(column)?.map(duration));
    let timeouts = (
        limit("return_closed")?,
        limit("return_silent")?,
        limit("return_restarted")?,
    );
    let unwatched = match timeouts {
        (Some(closed), Some(silent), Some(restarted)) => Unwatched::Cancelled(ReturnTimeouts {
            closed,
            silent,
            restarted,
        }),
        _ => Unwatched::GoesOn,
    };
    let terms = Terms {
        attempts: NonZeroU8::new(row.get("attempts_allowed")?)
            .ok_or_else(|| damaged("number of attempts"))?,
        queue_limit: limit("queue_limit")?,
        run_limit: limit("run_limit")?,
        silence_limit: limit("silence_limit")?,
        unwatched,
    };
    Ok(NewJob {
        id,
        client: ClientId::new(&row.get::<_, String>("client")?).map_err(|_| damaged("client"))?,
        pool: row.get::<_, String>("pool")?.into(),
        hint: CacheHint::new(&row.get::<_, String>("hint")?),
        urgent: row.get("urgent")?,
        key: key(row)?,
        terms,
    })
}

fn key(row: &Row<'_>) -> Result<Option<JobKey>, StoreError> {
    let key: Option<String> = row.get("key")?;
    key.map(|key| JobKey::new(&key).map_err(|error| StoreError::Damaged(error.to_string())))
        .transpose()
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_micros)
}

fn attempt(row: &Row<'_>) -> Result<AttemptRow, StoreError> {
    let ended: Option<i64> = row.get("ended")?;
    let word: Option<String> = row.get("end")?;
    let end = match (word, ended) {
        (Some(word), Some(at)) => {
            let read = Read {
                word,
                detail: row.get("detail")?,
                exit_code: row.get("exit_code")?,
            };
            Some((read.end()?, Time::from_micros(at)))
        }
        _ => None,
    };
    Ok(AttemptRow {
        number: row.get("number")?,
        worker: row.get("worker")?,
        survives: row.get("survives")?,
        started: time(row, "started")?,
        end,
    })
}

/// Returns a job as it was submitted.
pub(super) fn submitted(
    connection: &Connection,
    job: JobId,
) -> Result<Option<Submitted>, StoreError> {
    let mut query = connection.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?;
    let submitted = query.query_row([column(job)], |row| Ok(submitted_in(connection, row)));
    submitted.optional()?.transpose()
}

fn submitted_in(connection: &Connection, row: &Row<'_>) -> Result<Submitted, StoreError> {
    let description: Option<Vec<u8>> = row.get("description")?;
    Ok(Submitted {
        new: new_job(row)?,
        kind: row.get("kind")?,
        labels: labels(connection, row.get("seq")?)?,
        state: state(row.get("state")?)?,
        description: description.map(Sealed::from_bytes),
    })
}

/// Returns what is known of a job.
pub(super) fn record(connection: &Connection, job: JobId) -> Result<Option<Record>, StoreError> {
    let mut query = connection.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?;
    let record = query.query_row([column(job)], |row| Ok(record_of(connection, row)));
    record.optional()?.transpose()
}

/// Returns the job that a row of `jobs` is about.
pub(super) fn record_of(connection: &Connection, row: &Row<'_>) -> Result<Record, StoreError> {
    let job: i64 = row.get("id")?;
    let mut query =
        connection.prepare_cached("SELECT * FROM attempts WHERE job = ?1 ORDER BY number")?;
    let mut rows = query.query([job])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(attempt(row)?);
    }
    let losses = attempts
        .iter()
        .filter_map(|attempt| attempt.loss().transpose());
    let losses = losses.collect::<Result<Vec<_>, _>>()?;
    let word: Option<String> = row.get("outcome")?;
    let end = word.map(|word| {
        let read = Read {
            word,
            detail: row.get("detail")?,
            exit_code: row.get("exit_code")?,
        };
        Ok::<_, StoreError>((read.outcome(losses)?, time(row, "since")?))
    });
    Ok(Record {
        id: id(job),
        client: row.get("client")?,
        pool: row.get("pool")?,
        hint: row.get("hint")?,
        urgent: row.get("urgent")?,
        key: key(row)?,
        kind: row.get("kind")?,
        attached: row.get("attached")?,
        labels: labels(connection, row.get("seq")?)?,
        submitted: time(row, "submitted")?,
        state: state(row.get("state")?)?,
        end: end.transpose()?,
        attempts: attempts.into_iter().map(AttemptRecord::from).collect(),
    })
}

fn labels(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<Label>> {
    let mut query =
        connection.prepare_cached("SELECT name, value FROM labels WHERE seq = ?1 ORDER BY name")?;
    let labels = query.query_map([seq], |row| {
        Ok(Label {
            name: row.get("name")?,
            value: row.get("value")?,
        })
    })?;
    labels.collect()
}
