//! The SQLite files of a state directory: as a source, and as a target that gets its names at the end.

use std::path::{Path, PathBuf};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::CopyError;
use super::tables::{Cell, File, Kind, Table};
use crate::db::{self, UnixTime};
use crate::state_dir::StateDir;

/// Files that are read.
pub(super) struct Files {
    scheduler: Connection,
    jobs: Connection,
}

impl Files {
    /// Opens the files of a state directory, which is locked, and brings them up to date.
    pub(super) fn open(state_dir: &StateDir, shown: &Path) -> Result<Self, CopyError> {
        let files = [
            ("scheduler.db", state_dir.database()),
            ("jobs.db", state_dir.jobs_database()),
        ];
        for (file, path) in &files {
            if is_empty(path) {
                let place = shown.to_owned();
                return Err(CopyError::NothingThere { place, file });
            }
        }
        open_both(&state_dir.database(), &state_dir.jobs_database())
    }

    fn file(&self, file: File) -> &Connection {
        match file {
            File::Scheduler => &self.scheduler,
            File::Jobs => &self.jobs,
        }
    }

    /// Returns the statement that reads a table.
    pub(super) fn rows<'a>(&'a self, table: &Table) -> Result<rusqlite::Statement<'a>, CopyError> {
        let columns = table.columns.iter().map(|(name, kind)| match kind {
            Kind::Real => format!("CAST(\"{name}\" AS REAL)"),
            Kind::Flag => format!("coalesce(\"{name}\", 0)"),
            Kind::Number | Kind::Text | Kind::Bytes | Kind::Date => format!("\"{name}\""),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let select = format!("SELECT {columns} FROM {}", table.name);
        Ok(self.file(table.file).prepare(&select)?)
    }
}

/// Tells whether there is no database in a file. To lock a state directory makes empty ones.
fn is_empty(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.len() == 0) || !file.exists()
}

/// Makes the tables that are missing, and opens both files. Hints do not expire by it.
fn open_both(scheduler: &Path, jobs: &Path) -> Result<Files, CopyError> {
    drop(db::open(scheduler, UnixTime(0))?);
    drop(job_store::sqlite::open(jobs)?);
    Ok(Files {
        scheduler: Connection::open(scheduler)?,
        jobs: Connection::open(jobs)?,
    })
}

/// Returns the values of a row; `None` if a text is not UTF-8.
pub(super) fn cells(
    table: &Table,
    row: &rusqlite::Row<'_>,
) -> Result<Option<Vec<Cell>>, CopyError> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (index, (_, kind)) in table.columns.iter().enumerate() {
        let cell = match (kind, row.get_ref(index)?) {
            (_, ValueRef::Null) => Cell::Null,
            (Kind::Number | Kind::Flag, ValueRef::Integer(number)) => Cell::Number(number),
            (Kind::Real, ValueRef::Real(number)) => Cell::Real(number),
            (Kind::Bytes, ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => {
                Cell::Bytes(bytes.to_vec())
            }
            // Upstream stores texts as either.
            (Kind::Text | Kind::Date, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
                match std::str::from_utf8(bytes) {
                    Ok(text) => Cell::Text(text.to_owned()),
                    Err(_) => return Ok(None),
                }
            }
            _ => return Err(table.unexpected(index)),
        };
        cells.push(cell);
    }
    Ok(Some(cells))
}

/// Files that are written. They are removed unless they are published.
pub(super) struct NewFiles {
    files: Option<Files>,
    /// Each with the name that it gets.
    names: [(PathBuf, PathBuf); 2],
}

impl NewFiles {
    /// Makes files beside those that a scheduler would use, which must not exist.
    pub(super) fn make(state_dir: &StateDir, shown: &Path) -> Result<Self, CopyError> {
        let names = [state_dir.jobs_database(), state_dir.database()];
        for name in &names {
            if !is_empty(name) {
                return Err(CopyError::NotEmpty {
                    place: shown.display().to_string(),
                    found: format!("there is {}", name.display()),
                });
            }
        }
        let names = names.map(|name| {
            let mut draft = name.clone().into_os_string();
            draft.push(".copy");
            (PathBuf::from(draft), name)
        });
        // Those of a process that was killed.
        names.iter().for_each(|(draft, _)| remove(draft));
        let [(jobs, _), (scheduler, _)] = &names;
        let files = open_both(scheduler, jobs)?;
        for file in [&files.scheduler, &files.jobs] {
            file.execute_batch("PRAGMA synchronous = FULL; BEGIN")?;
        }
        Ok(Self {
            files: Some(files),
            names,
        })
    }

    /// Adds rows to a table.
    pub(super) fn add(&mut self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), CopyError> {
        let Some(files) = &self.files else {
            return Ok(());
        };
        let places = vec!["?"; table.columns.len()].join(", ");
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({places})",
            table.name,
            table.column_list()
        );
        let mut insert = files.file(table.file).prepare_cached(&insert)?;
        for row in rows {
            let values = row.into_iter().map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Number(number) => Value::Integer(number),
                Cell::Real(number) => Value::Real(number),
                Cell::Text(text) => Value::Text(text),
                Cell::Bytes(bytes) => Value::Blob(bytes),
            });
            insert.execute(params_from_iter(values))?;
        }
        Ok(())
    }

    pub(super) fn count(&self, table: &Table) -> Result<u64, CopyError> {
        let Some(files) = &self.files else {
            return Ok(0);
        };
        let count = format!("SELECT count(*) FROM {}", table.name);
        let count: i64 = files
            .file(table.file)
            .query_row(&count, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Gives the files their names.
    pub(super) fn publish(mut self) -> Result<(), CopyError> {
        let Some(Files { scheduler, jobs }) = self.files.take() else {
            return Ok(());
        };
        for file in [scheduler, jobs] {
            file.execute_batch("COMMIT")?;
            // All is in the file itself, and none beside it.
            file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            file.close().map_err(|(_, error)| error)?;
        }
        for (draft, name) in &self.names {
            std::fs::rename(draft, name)?;
        }
        if let Some(folder) = self.names[0].1.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        self.files = None;
        self.names.iter().for_each(|(draft, _)| remove(draft));
    }
}

/// Removes a file of SQLite, with those beside it. What cannot be removed is found the next time.
fn remove(file: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.to_owned().into_os_string();
        name.push(suffix);
        if let Err(error) = std::fs::remove_file(&name)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(target: "scheduler", "Cannot remove {}: {error}", Path::new(&name).display());
        }
    }
}
