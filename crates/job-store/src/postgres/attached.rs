//! Attached jobs, as rows among those of the durable ones.

use cluster_postgres::{Session, Statement};
use jobs::{AttemptEnd, LossReason, Outcome};
use pool::Time;

use super::fields::{text, values};
use crate::attached::end_of;
use crate::columns::column;
use crate::words::{Words, number};
use crate::{AttachedRecord, State, StoreError};

/// Saves jobs as they are at present, whether or not they were saved before. `seq` is the place of the next new one.
pub(super) async fn save(
    session: &Session,
    records: &[AttachedRecord],
    mut seq: i64,
) -> Result<i64, StoreError> {
    let mut statements = Vec::with_capacity(2 * records.len());
    for record in records {
        statements.push(job(record, seq));
        statements.extend(attempt(record));
        seq += 1;
    }
    session.run_all(&statements).await?;
    Ok(seq)
}

fn job(record: &AttachedRecord, seq: i64) -> Statement {
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
    Statement::new(
        "INSERT INTO jobs (seq, id, client, pool, hint, urgent, attempts_allowed, kind, submitted, state, since,
             attempts, outcome, detail, exit_code, attached)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11, $12, $13, $14, true)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since, attempts = excluded.attempts,
             outcome = excluded.outcome, detail = excluded.detail, exit_code = excluded.exit_code
         WHERE jobs.attached",
        values![
            seq,
            column(*id),
            client.as_str().to_owned(),
            text(pool),
            text(hint.as_str()),
            *urgent,
            text(kind),
            submitted.micros(),
            number(state),
            since.micros(),
            i64::from(attempt.is_some()),
            word,
            detail,
            exit_code,
        ],
    )
}

fn attempt(record: &AttachedRecord) -> Option<Statement> {
    let AttachedRecord {
        id, attempt, end, ..
    } = record;
    let (worker, started) = attempt.as_ref()?;
    let words = end
        .as_ref()
        .map(|(outcome, _)| Words::of_end(&end_of(outcome)));
    let (word, detail, exit_code) = columns(words);
    Some(Statement::new(
        "INSERT INTO attempts (job, number, worker, survives, started, ended, \"end\", detail, exit_code)
         SELECT $1, 1, $2, false, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT FROM jobs WHERE id = $1 AND attached)
         ON CONFLICT (job, number) DO UPDATE SET ended = excluded.ended, \"end\" = excluded.\"end\",
             detail = excluded.detail, exit_code = excluded.exit_code",
        values![
            column(*id),
            worker.as_str().to_owned(),
            started.micros(),
            end.as_ref().map(|(_, at)| at.micros()),
            word,
            detail,
            exit_code,
        ],
    ))
}

/// Ends those that have not ended: the scheduler that had them is gone. Returns how many there were.
pub(super) async fn end_all(session: &Session, at: Time) -> Result<usize, StoreError> {
    let Words { word, .. } = Words::of_end(&AttemptEnd::Lost(LossReason::SchedulerRestarted));
    let attempts = "UPDATE attempts SET ended = $1, \"end\" = $2
         WHERE \"end\" IS NULL AND job IN (SELECT id FROM jobs WHERE state < 2 AND attached)";
    session.execute(attempts, &[&at.micros(), &word]).await?;
    let Words { word, .. } = Words::of_outcome(&Outcome::Lost(Vec::new()));
    let jobs = "UPDATE jobs SET state = $1, since = $2, outcome = $3 WHERE state < 2 AND attached";
    let ended = session
        .execute(jobs, &[&number(State::Lost), &at.micros(), &word])
        .await?;
    Ok(usize::try_from(ended).unwrap_or(usize::MAX))
}

/// Returns the values of three columns, which are null while there is no end.
fn columns(words: Option<Words>) -> (Option<&'static str>, Option<String>, Option<i64>) {
    words.map_or((None, None, None), |words| {
        (
            Some(words.word),
            words.detail.as_deref().map(text),
            words.exit_code.map(i64::from),
        )
    })
}
