//! Attached jobs, as rows among those of the durable ones.

use jobs::{AttemptEnd, LossReason, Outcome};
use pool::Time;
use rusqlite::{Connection, params};

use crate::attached::end_of;
use crate::columns::column;
use crate::words::{Words, number};
use crate::{AttachedRecord, State, StoreError};

/// Saves a job as it is at present, whether or not it was saved before.
pub(super) fn save(connection: &Connection, record: &AttachedRecord) -> Result<(), StoreError> {
    let AttachedRecord {
        id,
        client,
        pool,
        hint,
        kind,
        urgent,
        submitted,
        attempt,
        end,
    } = record;
    let (state, since) = record.state();
    let words = end.as_ref().map(|(outcome, _)| Words::of_outcome(outcome));
    let (word, detail, exit_code) = columns(words);
    let mut upsert = connection.prepare_cached(
        "INSERT INTO jobs (id, client, pool, hint, urgent, attempts_allowed, kind, submitted, state, since, attempts,
             outcome, detail, exit_code, attached)
         VALUES (?1, ?2, ?3, ?13, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since, attempts = excluded.attempts,
             outcome = excluded.outcome, detail = excluded.detail, exit_code = excluded.exit_code
         WHERE attached = 1",
    )?;
    let saved = upsert.execute(params![
        column(*id),
        client.as_str(),
        &**pool,
        urgent,
        &**kind,
        submitted.micros(),
        number(state),
        since.micros(),
        u32::from(attempt.is_some()),
        word,
        detail,
        exit_code,
        hint.as_str(),
    ])?;
    let Some((worker, started)) = attempt.as_ref().filter(|_| saved > 0) else {
        return Ok(());
    };
    let words = end
        .as_ref()
        .map(|(outcome, _)| Words::of_end(&end_of(outcome)));
    let (word, detail, exit_code) = columns(words);
    let mut upsert = connection.prepare_cached(
        "INSERT INTO attempts (job, number, worker, survives, started, ended, end, detail, exit_code)
         VALUES (?1, 1, ?2, 0, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (job, number) DO UPDATE SET ended = excluded.ended, end = excluded.end, detail = excluded.detail,
             exit_code = excluded.exit_code",
    )?;
    let ended = end.as_ref().map(|(_, at)| at.micros());
    let (job, started) = (column(*id), started.micros());
    upsert.execute(params![
        job,
        worker.as_str(),
        started,
        ended,
        word,
        detail,
        exit_code
    ])?;
    Ok(())
}

/// Ends those that have not ended: the scheduler that had them is gone. Returns how many there were.
pub(super) fn end_all(connection: &Connection, at: Time) -> Result<usize, StoreError> {
    let restarted = LossReason::SchedulerRestarted;
    let Words { word, .. } = Words::of_end(&AttemptEnd::Lost(restarted));
    connection.execute(
        "UPDATE attempts SET ended = ?1, end = ?2
         WHERE end IS NULL AND job IN (SELECT id FROM jobs WHERE state < 2 AND attached = 1)",
        params![at.micros(), word],
    )?;
    let Words { word, .. } = Words::of_outcome(&Outcome::Lost(Vec::new()));
    let ended = connection.execute(
        "UPDATE jobs SET state = ?1, since = ?2, outcome = ?3 WHERE state < 2 AND attached = 1",
        params![number(State::Lost), at.micros(), word],
    )?;
    Ok(ended)
}

/// Returns the values of three columns, which are null while there is no end.
fn columns(words: Option<Words>) -> (Option<&'static str>, Option<Box<str>>, Option<u8>) {
    words.map_or((None, None, None), |words| {
        (Some(words.word), words.detail, words.exit_code)
    })
}
