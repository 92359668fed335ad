//! When each result was made and used, and which are based on it: what decides about pruning.
//!
//! The file and its table are the reference's, so an existing store keeps its history. It knows nothing that a build
//! needs: whether there *is* a result only the store says, and from the store the file can be made again.
//!
//! Uses are remembered and written together at the end of a build. What could not be written, because the disk is full,
//! say, is kept and tried again.

mod schema;

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::StepId;
use crate::store::Finished;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite could not read or write it.
    #[error("the database {path:?}: {source}")]
    Sqlite {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Its directory could not be made, or a file beside it.
    #[error("cannot make {path:?}: {source}")]
    Directory {
        /// What could not be made.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is known of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which one it is.
    pub id: StepId,
    /// What it was made from. `None` for a base image.
    pub base: Option<StepId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
}

/// The database of a store.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    /// What is not written yet, in order.
    unwritten: RefCell<Vec<Change>>,
    /// How many results are being published whose rows are not here yet.
    publishing: Cell<usize>,
    /// Whether the file [`behind`](Self::behind) is there.
    marked: Cell<bool>,
}

#[derive(Debug, Clone)]
enum Change {
    Add {
        id: StepId,
        base: Option<StepId>,
        at: Timestamp,
    },
    Use {
        id: StepId,
        base: Option<StepId>,
        at: Timestamp,
    },
    Remove {
        id: StepId,
    },
}

impl Database {
    /// Opens the database in the directory `dir`, making it if need be.
    ///
    /// `results` says what the store has. It is only asked if the file is new or damaged, or if the last process was
    /// killed after it may have published something.
    pub(super) fn open<E: From<DatabaseError>>(
        dir: &Path,
        results: impl Fn() -> Result<Vec<Finished>, E>,
    ) -> Result<Self, E> {
        fs::create_dir_all(dir).map_err(|source| DatabaseError::Directory {
            path: dir.to_owned(),
            source,
        })?;
        let path = dir.join("db.sqlite");
        let fresh = !path.exists();
        let marked = behind(&path).exists();
        let database = match Self::open_file(&path, marked) {
            Ok(database) if !fresh && !marked => return Ok(database),
            Ok(database) => match database.reconcile(&results()?) {
                Ok(()) => database,
                Err(source) => Self::open_again(&path, source, &results()?)?,
            },
            Err(source) => Self::open_again(&path, source, &results()?)?,
        };
        database.unmark();
        Ok(database)
    }

    fn open_file(path: &Path, marked: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            connection: schema::open(path)?,
            unwritten: RefCell::default(),
            publishing: Cell::new(0),
            marked: Cell::new(marked),
        })
    }

    /// Puts a damaged file aside and makes a new one.
    fn open_again(
        path: &Path,
        source: rusqlite::Error,
        results: &[Finished],
    ) -> Result<Self, DatabaseError> {
        let sqlite = |source| DatabaseError::Sqlite {
            path: path.to_owned(),
            source,
        };
        if !schema::is_damage(&source) {
            return Err(sqlite(source));
        }
        tracing::warn!(
            "The database {} is damaged ({source}): making it again from the store; when each result was last used is lost",
            path.display()
        );
        schema::put_aside(path).map_err(|source| DatabaseError::Directory {
            path: path.with_extension("damaged"),
            source,
        })?;
        let database = Self::open_file(path, true).map_err(sqlite)?;
        database.reconcile(results).map_err(sqlite)?;
        Ok(database)
    }

    /// Makes the rows agree with what the store has.
    fn reconcile(&self, results: &[Finished]) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute_batch("CREATE TEMP TABLE present (id TEXT PRIMARY KEY)")?;
        for Finished { id, base, dir } in results {
            let id = id.to_string();
            let made = made(dir);
            transaction
                .prepare_cached("INSERT OR IGNORE INTO present (id) VALUES (?1)")?
                .execute([&id])?;
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO builds (id, created, used, rc, parent) VALUES (?1, ?2, ?2, 0, ?3)",
                )?
                .execute(params![id, made, base.map(|base| base.to_string())])?;
        }
        transaction.execute_batch(
            "DELETE FROM builds WHERE id NOT IN (SELECT id FROM present); DROP TABLE present;",
        )?;
        transaction.execute_batch(schema::MEND_COUNTS)?;
        transaction.commit()
    }

    /// Says that a result is about to be published. From now on, until [`published`](Self::published) or
    /// [`not_published`](Self::not_published), a process that is killed leaves a mark.
    pub(super) fn publishing(&self) {
        self.publishing.set(self.publishing.get().saturating_add(1));
        if self.marked.replace(true) {
            return;
        }
        let mark = behind(&self.path);
        if let Err(error) = File::create(&mark) {
            // The disk is full: then publishing is about to fail as well.
            tracing::warn!("Cannot make {}: {error}", mark.display());
            self.marked.set(false);
        }
    }

    /// Adds a row for a result that was published.
    pub(super) fn published(&self, id: StepId, base: Option<StepId>, at: Timestamp) {
        self.unwritten
            .borrow_mut()
            .push(Change::Add { id, base, at });
        self.flush();
        self.not_published();
    }

    /// Says that the result was not published after all.
    pub(super) fn not_published(&self) {
        self.publishing.set(self.publishing.get().saturating_sub(1));
    }

    /// Remembers that a result was used, and adds its row should it be missing. It is written by the next
    /// [`flush`](Self::flush).
    pub(super) fn used(&self, id: StepId, base: Option<StepId>, at: Timestamp) {
        self.unwritten
            .borrow_mut()
            .push(Change::Use { id, base, at });
    }

    /// Removes the row of a result that is gone.
    pub(super) fn removed(&self, id: StepId) {
        self.unwritten.borrow_mut().push(Change::Remove { id });
        self.flush();
    }

    /// Writes what is not written yet.
    pub(super) fn flush(&self) {
        let mut unwritten = self.unwritten.borrow_mut();
        if unwritten.is_empty() {
            return;
        }
        match self.write(&unwritten) {
            Ok(()) => unwritten.clear(),
            Err(error) => {
                tracing::warn!(
                    "Cannot write to the database {}: {error}",
                    self.path.display()
                );
                if schema::is_damage(&error) {
                    self.keep_mark();
                    unwritten.clear();
                }
                // A use may be forgotten. A result may not, or nobody would ever prune it.
                unwritten.retain(|change| !matches!(change, Change::Use { .. }));
            }
        }
    }

    /// Lets the file be made again when it is opened the next time: nothing ever takes this back.
    fn keep_mark(&self) {
        self.publishing();
    }

    fn write(&self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        for change in changes {
            match change {
                Change::Add { id, base, at } => {
                    add(&transaction, id, base.as_ref(), &schema::time(*at))?;
                }
                Change::Use { id, base, at } => {
                    let known = transaction
                        .prepare_cached("UPDATE builds SET used = ?2 WHERE id = ?1")?
                        .execute([id.to_string(), schema::time(*at)])?;
                    if known == 0 {
                        add(&transaction, id, base.as_ref(), &schema::time(*at))?;
                    }
                }
                Change::Remove { id } => remove(&transaction, id)?,
            }
        }
        transaction.commit()
    }

    /// Returns whether there is a row for a result.
    pub(super) fn has(&self, id: &StepId) -> Result<bool, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT 1 FROM builds WHERE id = ?1")?
                .exists([id.to_string()])
        })
    }

    /// Returns the results that are based on one.
    pub(super) fn children(&self, id: &StepId) -> Result<Vec<StepId>, DatabaseError> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT id FROM builds WHERE parent = ?1 ORDER BY used, rowid")?;
            let ids = query.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
            ids.filter_map(|id| id.map(|id| schema::id(&id)).transpose())
                .collect()
        })
    }

    /// Makes the counts of children right, which an older program may have got wrong.
    pub(super) fn mend_counts(&self) -> Result<(), DatabaseError> {
        self.read(|connection| connection.execute_batch(schema::MEND_COUNTS))
    }

    /// Returns the result that was used the longest ago, before `before`, of those that nothing is based on and that
    /// may go.
    pub(super) fn oldest_leaf(
        &self,
        before: Timestamp,
        may_go: impl Fn(&StepId) -> bool,
    ) -> Result<Option<StepId>, DatabaseError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id FROM builds WHERE rc = 0 AND used < ?1 ORDER BY used, rowid",
            )?;
            let mut rows = query.query([schema::time(before)])?;
            while let Some(row) = rows.next()? {
                if let Some(id) = schema::id(&row.get::<_, String>(0)?).filter(&may_go) {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        })
    }

    /// Returns how many results there are.
    pub(super) fn count(&self) -> Result<u64, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT count(*) FROM builds")?
                .query_row([], |row| row.get(0))
        })
    }

    /// Returns what is known of every result, the oldest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, DatabaseError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, parent, created, used FROM builds ORDER BY created, rowid",
            )?;
            let mut rows = query.query([])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.extend(schema::entry(row)?);
            }
            Ok(entries)
        })
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        self.flush();
        query(&self.connection).map_err(|source| {
            if schema::is_damage(&source) {
                self.keep_mark();
            }
            DatabaseError::Sqlite {
                path: self.path.clone(),
                source,
            }
        })
    }

    fn unmark(&self) {
        if self.marked.replace(false)
            && let Err(error) = fs::remove_file(behind(&self.path))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("Cannot remove {}: {error}", behind(&self.path).display());
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.flush();
        if self.publishing.get() == 0 && self.unwritten.borrow().is_empty() {
            self.unmark();
        }
    }
}

/// Returns the file that is there while the rows may be behind the store.
fn behind(path: &Path) -> PathBuf {
    path.with_file_name("behind")
}

/// Returns when a result was made, as far as its directory tells.
fn made(dir: &Path) -> String {
    let modified = fs::metadata(dir).and_then(|dir| dir.modified()).ok();
    let at = modified.and_then(|at| Timestamp::try_from(at).ok());
    schema::time(at.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn add(
    connection: &Connection,
    id: &StepId,
    base: Option<&StepId>,
    at: &str,
) -> rusqlite::Result<()> {
    let (id, base) = (id.to_string(), base.map(StepId::to_string));
    let again = connection
        .prepare_cached("UPDATE builds SET created = ?2, used = ?2 WHERE id = ?1")?
        .execute(params![id, at])?;
    if again > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO builds (id, created, used, rc, parent)
             VALUES (?1, ?2, ?2, (SELECT count(*) FROM builds WHERE parent = ?1), ?3)",
        )?
        .execute(params![id, at, base])?;
    connection
        .prepare_cached("UPDATE builds SET rc = rc + 1 WHERE id = ?1")?
        .execute([base])?;
    Ok(())
}

fn remove(connection: &Connection, id: &StepId) -> rusqlite::Result<()> {
    let base: Option<Option<String>> = connection
        .prepare_cached("DELETE FROM builds WHERE id = ?1 RETURNING parent")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    connection
        .prepare_cached("UPDATE builds SET rc = max(rc - 1, 0) WHERE id = ?1")?
        .execute([base.flatten()])?;
    Ok(())
}
