//! The times at which results were made and used, and their bases: the input of pruning.
//!
//! The file and its table are the reference's, so an existing store keeps its history. No build depends on it: only the
//! store knows whether a result *exists*, and the file can be rebuilt from the store.
//!
//! Uses are written together at the end of a build. Changes that cannot be written, for instance because the disk is
//! full, are kept and written later.

mod copy;
mod rows;
mod schema;
mod unwritten;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

pub(crate) use self::copy::copy;
use self::rows::Change;
use self::unwritten::Unwritten;
use crate::StepId;
use crate::store::Finished;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite could not read or write it.
    #[error("cannot use the database {}: {source}", .path.display())]
    Sqlite {
        /// Its file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// Its directory, or a file beside it, could not be created.
    #[error("cannot create {}: {source}", .path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The entry of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: StepId,
    /// The result on which it is based. `None` for a base image.
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
    /// Changes that are not written yet, in order.
    unwritten: RefCell<Unwritten>,
    /// Number of results in publication, whose rows are not written yet.
    publishing: Cell<usize>,
    /// Whether this process created the file [`behind`].
    marked: Cell<bool>,
}

impl Database {
    /// Opens the database in the directory `dir`, and creates it if it is missing.
    ///
    /// `results` returns the results of the store. It is called only if the file is new or damaged, or if the last
    /// process was killed after it may have published a result.
    pub(super) fn open<E: From<DatabaseError>>(
        dir: &Path,
        results: impl FnOnce() -> Result<Vec<Finished>, E>,
    ) -> Result<Self, E> {
        let cannot_create = |path: &Path, source| DatabaseError::Directory {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(|error| cannot_create(dir, error))?;
        let path = dir.join("db.sqlite");
        let mark = behind(&path);
        if path.exists()
            && !mark.exists()
            && let Ok(database) = Self::open_file(&path)
        {
            return Ok(database);
        }
        // If opening failed, the cause is reported below.
        File::create(&mark).map_err(|error| cannot_create(&mark, error))?;
        let results = results()?;
        let mut opened = Self::make(&path, &results);
        if let Err(source) = &opened
            && schema::is_damage(source)
        {
            tracing::warn!(
                "The database {} is damaged ({source}): rebuilding it from the store; the times of last use are \
                 lost",
                path.display()
            );
            schema::put_aside(&path).map_err(|error| cannot_create(&path, error))?;
            opened = Self::make(&path, &results);
        }
        let database = opened.map_err(|source| DatabaseError::Sqlite { path, source })?;
        remove_mark(&mark);
        Ok(database)
    }

    fn open_file(path: &Path) -> rusqlite::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            connection: schema::open(path)?,
            unwritten: RefCell::default(),
            publishing: Cell::new(0),
            marked: Cell::new(false),
        })
    }

    /// Opens the file, and makes its rows agree with the results of the store.
    fn make(path: &Path, results: &[Finished]) -> rusqlite::Result<Self> {
        let database = Self::open_file(path)?;
        rows::reconcile(&database.connection, results)?;
        Ok(database)
    }

    /// Records that a result is about to be published. Until [`published`](Self::published) or
    /// [`not_published`](Self::not_published), a process that is killed leaves a mark.
    pub(super) fn publishing(&self) {
        self.publishing.set(self.publishing.get().saturating_add(1));
        if self.marked.replace(true) {
            return;
        }
        let mark = behind(&self.path);
        if let Err(error) = File::create(&mark) {
            // The disk is full: publishing is about to fail as well.
            tracing::warn!("Cannot create {}: {error}", mark.display());
            self.marked.set(false);
        }
    }

    /// Adds a row for a result that was published.
    pub(super) fn published(&self, id: StepId, base: Option<StepId>, at: Timestamp) {
        self.remember(Change::Add { id, base, at });
        self.flush();
        self.not_published();
    }

    /// Records that the result was not published after all.
    pub(super) fn not_published(&self) {
        self.publishing.set(self.publishing.get().saturating_sub(1));
    }

    /// Records that a result was used, and adds its row if it is missing. The next [`flush`](Self::flush) writes it.
    pub(super) fn used(&self, id: StepId, base: Option<StepId>, at: Timestamp) {
        self.remember(Change::Use { id, base, at });
    }

    /// Removes the row of a removed result.
    pub(super) fn removed(&self, id: StepId) {
        self.remember(Change::Remove { id });
        self.flush();
    }

    fn remember(&self, change: Change) {
        self.unwritten.borrow_mut().push(change);
    }

    /// Writes all changes that are not written yet.
    pub(super) fn flush(&self) {
        let mut unwritten = self.unwritten.borrow_mut();
        if unwritten.is_empty() {
            return;
        }
        match rows::write(&self.connection, unwritten.changes()) {
            Ok(()) => unwritten.clear(),
            Err(error) => {
                // Once, until it works again: on a full disk this fails with every removed result.
                if unwritten.fails() {
                    tracing::warn!(
                        "Cannot write to the database {}: {error}; retrying with the next change",
                        self.path.display()
                    );
                }
                if schema::is_damage(&error) {
                    self.keep_mark();
                    unwritten.clear();
                }
                // A use may be lost. A result must not, or it would never be pruned.
                unwritten.forget_uses();
            }
        }
    }

    /// Makes the next process rebuild the file when it opens it. This cannot be undone.
    fn keep_mark(&self) {
        self.publishing();
    }

    /// Returns whether there is a row for a result.
    pub(super) fn has(&self, id: &StepId) -> Result<bool, DatabaseError> {
        self.read(|connection, unwritten| {
            if let Some(is_there) = unwritten.has(id) {
                return Ok(is_there);
            }
            connection
                .prepare_cached("SELECT 1 FROM builds WHERE id = ?1")?
                .exists([id.to_string()])
        })
    }

    /// Returns the results that are based on one.
    pub(super) fn children(&self, id: &StepId) -> Result<Vec<StepId>, DatabaseError> {
        self.read(|connection, unwritten| {
            let mut query = connection
                .prepare_cached("SELECT id FROM builds WHERE parent = ?1 ORDER BY used, rowid")?;
            let ids = query.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
            let written: rusqlite::Result<Vec<StepId>> = ids
                .filter_map(|id| id.map(|id| schema::id(&id)).transpose())
                .collect();
            Ok(unwritten.children(id, written?))
        })
    }

    /// Corrects the counts of children, which an older program may have got wrong. If it fails, for instance because
    /// the disk is full, some results stay that could be removed.
    pub(super) fn correct_counts(&self) {
        if let Err(error) =
            self.read(|connection, _| connection.execute_batch(schema::CORRECT_COUNTS))
        {
            tracing::warn!("Cannot recount the children of results: {error}");
        }
    }

    /// Returns the least recently used result that was last used before `before`, that no other is based on, and
    /// that may be removed.
    pub(super) fn oldest_leaf(
        &self,
        before: Timestamp,
        may_go: impl Fn(&StepId) -> bool,
    ) -> Result<Option<StepId>, DatabaseError> {
        self.read(|connection, unwritten| {
            if !unwritten.is_empty() {
                let entries = unwritten.apply(entries(connection)?);
                return Ok(oldest_of(entries, before, may_go));
            }
            let mut query = connection.prepare_cached(schema::LEAVES)?;
            let mut rows = query.query([schema::time(before)])?;
            while let Some(row) = rows.next()? {
                let id = schema::id(&row.get::<_, String>(0)?);
                if let Some(id) = id.filter(|id| may_go(id)) {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        })
    }

    /// Returns the number of results.
    pub(super) fn count(&self) -> Result<u64, DatabaseError> {
        self.read(|connection, unwritten| {
            if !unwritten.is_empty() {
                return Ok(unwritten.apply(entries(connection)?).len() as u64);
            }
            connection
                .prepare_cached("SELECT count(*) FROM builds")?
                .query_row([], |row| row.get(0))
        })
    }

    /// Returns the entries of all results, the oldest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, DatabaseError> {
        self.read(|connection, unwritten| Ok(unwritten.apply(entries(connection)?)))
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection, &Unwritten) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        self.flush();
        query(&self.connection, &self.unwritten.borrow()).map_err(|source| {
            if schema::is_damage(&source) {
                self.keep_mark();
            }
            DatabaseError::Sqlite {
                path: self.path.clone(),
                source,
            }
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.flush();
        let is_complete = self.publishing.get() == 0 && self.unwritten.borrow().is_empty();
        if self.marked.get() && is_complete {
            remove_mark(&behind(&self.path));
        }
    }
}

fn entries(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut query = connection
        .prepare_cached("SELECT id, parent, created, used FROM builds ORDER BY created, rowid")?;
    let mut rows = query.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.extend(schema::entry(row)?);
    }
    Ok(entries)
}

/// Returns the least recently used one that no other is based on.
fn oldest_of(
    entries: Vec<Entry>,
    before: Timestamp,
    may_go: impl Fn(&StepId) -> bool,
) -> Option<StepId> {
    let bases: HashSet<StepId> = entries.iter().filter_map(|entry| entry.base).collect();
    let leaves = entries
        .into_iter()
        .filter(|entry| entry.used < before && !bases.contains(&entry.id) && may_go(&entry.id));
    leaves.min_by_key(|entry| entry.used).map(|entry| entry.id)
}

/// Returns the file that marks that the rows may be behind the store.
fn behind(path: &Path) -> PathBuf {
    path.with_file_name("behind")
}

fn remove_mark(mark: &Path) {
    match fs::remove_file(mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // The next process then reads the store without need.
            tracing::warn!("Cannot remove {}: {error}", mark.display());
        }
        _ => {}
    }
}
