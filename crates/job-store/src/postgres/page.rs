//! Pages of the history.
//!
//! As with SQLite, the time of a page is bounded: the latest *candidates* come from the index that suits the query
//! best, a bounded number of them, and the rest of the query is checked for each until the page is full.

use cluster_postgres::{Session, ToSql, Value};

use super::fields::{Fields, text};
use super::load::{COLUMNS, records};
use crate::query::Cursor;
use crate::words::number;
use crate::{Page, Query, StoreError};

/// How many candidates a page looks at.
const MAX_CANDIDATES: i64 = 10_000;

/// The most jobs on a page.
const MAX_RECORDS: u32 = 1_000;

pub(super) async fn page(session: &Session, query: &Query) -> Result<Page, StoreError> {
    let before = query.before.map_or(i64::MAX, |Cursor(seq)| seq);
    let at_most = query.at_most.clamp(1, MAX_RECORDS);
    let mut values = Values::default();
    let candidates = candidates(&mut values, query, before);
    let examined = values.0.len();
    let conditions = conditions(&mut values, query);
    // OFFSET 0: each candidate is looked up by itself, whatever the database expects to find.
    let sql = format!(
        "SELECT found.* FROM ({candidates}) AS candidates CROSS JOIN LATERAL (
             SELECT {COLUMNS} FROM jobs WHERE jobs.seq = candidates.seq{conditions} OFFSET 0) AS found
         ORDER BY candidates.seq DESC LIMIT {at_most}"
    );
    let rows = session.query(&sql, &values.all()).await?;
    let next = if rows.len() == at_most as usize {
        let last = rows.last().map(|row| Fields(row).number("seq"));
        last.transpose()?.map(Cursor)
    } else {
        values.0.truncate(examined);
        after_all(session, query, &candidates, &values).await?
    };
    Ok(Page {
        records: records(session, &rows).await?,
        next,
    })
}

/// Returns where the next page begins when all candidates of this one were looked at.
async fn after_all(
    session: &Session,
    query: &Query,
    candidates: &str,
    values: &Values,
) -> Result<Option<Cursor>, StoreError> {
    let sql = format!(
        "SELECT count(*) AS examined, min(candidates.seq) AS last,
             (SELECT submitted FROM jobs WHERE seq = min(candidates.seq)) AS submitted
         FROM ({candidates}) AS candidates"
    );
    let Some(row) = session.first(&sql, &values.all()).await? else {
        return Ok(None);
    };
    let row = Fields(&row);
    if row.number("examined")? < MAX_CANDIDATES {
        return Ok(None);
    }
    // Jobs before it may be recent enough, or it may have been removed just now.
    let submitted = row.optional_number("submitted")?;
    let may_go_on = match (query.since, submitted) {
        (Some(since), Some(submitted)) => submitted >= since.micros(),
        _ => true,
    };
    Ok(row
        .optional_number("last")?
        .filter(|_| may_go_on)
        .map(Cursor))
}

/// The values of a statement that is being written.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    /// Adds a value, and returns what stands for it in the statement.
    fn add(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.0.push(Box::new(value));
        format!("${}", self.0.len())
    }

    fn all(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0
            .iter()
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect()
    }
}

/// Returns the statement for the candidates.
fn candidates(values: &mut Values, query: &Query, before: i64) -> String {
    let before = values.add(before);
    let latest = |table: &str, conditions: &str| {
        format!(
            "SELECT seq FROM {table} WHERE {conditions}seq < {before} ORDER BY seq DESC LIMIT {MAX_CANDIDATES}"
        )
    };
    if let Some(label) = query.labels.first() {
        let (name, value) = (
            values.add(text(&label.name)),
            values.add(text(&label.value)),
        );
        return latest("labels", &format!("name = {name} AND value = {value} AND "));
    }
    if let Some(client) = &query.client {
        let client = values.add(client.as_str().to_owned());
        return latest("jobs", &format!("client = {client} AND "));
    }
    if query.states.is_empty() {
        return latest("jobs", "");
    }
    let of_each = query.states.iter().map(|state| {
        let state = values.add(number(*state));
        format!("({})", latest("jobs", &format!("state = {state} AND ")))
    });
    let of_each = of_each.collect::<Vec<_>>().join(" UNION ");
    format!("SELECT seq FROM ({of_each}) AS of_states ORDER BY seq DESC LIMIT {MAX_CANDIDATES}")
}

/// Returns the conditions that a candidate has to meet besides its first label.
fn conditions(values: &mut Values, query: &Query) -> String {
    let mut sql = String::new();
    if let Some(client) = &query.client {
        sql += &format!(
            " AND jobs.client = {}",
            values.add(client.as_str().to_owned())
        );
    }
    if let Some(pool) = &query.pool {
        sql += &format!(" AND jobs.pool = {}", values.add(text(pool)));
    }
    if let Some(hint) = &query.hint {
        sql += &format!(" AND jobs.hint = {}", values.add(text(hint)));
    }
    if let Some(worker) = &query.worker {
        let worker = values.add(text(worker));
        sql += &format!(
            " AND EXISTS (SELECT FROM attempts WHERE attempts.job = jobs.id AND attempts.worker = {worker})"
        );
    }
    if !query.states.is_empty() {
        let states: Vec<i64> = query.states.iter().map(|state| number(*state)).collect();
        sql += &format!(" AND jobs.state = ANY({})", values.add(states));
    }
    if let Some(since) = query.since {
        sql += &format!(" AND jobs.submitted >= {}", values.add(since.micros()));
    }
    for label in query.labels.iter().skip(1) {
        let (name, value) = (
            values.add(text(&label.name)),
            values.add(text(&label.value)),
        );
        sql += &format!(
            " AND EXISTS (SELECT FROM labels WHERE labels.seq = jobs.seq AND name = {name} AND value = {value})"
        );
    }
    sql
}
