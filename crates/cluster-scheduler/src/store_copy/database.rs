//! The database, as a source and as a target.

use cluster_postgres::{
    Error, FromSql, Lease, Row, RowError, Session, Settings, Value, text, transact,
};

use super::files::{Files, NewFiles, cells};
use super::tables::{Cell, Kind, TABLES, Table};
use super::{CopiedTable, CopyError};
use crate::db;

/// How many rows are copied at once, and how large they are together, in bytes.
const MAX_ROWS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;

/// A database whose tables are there, and whose lease is ours.
pub(super) struct Database<'a> {
    settings: &'a Settings,
    lease: Lease,
}

impl<'a> Database<'a> {
    pub(super) fn open(settings: &'a Settings) -> Result<Self, CopyError> {
        cluster_postgres::prepare(settings, &[db::TABLES, job_store::postgres::TABLES])?;
        let holder = format!("a copy of the store (process {})", std::process::id());
        let lease = Lease::take(settings, &holder)?;
        Ok(Self { settings, lease })
    }

    /// Copies all tables of files, in one transaction.
    pub(super) fn fill(self, files: &mut Files) -> Result<Vec<CopiedTable>, CopyError> {
        transact(self.settings, self.lease, async |session| {
            let mut copied = Vec::new();
            for table in TABLES {
                if count(session, table).await? > 0 {
                    return Err(CopyError::NotEmpty {
                        place: self.settings.to_string(),
                        found: format!("its table {} has rows", table.name),
                    });
                }
            }
            for table in TABLES {
                copied.push(fill_table(session, table, files).await?);
            }
            Ok(copied)
        })
    }

    /// Copies all tables into files.
    pub(super) fn read_into(self, files: &mut NewFiles) -> Result<Vec<CopiedTable>, CopyError> {
        transact(self.settings, self.lease, async |session| {
            let mut copied = Vec::new();
            for table in TABLES {
                copied.push(read_table(session, table, files).await?);
            }
            Ok(copied)
        })
    }
}

async fn count(session: &Session, table: &Table) -> Result<u64, CopyError> {
    let count = session
        .first(&format!("SELECT count(*) FROM {}", table.name), &[])
        .await?;
    let count = count
        .map(|row| row.try_get::<_, i64>(0))
        .transpose()
        .map_err(damaged)?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

fn damaged(error: RowError) -> Error {
    Error::Damaged(error.to_string())
}

async fn fill_table(
    session: &Session,
    table: &Table,
    files: &Files,
) -> Result<CopiedTable, CopyError> {
    let (mut copied, mut left_out) = (0, 0);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut select = files.rows(table)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let Some(cells) = cells(table, row)? else {
            left_out += 1;
            continue;
        };
        bytes += cells.iter().map(Cell::size).sum::<usize>();
        batch.push(cells);
        copied += 1;
        if batch.len() >= MAX_ROWS || bytes >= MAX_BYTES {
            insert(session, table, &std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    insert(session, table, &batch).await?;
    let found = count(session, table).await?;
    checked(table, copied, found, left_out)
}

fn checked(
    table: &Table,
    copied: u64,
    found: u64,
    left_out: u64,
) -> Result<CopiedTable, CopyError> {
    let table = table.name;
    if copied != found {
        return Err(CopyError::Miscounted {
            table,
            copied,
            found,
        });
    }
    Ok(CopiedTable {
        table,
        rows: copied,
        left_out,
    })
}

async fn insert(session: &Session, table: &Table, rows: &[Vec<Cell>]) -> Result<(), CopyError> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut arrays, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::<Value>::new());
    for (index, (_, kind)) in table.columns.iter().enumerate() {
        let column = rows.iter().map(|row| row.get(index).unwrap_or(&Cell::Null));
        let (place, unexpected) = (index + 1, || table.unexpected(index));
        let (value, array, read): (Value, &str, &str) = match kind {
            Kind::Number => (numbers(column).ok_or_else(unexpected)?, "bigint", ""),
            Kind::Flag => (numbers(column).ok_or_else(unexpected)?, "bigint", " <> 0"),
            Kind::Text => (texts(column).ok_or_else(unexpected)?, "text", ""),
            Kind::Date => (texts(column).ok_or_else(unexpected)?, "text", "::date"),
            Kind::Real => {
                let reals = column.map(|cell| match cell {
                    Cell::Null => Some(None),
                    Cell::Real(number) => Some(Some(*number)),
                    _ => None,
                });
                let reals: Option<Vec<Option<f64>>> = reals.collect();
                (
                    Box::new(reals.ok_or_else(unexpected)?),
                    "double precision",
                    "",
                )
            }
            Kind::Bytes => {
                let bytes = column.map(|cell| match cell {
                    Cell::Null => Some(None),
                    Cell::Bytes(bytes) => Some(Some(bytes.clone())),
                    _ => None,
                });
                let bytes: Option<Vec<Option<Vec<u8>>>> = bytes.collect();
                (Box::new(bytes.ok_or_else(unexpected)?), "bytea", "")
            }
        };
        values.push(value);
        arrays.push(format!("${place}::{array}[]"));
        columns.push(format!("c{place}{read}"));
    }
    let names: Vec<String> = (1..=columns.len())
        .map(|place| format!("c{place}"))
        .collect();
    let insert = format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS rows ({})",
        table.name,
        table.column_list(),
        columns.join(", "),
        arrays.join(", "),
        names.join(", ")
    );
    let values: Vec<_> = values.iter().map(|value| &**value as _).collect();
    session.execute(&insert, &values).await?;
    Ok(())
}

fn numbers<'a>(column: impl Iterator<Item = &'a Cell>) -> Option<Value> {
    let numbers = column.map(|cell| match cell {
        Cell::Null => Some(None),
        Cell::Number(number) => Some(Some(*number)),
        _ => None,
    });
    Some(Box::new(numbers.collect::<Option<Vec<Option<i64>>>>()?))
}

fn texts<'a>(column: impl Iterator<Item = &'a Cell>) -> Option<Value> {
    let texts = column.map(|cell| match cell {
        Cell::Null => Some(None),
        Cell::Text(words) => Some(Some(text::encode(words).into_owned())),
        _ => None,
    });
    Some(Box::new(texts.collect::<Option<Vec<Option<String>>>>()?))
}

async fn read_table(
    session: &Session,
    table: &Table,
    files: &mut NewFiles,
) -> Result<CopiedTable, CopyError> {
    let columns = table.columns.iter().map(|(name, kind)| match kind {
        Kind::Flag => format!("\"{name}\"::int::bigint"),
        Kind::Date => format!("\"{name}\"::text"),
        Kind::Number | Kind::Real | Kind::Text | Kind::Bytes => format!("\"{name}\""),
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let name = table.name;
    session
        .run(&format!(
            "DECLARE copied NO SCROLL CURSOR FOR SELECT {columns} FROM {name}"
        ))
        .await?;
    let mut copied = 0;
    // Descriptions may be 8 MiB each.
    let fetch = if name == "jobs" {
        "FETCH 50 FROM copied"
    } else {
        "FETCH 1000 FROM copied"
    };
    loop {
        // Not prepared for the next table: the cursor is another one then.
        let found = session.query_once(fetch).await?;
        if found.is_empty() {
            break;
        }
        let rows = found
            .iter()
            .map(|row| cells_of(table, row))
            .collect::<Result<Vec<_>, _>>()?;
        copied += rows.len() as u64;
        files.add(table, rows)?;
    }
    session.run("CLOSE copied").await?;
    checked(table, copied, files.count(table)?, 0)
}

fn cells_of(table: &Table, row: &Row) -> Result<Vec<Cell>, CopyError> {
    let cells = table.columns.iter().enumerate().map(|(index, (_, kind))| {
        Ok::<_, Error>(match kind {
            Kind::Number | Kind::Flag => optional(row, index)?.map_or(Cell::Null, Cell::Number),
            Kind::Real => optional(row, index)?.map_or(Cell::Null, Cell::Real),
            Kind::Text | Kind::Date => {
                optional(row, index)?.map_or(Cell::Null, |found| Cell::Text(text::decode(found)))
            }
            Kind::Bytes => optional(row, index)?.map_or(Cell::Null, Cell::Bytes),
        })
    });
    Ok(cells.collect::<Result<_, _>>()?)
}

fn optional<T: for<'b> FromSql<'b>>(row: &Row, index: usize) -> Result<Option<T>, Error> {
    row.try_get(index).map_err(damaged)
}
