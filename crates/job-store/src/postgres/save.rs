//! Changes, as statements.

use cluster_postgres::{Session, Statement};
use jobs::{AttemptEnd, Change, JobId, NewJob, Outcome, Terms, Unwatched};
use pool::Time;

use super::fields::{Fields, text, values};
use crate::columns::{column, id, micros};
use crate::words::{Words, number, state_of};
use crate::{Details, Pruned, State, StoreError, Write};

/// How many submissions are one statement at most, and how large their descriptions are together, in bytes: well below
/// what PostgreSQL takes in one message.
const MAX_ROWS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;

/// Saves changes. `seq` is the place of the next submission.
///
/// Submissions come first, many in a statement. No other change can be meant for before them: one of the same job
/// follows its submission, and others have nothing to do with it.
pub(super) async fn save(
    session: &Session,
    writes: &[Write],
    mut seq: i64,
) -> Result<i64, StoreError> {
    let mut statements = Vec::with_capacity(writes.len());
    let mut submissions = Submissions::default();
    for write in writes {
        let Change::Submitted { new, at } = &write.change else {
            continue;
        };
        let details = write.details.as_ref().ok_or_else(|| {
            StoreError::Damaged(format!("{} is submitted without a description", new.id))
        })?;
        submissions.add(seq, new, *at, details);
        seq += 1;
        if submissions.is_full() {
            statements.extend(std::mem::take(&mut submissions).statements());
        }
    }
    statements.extend(submissions.statements());
    for write in writes {
        change(&mut statements, &write.change);
    }
    session.run_all(&statements).await?;
    Ok(seq)
}

/// Adds the statements of a change that is no submission.
fn change(statements: &mut Vec<Statement>, change: &Change) {
    match change {
        Change::Submitted { .. } => {}
        Change::Placed { job, fair_start } => statements.push(Statement::new(
            "UPDATE jobs SET fair_start = $2 WHERE id = $1",
            values![column(*job), fair_start.micros()],
        )),
        Change::Assigned { job, attempt } => {
            let (job, started) = (column(*job), attempt.started.micros());
            let latest = i64::from(attempt.number);
            // It may have been saved before: what failed is tried again.
            statements.push(Statement::new(
                "INSERT INTO attempts (job, number, worker, survives, started) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (job, number) DO UPDATE SET worker = excluded.worker, survives = excluded.survives,
                     started = excluded.started",
                values![job, latest, attempt.worker.as_str().to_owned(), attempt.survives, started],
            ));
            statements.push(Statement::new(
                "UPDATE jobs SET state = $2, since = $3, attempts = $4 WHERE id = $1",
                values![job, number(State::Running), started, latest],
            ));
        }
        Change::AttemptEnded { attempt, end, at } => {
            statements.push(attempt_ended(attempt.job, Some(attempt.number), end, *at));
        }
        Change::Requeued { job, since, loss } => {
            statements.extend(loss.as_ref().map(|loss| lost(*job, loss)));
            statements.push(Statement::new(
                "UPDATE jobs SET state = $2, since = $3 WHERE id = $1",
                values![column(*job), number(State::Queued), since.micros()],
            ));
        }
        Change::Ended { job, outcome, at } => ended(statements, *job, outcome, *at),
    }
}

fn ended(statements: &mut Vec<Statement>, job: JobId, outcome: &Outcome, at: Time) {
    match outcome {
        Outcome::Done(verdict) => {
            statements.push(attempt_ended(
                job,
                None,
                &AttemptEnd::Done(verdict.clone()),
                at,
            ));
        }
        Outcome::Lost(losses) => statements.extend(losses.last().map(|loss| lost(job, loss))),
        Outcome::Cancelled(_) | Outcome::TimedOut(_) => {}
    }
    let Words {
        word,
        detail,
        exit_code,
    } = Words::of_outcome(outcome);
    let state = state_of(outcome);
    statements.push(Statement::new(
        "UPDATE jobs SET state = $2, since = $3, outcome = $4, detail = $5, exit_code = $6,
             description = CASE WHEN $7 THEN description END
         WHERE id = $1",
        values![
            column(job),
            number(state),
            at.micros(),
            word,
            detail.as_deref().map(text),
            exit_code.map(i64::from),
            // It may be retried.
            state != State::Succeeded,
        ],
    ));
}

fn lost(job: JobId, loss: &jobs::Loss) -> Statement {
    let end = AttemptEnd::Lost(loss.reason.clone());
    attempt_ended(job, Some(loss.attempt), &end, loss.at)
}

/// An attempt has ended, the latest one if none is named; of two ends the first counts.
fn attempt_ended(job: JobId, attempt: Option<u32>, end: &AttemptEnd, at: Time) -> Statement {
    let Words {
        word,
        detail,
        exit_code,
    } = Words::of_end(end);
    Statement::new(
        "UPDATE attempts SET ended = $3, \"end\" = $4, detail = $5, exit_code = $6
         WHERE job = $1 AND number = coalesce($2, (SELECT attempts FROM jobs WHERE id = $1)) AND \"end\" IS NULL",
        values![
            column(job),
            attempt.map(i64::from),
            at.micros(),
            word,
            detail.as_deref().map(text),
            exit_code.map(i64::from),
        ],
    )
}

/// Submissions, column by column.
#[derive(Default)]
struct Submissions {
    seq: Vec<i64>,
    id: Vec<i64>,
    client: Vec<String>,
    pool: Vec<String>,
    hint: Vec<String>,
    urgent: Vec<bool>,
    key: Vec<Option<String>>,
    attempts: Vec<i64>,
    queue_limit: Vec<Option<i64>>,
    run_limit: Vec<Option<i64>>,
    silence_limit: Vec<Option<i64>>,
    closed: Vec<Option<i64>>,
    silent: Vec<Option<i64>>,
    restarted: Vec<Option<i64>>,
    kind: Vec<String>,
    description: Vec<Vec<u8>>,
    submitted: Vec<i64>,
    description_bytes: usize,
    labels: Labels,
}

#[derive(Default)]
struct Labels {
    seq: Vec<i64>,
    name: Vec<String>,
    value: Vec<String>,
}

impl Submissions {
    fn add(&mut self, seq: i64, new: &NewJob, at: Time, details: &Details) {
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
        self.seq.push(seq);
        self.id.push(column(new.id));
        self.client.push(new.client.as_str().to_owned());
        self.pool.push(text(&new.pool));
        self.hint.push(text(new.hint.as_str()));
        self.urgent.push(new.urgent);
        self.key
            .push(new.key.as_ref().map(|key| text(key.as_str())));
        self.attempts.push(i64::from(attempts.get()));
        self.queue_limit.push(queue_limit.map(micros));
        self.run_limit.push(run_limit.map(micros));
        self.silence_limit.push(silence_limit.map(micros));
        self.closed
            .push(timeouts.map(|timeouts| micros(timeouts.closed)));
        self.silent
            .push(timeouts.map(|timeouts| micros(timeouts.silent)));
        self.restarted
            .push(timeouts.map(|timeouts| micros(timeouts.restarted)));
        self.kind.push(text(&details.kind));
        self.description
            .push(details.description.as_bytes().to_vec());
        self.submitted.push(at.micros());
        self.description_bytes += details.description.as_bytes().len();
        for label in &details.labels {
            self.labels.seq.push(seq);
            self.labels.name.push(text(&label.name));
            self.labels.value.push(text(&label.value));
        }
    }

    fn is_full(&self) -> bool {
        self.seq.len() >= MAX_ROWS || self.description_bytes >= MAX_BYTES
    }

    fn statements(self) -> impl Iterator<Item = Statement> {
        let Self { labels, .. } = &self;
        let labels = (!labels.seq.is_empty()).then(|| {
            Statement::new(
                "INSERT INTO labels (seq, name, value) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])",
                values![labels.seq.clone(), labels.name.clone(), labels.value.clone()],
            )
        });
        let queued = number(State::Queued);
        let jobs = (!self.seq.is_empty()).then(|| {
            Statement::new(
                "INSERT INTO jobs (seq, id, client, pool, hint, urgent, key, attempts_allowed, queue_limit, run_limit,
                     silence_limit, return_closed, return_silent, return_restarted, kind, description, submitted, since,
                     state, attempts)
                 SELECT *, $18::bigint, 0 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
                     $6::boolean[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                     $13::bigint[], $14::bigint[], $15::text[], $16::bytea[], $17::bigint[], $17::bigint[])",
                values![
                    self.seq,
                    self.id,
                    self.client,
                    self.pool,
                    self.hint,
                    self.urgent,
                    self.key,
                    self.attempts,
                    self.queue_limit,
                    self.run_limit,
                    self.silence_limit,
                    self.closed,
                    self.silent,
                    self.restarted,
                    self.kind,
                    self.description,
                    self.submitted,
                    queued,
                ],
            )
        });
        jobs.into_iter().chain(labels)
    }
}

/// Removes jobs that were submitted, with all that belongs to them.
pub(super) async fn remove(session: &Session, jobs: &[i64]) -> Result<(), StoreError> {
    let of_jobs = |sql| Statement::new(sql, values![jobs.to_vec()]);
    let statements = [
        of_jobs("DELETE FROM labels USING jobs WHERE labels.seq = jobs.seq AND jobs.id = ANY($1)"),
        of_jobs("DELETE FROM attempts WHERE job = ANY($1)"),
        of_jobs("DELETE FROM phases WHERE job = ANY($1)"),
        of_jobs("DELETE FROM logs WHERE job = ANY($1)"),
        of_jobs("DELETE FROM jobs WHERE id = ANY($1)"),
    ];
    session.run_all(&statements).await?;
    Ok(())
}

pub(super) async fn prune(
    session: &Session,
    ended_before: Time,
    at_most: u32,
) -> Result<Vec<Pruned>, StoreError> {
    let oldest = "SELECT id, attempts,
             coalesce((SELECT sum(bytes) FROM logs WHERE logs.job = jobs.id), 0)::bigint AS bytes
         FROM jobs WHERE state > 1 AND since < $1 ORDER BY since LIMIT $2";
    let rows = session
        .query(oldest, &[&ended_before.micros(), &i64::from(at_most)])
        .await?;
    let pruned = rows.iter().map(|row| {
        let row = Fields(row);
        Ok(Pruned {
            job: id(row.number("id")?),
            attempts: row.small("attempts")?,
            log_bytes: row.number("bytes")?.unsigned_abs(),
        })
    });
    let pruned = pruned.collect::<Result<Vec<_>, StoreError>>()?;
    let jobs: Vec<i64> = pruned.iter().map(|pruned| column(pruned.job)).collect();
    remove(session, &jobs).await?;
    tracing::trace!(target: "crash-point", point = "during-pruning");
    Ok(pruned)
}

pub(super) async fn wipe(
    session: &Session,
    ended_before: Time,
    at_most: u32,
) -> Result<usize, StoreError> {
    let wipe = "UPDATE jobs SET description = NULL WHERE seq IN (
             SELECT seq FROM jobs WHERE state > 1 AND description IS NOT NULL AND since < $1 ORDER BY since LIMIT $2)";
    let wiped = session
        .execute(wipe, &[&ended_before.micros(), &i64::from(at_most)])
        .await?;
    Ok(usize::try_from(wiped).unwrap_or(usize::MAX))
}
