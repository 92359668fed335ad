//! Where results live, by kind of filesystem.
//!
//! [`open`] returns the store that a [`StoreSpec`] names. Stores that keep a result as a directory share one
//! implementation of `Store` (`directories`), over a `Backend` with the differences. ZFS, which keeps datasets,
//! has its own `Store`.

mod backend;
mod background;
mod btrfs;
mod caches;
mod directories;
mod error;
mod filesystem;
mod guest;
mod layout;
mod lock;
mod marks;
mod open;
mod overlay;
mod private;
mod program;
mod reserve;
mod rsync;
mod shared;
mod space;
mod spec;
mod trash;
mod tree;
mod usage;
mod xfs;
mod zfs;

use std::fmt;
use std::path::{Path, PathBuf};

use bstr::BString;
use futures::future::LocalBoxFuture;
use obuilder_spec::User;

use crate::StepId;

pub use error::{OpenError, StoreError};
pub use open::{open, open_for_reading};
pub use space::Space;
pub use spec::{RsyncMode, StoreKind, StorePlace, StoreSpec, StoreSpecError};
pub use tree::remove as remove_tree;
pub use usage::{CacheUsage, Usage};

/// Keeps the results of steps, each under its id, and the directories that steps share.
///
/// A result never changes. A step works in a [`Draft`], a writable copy of its base's result, which is then published
/// under the step's id or discarded. The caller never requests two drafts of one id at once, nor one of an id that has
/// a result. Files that a killed process leaves behind are removed when the store is next opened.
pub trait Store {
    /// Returns the directory of the store.
    fn root(&self) -> &Path;

    /// Returns the directory for everything but results: the database, the sandbox's state.
    fn state_dir(&self) -> &Path;

    /// Returns the finished result of a step, if there is one. Fast: it mounts nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn result(&self, id: &StepId) -> Result<Option<Finished>, StoreError>;

    /// Returns all results with their bases, from which the database can be rebuilt.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn results(&self) -> Result<Vec<Finished>, StoreError>;

    /// Creates the draft of a step: from the result `base`, or empty.
    ///
    /// # Errors
    /// [`StoreError::NoBase`] if there is no such result.
    fn begin<'a>(
        &'a self,
        id: &'a StepId,
        base: Option<&'a StepId>,
    ) -> LocalBoxFuture<'a, Result<Draft, StoreError>>;

    /// Makes a draft the result of its step: wholly, or after an error or a crash not at all. No process can
    /// write to it any more.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if a process still has a file of it open for writing, and that cannot be undone.
    fn publish(&self, draft: Draft) -> LocalBoxFuture<'_, Result<Finished, StoreError>>;

    /// Removes a draft, its mounts included.
    fn discard(&self, draft: Draft) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Removes a result. It is no error if there is none. The caller has removed those that are based on it.
    fn delete<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Mounts the whole root filesystem of a result, for reading.
    ///
    /// # Errors
    /// [`StoreError::NoBase`] if there is no such result.
    fn view<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<View, StoreError>>;

    /// Creates a private writable copy of the cache `name` for `owner`. Creates the cache if it is missing.
    fn acquire_cache<'a>(
        &'a self,
        name: &'a CacheName,
        owner: &'a User,
    ) -> LocalBoxFuture<'a, Result<CacheCopy, StoreError>>;

    /// Returns a copy: it becomes the cache if no other copy has since it was taken, and is dropped otherwise.
    fn release_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Removes a copy, with its changes.
    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Returns the caches.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn caches(&self) -> Result<Vec<CacheName>, StoreError>;

    /// Removes a cache. Its copies in use are dropped when they are returned.
    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Waits until the space of deleted results is free, as far as the filesystem reports it.
    fn complete_deletes(&self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Waits until all published results are on the disk.
    fn sync(&self) -> LocalBoxFuture<'_, ()>;

    /// Returns the disk usage of each of these results that no other shares: what it added to its base. `None` for
    /// a result that does not exist or cannot be measured.
    fn usages<'a>(
        &'a self,
        ids: &'a [StepId],
    ) -> LocalBoxFuture<'a, Result<Vec<Option<Usage>>, StoreError>>;

    /// Returns the disk usage of a cache, and when it last changed. `None` if there is no such cache.
    fn cache_usage<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<Option<CacheUsage>, StoreError>>;

    /// Returns the free space of the store's disk.
    ///
    /// # Errors
    /// If the filesystem does not report it.
    fn space(&self) -> Result<Space, StoreError>;
}

/// A finished result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its step.
    pub id: StepId,
    /// The result on which it is based. `None` for a base image.
    pub base: Option<StepId>,
    /// Its directory, with the files `log` and `env`. It need not have the whole root filesystem: use a [`View`].
    pub dir: PathBuf,
}

/// A step in progress.
#[derive(Debug)]
pub struct Draft {
    /// Its step.
    pub id: StepId,
    /// The result on which it is based.
    pub base: Option<StepId>,
    /// Its directory, for the files `log` and `env`; the base's `env` is there, and no log.
    pub dir: PathBuf,
    /// The root filesystem, writable. A directory that exists, empty and of mode 0755 if there is no base.
    pub rootfs: PathBuf,
    /// Whether other processes than the step's may have descriptors by which they can write to it: the step shared a
    /// network with them, and its sockets can pass descriptors on. Some stores then publish a copy.
    pub is_exposed: bool,
}

/// The root filesystem of a result, which stays mounted while this exists.
#[derive(Debug)]
pub struct View {
    rootfs: PathBuf,
    /// Unmounts it.
    _undo: Option<Undo>,
}

/// A function that is called when this is dropped.
struct Undo(Option<Box<dyn FnOnce()>>);

impl View {
    /// Returns a view without a mount.
    pub fn plain(rootfs: PathBuf) -> Self {
        Self {
            rootfs,
            _undo: None,
        }
    }

    /// Returns a view that calls `undo` when it is dropped.
    pub fn with_undo(rootfs: PathBuf, undo: impl FnOnce() + 'static) -> Self {
        Self {
            rootfs,
            _undo: Some(Undo(Some(Box::new(undo)))),
        }
    }

    /// Returns its root directory.
    pub fn rootfs(&self) -> &Path {
        &self.rootfs
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Undo")
    }
}

/// The name of a cache, as in a spec.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName(pub BString);

/// A step's own copy of a cache.
#[derive(Debug)]
pub struct CacheCopy {
    /// Its cache.
    pub name: CacheName,
    /// Its directory.
    pub path: PathBuf,
    /// The store's number for this copy.
    pub number: u64,
}
