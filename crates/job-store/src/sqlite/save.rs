//! Changes, as statements.

use jobs::{AttemptEnd, Change, JobId, Loss, NewJob, Outcome, Terms, Unwatched};
use pool::Time;
use rusqlite::{Connection, params};

use super::{beside, phases};
use crate::columns::{column, id, micros};
use crate::words::{Words, number, state_of};
use crate::{Details, Pruned, State, StoreError, Write};

pub(super) fn save(connection: &Connection, write: &Write) -> Result<(), StoreError> {
    match &write.change {
        Change::Submitted { new, at } => match &write.details {
            Some(details) => submitted(connection, new, *at, details),
            None => Err(StoreError::Damaged(format!(
                "{} is submitted without a description",
                new.id
            ))),
        },
        Change::Placed { job, fair_start } => {
            let mut update =
                connection.prepare_cached("UPDATE jobs SET fair_start = ?2 WHERE id = ?1")?;
            update.execute(params![column(*job), fair_start.micros()])?;
            Ok(())
        }
        Change::Assigned { job, attempt } => {
            let mut insert = connection.prepare_cached(
                "INSERT INTO attempts (job, number, worker, survives, started) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let (job, started) = (column(*job), attempt.started.micros());
            insert.execute(params![
                job,
                attempt.number,
                attempt.worker.as_str(),
                attempt.survives,
                started
            ])?;
            let mut update = connection.prepare_cached(
                "UPDATE jobs SET state = ?2, since = ?3, attempts = ?4 WHERE id = ?1",
            )?;
            update.execute(params![
                job,
                number(State::Running),
                started,
                attempt.number
            ])?;
            Ok(())
        }
        Change::AttemptEnded { attempt, end, at } => {
            attempt_ended(connection, attempt.job, Some(attempt.number), end, *at)
        }
        Change::Requeued { job, since, loss } => {
            loss.as_ref()
                .map_or(Ok(()), |loss| lost(connection, *job, loss))?;
            let mut update = connection
                .prepare_cached("UPDATE jobs SET state = ?2, since = ?3 WHERE id = ?1")?;
            update.execute(params![column(*job), number(State::Queued), since.micros()])?;
            Ok(())
        }
        Change::Ended { job, outcome, at } => ended(connection, *job, outcome, *at),
    }
}

fn submitted(
    connection: &Connection,
    new: &NewJob,
    at: Time,
    details: &Details,
) -> Result<(), StoreError> {
    let Terms {
        attempts,
        queue_limit,
        run_limit,
        silence_limit,
        unwatched,
    } = &new.terms;
    let timeouts = match unwatched {
        Unwatched::GoesOn => None,
        Unwatched::Cancelled(timeouts) => Some(timeouts),
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO jobs (id, client, pool, hint, urgent, key, attempts_allowed, queue_limit, run_limit, silence_limit,
             return_closed, return_silent, return_restarted, kind, description, submitted, state, since, attempts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?16, 0)",
    )?;
    let seq = insert.insert(params![
        column(new.id),
        new.client.as_str(),
        &*new.pool,
        new.hint.as_str(),
        new.urgent,
        new.key.as_ref().map(jobs::JobKey::as_str),
        attempts.get(),
        queue_limit.map(micros),
        run_limit.map(micros),
        silence_limit.map(micros),
        timeouts.map(|timeouts| micros(timeouts.closed)),
        timeouts.map(|timeouts| micros(timeouts.silent)),
        timeouts.map(|timeouts| micros(timeouts.restarted)),
        details.kind,
        details.description.as_bytes(),
        at.micros(),
        number(State::Queued),
    ])?;
    let mut insert =
        connection.prepare_cached("INSERT INTO labels (seq, name, value) VALUES (?1, ?2, ?3)")?;
    for label in &details.labels {
        insert.execute(params![seq, label.name, label.value])?;
    }
    Ok(())
}

fn ended(
    connection: &Connection,
    job: JobId,
    outcome: &Outcome,
    at: Time,
) -> Result<(), StoreError> {
    match outcome {
        Outcome::Done(verdict) => attempt_ended(
            connection,
            job,
            None,
            &AttemptEnd::Done(verdict.clone()),
            at,
        )?,
        Outcome::Lost(losses) => losses
            .last()
            .map_or(Ok(()), |loss| lost(connection, job, loss))?,
        Outcome::Cancelled(_) | Outcome::TimedOut(_) => {}
    }
    let Words {
        word,
        detail,
        exit_code,
    } = Words::of_outcome(outcome);
    let mut update = connection.prepare_cached(
        "UPDATE jobs SET state = ?2, since = ?3, outcome = ?4, detail = ?5, exit_code = ?6,
             description = CASE WHEN ?7 THEN description END
         WHERE id = ?1",
    )?;
    let state = state_of(outcome);
    update.execute(params![
        column(job),
        number(state),
        at.micros(),
        word,
        detail,
        exit_code,
        // It may be retried.
        state != State::Succeeded,
    ])?;
    Ok(())
}

pub(super) fn wipe(
    connection: &Connection,
    ended_before: Time,
    at_most: u32,
) -> Result<usize, StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE jobs SET description = NULL WHERE seq IN (
             SELECT seq FROM jobs WHERE state > 1 AND description IS NOT NULL AND since < ?1 ORDER BY since LIMIT ?2)",
    )?;
    Ok(update.execute(params![ended_before.micros(), at_most])?)
}

fn lost(connection: &Connection, job: JobId, loss: &Loss) -> Result<(), StoreError> {
    attempt_ended(
        connection,
        job,
        Some(loss.attempt),
        &AttemptEnd::Lost(loss.reason.clone()),
        loss.at,
    )
}

/// An attempt has ended, the latest one if none is named; of two ends the first counts.
fn attempt_ended(
    connection: &Connection,
    job: JobId,
    attempt: Option<u32>,
    end: &AttemptEnd,
    at: Time,
) -> Result<(), StoreError> {
    let Words {
        word,
        detail,
        exit_code,
    } = Words::of_end(end);
    let mut update = connection.prepare_cached(
        "UPDATE attempts SET ended = ?3, end = ?4, detail = ?5, exit_code = ?6
         WHERE job = ?1 AND number = coalesce(?2, (SELECT attempts FROM jobs WHERE id = ?1)) AND end IS NULL",
    )?;
    update.execute(params![
        column(job),
        attempt,
        at.micros(),
        word,
        detail,
        exit_code
    ])?;
    Ok(())
}

pub(super) fn prune(
    connection: &Connection,
    ended_before: Time,
    at_most: u32,
) -> Result<Vec<Pruned>, StoreError> {
    let mut oldest = connection.prepare_cached(
        "SELECT seq, id, attempts FROM jobs WHERE state > 1 AND since < ?1 ORDER BY since LIMIT ?2",
    )?;
    let found = oldest.query_map(params![ended_before.micros(), at_most], |row| {
        let pruned = Pruned {
            job: id(row.get("id")?),
            attempts: row.get("attempts")?,
            log_bytes: 0,
        };
        Ok((row.get::<_, i64>("seq")?, pruned))
    })?;
    let mut found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut labels = connection.prepare_cached("DELETE FROM labels WHERE seq = ?1")?;
    let mut attempts = connection.prepare_cached("DELETE FROM attempts WHERE job = ?1")?;
    let mut job = connection.prepare_cached("DELETE FROM jobs WHERE seq = ?1")?;
    for (seq, pruned) in &mut found {
        let seq = *seq;
        pruned.log_bytes = beside::remove_logs(connection, column(pruned.job))?;
        labels.execute([seq])?;
        attempts.execute([column(pruned.job)])?;
        phases::remove_all(connection, column(pruned.job))?;
        job.execute([seq])?;
        tracing::trace!(target: "crash-point", point = "during-pruning");
    }
    Ok(found.into_iter().map(|(_, pruned)| pruned).collect())
}
