//! Rows, as jobs.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU8;

use cluster_postgres::{Row, Session};
use jobs::{JobId, JobKey, NewJob, ReturnTimeouts, Saved, Terms, Unwatched};
use pool::{CacheHint, ClientId, Time};

use super::fields::Fields;
use crate::attempt_row::{AttemptRow, losses, stage};
use crate::columns::{column, duration, id};
use crate::shared_texts::SharedTexts;
use crate::words::{Read, state};
use crate::{AttemptRecord, Label, Record, Sealed, StoreError, Submitted};

/// The columns of a job but its description, which may be large.
pub(super) const COLUMNS: &str = "seq, id, client, pool, hint, urgent, key, attempts_allowed, queue_limit, run_limit,
    silence_limit, return_closed, return_silent, return_restarted, kind, submitted, fair_start, state, since, attempts,
    outcome, detail, exit_code, attached";

/// Returns the durable jobs that have not ended, in the order of their submissions.
pub(super) async fn unfinished(session: &Session) -> Result<Vec<Saved>, StoreError> {
    let attempts = "SELECT attempts.* FROM jobs JOIN attempts ON attempts.job = jobs.id
         WHERE jobs.state < 2 AND NOT jobs.attached ORDER BY attempts.job, attempts.number";
    let mut attempts = by_job(session.query(attempts, &[]).await?)?;
    let jobs = format!("SELECT {COLUMNS} FROM jobs WHERE state < 2 AND NOT attached ORDER BY seq");
    let mut shared = SharedTexts::default();
    let jobs = session.query(&jobs, &[]).await?.into_iter().map(|row| {
        let row = Fields(&row);
        let mut new = new_job(row)?;
        shared.share(&mut new);
        let attempts = attempts.remove(&column(new.id)).unwrap_or_default();
        saved(new, row, &attempts)
    });
    jobs.collect()
}

/// Returns the attempts of each job.
fn by_job(rows: Vec<Row>) -> Result<BTreeMap<i64, Vec<AttemptRow>>, StoreError> {
    let mut attempts: BTreeMap<i64, Vec<AttemptRow>> = BTreeMap::new();
    for row in rows {
        let row = Fields(&row);
        attempts
            .entry(row.number("job")?)
            .or_default()
            .push(attempt(row)?);
    }
    Ok(attempts)
}

fn saved(new: NewJob, row: Fields<'_>, attempts: &[AttemptRow]) -> Result<Saved, StoreError> {
    let number: u32 = row.small("attempts")?;
    let since = (state(row.number("state")?)?, row.time("since")?);
    let stage = stage(new.id, since, number, attempts)?;
    Ok(Saved {
        new,
        fair_start: row.optional_number("fair_start")?.map(Time::from_micros),
        stage,
        attempts: number,
        losses: losses(attempts)?,
    })
}

fn new_job(row: Fields<'_>) -> Result<NewJob, StoreError> {
    let id = id(row.number("id")?);
    let damaged = |what: &str| StoreError::Damaged(format!("{what} of {id}"));
    let limit = |column: &str| Ok::<_, StoreError>(row.optional_number(column)?.map(duration));
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
        attempts: NonZeroU8::new(row.small("attempts_allowed")?)
            .ok_or_else(|| damaged("number of attempts"))?,
        queue_limit: limit("queue_limit")?,
        run_limit: limit("run_limit")?,
        silence_limit: limit("silence_limit")?,
        unwatched,
    };
    Ok(NewJob {
        id,
        client: ClientId::new(&row.text("client")?).map_err(|_| damaged("client"))?,
        pool: row.text("pool")?.into(),
        hint: CacheHint::new(&row.text("hint")?),
        urgent: row.flag("urgent")?,
        key: key(row)?,
        terms,
    })
}

fn key(row: Fields<'_>) -> Result<Option<JobKey>, StoreError> {
    let key = row.optional_text("key")?;
    key.map(|key| JobKey::new(&key).map_err(|error| StoreError::Damaged(error.to_string())))
        .transpose()
}

/// Returns what three columns of a row hold; the first has this name.
fn read(row: Fields<'_>, word: &str) -> Result<Option<Read>, StoreError> {
    let Some(word) = row.optional_text(word)? else {
        return Ok(None);
    };
    let exit_code = row
        .optional_number("exit_code")?
        .map(u8::try_from)
        .transpose();
    Ok(Some(Read {
        word,
        detail: row.optional_text("detail")?,
        exit_code: exit_code
            .map_err(|_| StoreError::Damaged("an exit code above 255".to_owned()))?,
    }))
}

fn attempt(row: Fields<'_>) -> Result<AttemptRow, StoreError> {
    let end = match (read(row, "end")?, row.optional_number("ended")?) {
        (Some(read), Some(at)) => Some((read.end()?, Time::from_micros(at))),
        _ => None,
    };
    Ok(AttemptRow {
        number: row.small("number")?,
        worker: row.text("worker")?,
        survives: row.flag("survives")?,
        started: row.time("started")?,
        end,
    })
}

/// Returns a job as it was submitted.
pub(super) async fn submitted(
    session: &Session,
    job: JobId,
) -> Result<Option<Submitted>, StoreError> {
    let Some(row) = session
        .first("SELECT * FROM jobs WHERE id = $1", &[&column(job)])
        .await?
    else {
        return Ok(None);
    };
    let row = Fields(&row);
    let seq = row.number("seq")?;
    Ok(Some(Submitted {
        new: new_job(row)?,
        kind: row.text("kind")?,
        labels: labels(session, &[seq])
            .await?
            .remove(&seq)
            .unwrap_or_default(),
        state: state(row.number("state")?)?,
        description: row.optional_bytes("description")?.map(Sealed::from_bytes),
    }))
}

/// Returns what is known of a job.
pub(super) async fn record(session: &Session, job: JobId) -> Result<Option<Record>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
    let rows = session.query(&query, &[&column(job)]).await?;
    Ok(records(session, &rows).await?.pop())
}

/// Returns the jobs that rows of `jobs` are about.
pub(super) async fn records(session: &Session, rows: &[Row]) -> Result<Vec<Record>, StoreError> {
    let column = |name| {
        let column = rows.iter().map(|row| Fields(row).number(name));
        column.collect::<Result<Vec<i64>, _>>()
    };
    let (ids, places) = (column("id")?, column("seq")?);
    let attempts = "SELECT * FROM attempts WHERE job = ANY($1) ORDER BY job, number";
    let mut attempts = by_job(session.query(attempts, &[&ids]).await?)?;
    let mut labels = labels(session, &places).await?;
    let records = rows.iter().map(|row| {
        let row = Fields(row);
        let attempts = attempts.remove(&row.number("id")?).unwrap_or_default();
        let labels = labels.remove(&row.number("seq")?).unwrap_or_default();
        record_of(row, attempts, labels)
    });
    records.collect()
}

fn record_of(
    row: Fields<'_>,
    attempts: Vec<AttemptRow>,
    labels: Vec<Label>,
) -> Result<Record, StoreError> {
    let losses = attempts
        .iter()
        .filter_map(|attempt| attempt.loss().transpose());
    let losses = losses.collect::<Result<Vec<_>, _>>()?;
    let end = match read(row, "outcome")? {
        Some(read) => Some((read.outcome(losses)?, row.time("since")?)),
        None => None,
    };
    Ok(Record {
        id: id(row.number("id")?),
        client: row.text("client")?,
        pool: row.text("pool")?,
        hint: row.text("hint")?,
        urgent: row.flag("urgent")?,
        key: key(row)?,
        kind: row.text("kind")?,
        attached: row.flag("attached")?,
        labels,
        submitted: row.time("submitted")?,
        state: state(row.number("state")?)?,
        end,
        attempts: attempts.into_iter().map(AttemptRecord::from).collect(),
    })
}

/// Returns the labels of jobs by their places, in the order of their names.
async fn labels(session: &Session, places: &[i64]) -> Result<HashMap<i64, Vec<Label>>, StoreError> {
    let query = "SELECT seq, name, value FROM labels WHERE seq = ANY($1)";
    let mut labels: HashMap<i64, Vec<Label>> = HashMap::new();
    for row in session.query(query, &[&places]).await? {
        let row = Fields(&row);
        let label = Label {
            name: row.text("name")?,
            value: row.text("value")?,
        };
        labels.entry(row.number("seq")?).or_default().push(label);
    }
    labels.values_mut().for_each(|labels| labels.sort());
    Ok(labels)
}
