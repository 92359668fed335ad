//! Pages of the history.
//!
//! The time of a page is bounded whatever is asked for: the latest *candidates* come from the index that suits the
//! query best, a bounded number of them, and the rest of the query is checked for each until the page is full.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::load::record_of;
use crate::query::Cursor;
use crate::words::number;
use crate::{Page, Query, StoreError};

/// How many candidates a page looks at.
const MAX_CANDIDATES: i64 = 10_000;

/// The most jobs on a page.
const MAX_RECORDS: u32 = 1_000;

pub(super) fn page(connection: &Connection, query: &Query) -> Result<Page, StoreError> {
    let before = query.before.map_or(i64::MAX, |Cursor(seq)| seq);
    let (candidates, values) = candidates(query, before);
    let mut candidates = connection.prepare_cached(&candidates)?;
    let mut candidates = candidates.query(params_from_iter(&values))?;
    let (conditions, values) = conditions(query);
    let sql = format!("SELECT * FROM jobs WHERE seq = ?{conditions}");
    let mut found = connection.prepare_cached(&sql)?;
    let at_most = query.at_most.clamp(1, MAX_RECORDS) as usize;
    let mut page = Page::default();
    let (mut examined, mut last) = (0, None);
    // Most pages are full long before the candidates end.
    while page.records.len() < at_most
        && let Some(candidate) = candidates.next()?
    {
        let seq: i64 = candidate.get(0)?;
        (examined, last) = (examined + 1, Some(seq));
        let seq = Value::from(seq);
        let mut rows = found.query(params_from_iter([&seq].into_iter().chain(&values)))?;
        if let Some(row) = rows.next()? {
            page.records.push(record_of(connection, row)?);
        }
    }
    let is_full = page.records.len() == at_most;
    page.next = match last {
        Some(seq) if is_full => Some(Cursor(seq)),
        Some(seq) if examined == MAX_CANDIDATES && may_go_on(connection, query, seq)? => {
            Some(Cursor(seq))
        }
        _ => None,
    };
    Ok(page)
}

/// Tells whether jobs before this one may be recent enough.
fn may_go_on(connection: &Connection, query: &Query, seq: i64) -> rusqlite::Result<bool> {
    let Some(since) = query.since else {
        return Ok(true);
    };
    let mut statement = connection.prepare_cached("SELECT submitted FROM jobs WHERE seq = ?")?;
    let submitted = statement.query_row([seq], |row| row.get::<_, i64>(0));
    // It may have been removed just now.
    let submitted = submitted.optional()?;
    Ok(submitted.is_none_or(|submitted| submitted >= since.micros()))
}

/// Returns the statement for the candidates, and its values.
fn candidates(query: &Query, before: i64) -> (String, Vec<Value>) {
    let latest = |table: &str, conditions: &str| {
        format!(
            "SELECT seq FROM {table} WHERE {conditions}seq < ? ORDER BY seq DESC LIMIT {MAX_CANDIDATES}"
        )
    };
    if let Some(label) = query.labels.first() {
        let values = vec![
            label.name.clone().into(),
            label.value.clone().into(),
            before.into(),
        ];
        return (latest("labels", "name = ? AND value = ? AND "), values);
    }
    if let Some(client) = &query.client {
        let values = vec![client.as_str().to_owned().into(), before.into()];
        return (latest("jobs", "client = ? AND "), values);
    }
    if query.states.is_empty() {
        return (latest("jobs", ""), vec![before.into()]);
    }
    let of_each = query
        .states
        .iter()
        .map(|_| format!("SELECT seq FROM ({})", latest("jobs", "state = ? AND ")));
    let of_each = of_each.collect::<Vec<_>>().join(" UNION ");
    let values = query
        .states
        .iter()
        .flat_map(|state| [number(*state).into(), before.into()]);
    (
        format!("SELECT seq FROM ({of_each}) ORDER BY seq DESC LIMIT {MAX_CANDIDATES}"),
        values.collect(),
    )
}

/// Returns the conditions that a candidate has to meet besides its first label, and their values.
fn conditions(query: &Query) -> (String, Vec<Value>) {
    let mut sql = String::new();
    let mut values: Vec<Value> = Vec::new();
    if let Some(client) = &query.client {
        sql.push_str(" AND jobs.client = ?");
        values.push(client.as_str().to_owned().into());
    }
    if let Some(pool) = &query.pool {
        sql.push_str(" AND jobs.pool = ?");
        values.push(pool.clone().into());
    }
    if let Some(hint) = &query.hint {
        sql.push_str(" AND jobs.hint = ?");
        values.push(hint.clone().into());
    }
    if let Some(worker) = &query.worker {
        sql.push_str(" AND EXISTS (SELECT 1 FROM attempts WHERE attempts.job = jobs.id AND attempts.worker = ?)");
        values.push(worker.clone().into());
    }
    if !query.states.is_empty() {
        let places = vec!["?"; query.states.len()].join(", ");
        sql.push_str(&format!(" AND jobs.state IN ({places})"));
        values.extend(query.states.iter().map(|state| Value::from(number(*state))));
    }
    if let Some(since) = query.since {
        sql.push_str(" AND jobs.submitted >= ?");
        values.push(since.micros().into());
    }
    for label in query.labels.iter().skip(1) {
        sql.push_str(" AND EXISTS (SELECT 1 FROM labels WHERE labels.seq = jobs.seq AND name = ? AND value = ?)");
        values.extend([label.name.clone().into(), label.value.clone().into()]);
    }
    (sql, values)
}
