//! Where results live, by kind of filesystem.
//!
//! [`open`] gives the store that a [`StoreSpec`] names. Those that keep a result as a directory share one `Store`
//! (`directories.rs`) over what differs between them, a `Backend`; ZFS, which keeps datasets, has a `Store` of its own.

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
/// under the step's id or discarded. The caller never asks for two drafts of one id at once, nor for one of an id that
/// has a result. Whatever a process leaves behind that was killed is cleaned up when the store is opened again.
pub trait Store {
    /// Returns the directory of the store.
    fn root(&self) -> &Path;

    /// Returns where to keep what is not a result: the database, the sandbox's state.
    fn state_dir(&self) -> &Path;

    /// Returns the finished result of a step, if there is one. Quick: it looks, and does not mount.
    fn result(&self, id: &StepId) -> Result<Option<Finished>, StoreError>;

    /// Returns every result there is, with its base: what the database can be made from.
    fn results(&self) -> Result<Vec<Finished>, StoreError>;

    /// Starts a step: from the result `base`, or from nothing.
    ///
    /// # Errors
    /// [`StoreError::NoBase`] if there is no such result.
    fn begin<'a>(
        &'a self,
        id: &'a StepId,
        base: Option<&'a StepId>,
    ) -> LocalBoxFuture<'a, Result<Draft, StoreError>>;

    /// Makes a draft the result of its step: wholly, or after an error or a crash not at all. Nobody can write to it any more.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if somebody still has a file of it open for writing, and that cannot be undone.
    fn publish(&self, draft: Draft) -> LocalBoxFuture<'_, Result<Finished, StoreError>>;

    /// Removes a draft, its mounts included.
    fn discard(&self, draft: Draft) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Removes a result. It is no error if there is none. The caller has removed those that are based on it.
    fn delete<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Shows the whole root filesystem of a result, for reading.
    ///
    /// # Errors
    /// [`StoreError::NoBase`] if there is no such result.
    fn view<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<View, StoreError>>;

    /// Takes a private writable copy of the cache `name`, which is made if need be, for `owner`.
    fn acquire_cache<'a>(
        &'a self,
        name: &'a CacheName,
        owner: &'a User,
    ) -> LocalBoxFuture<'a, Result<CacheCopy, StoreError>>;

    /// Gives a copy back: it becomes the cache if nobody else's has since it was taken, and is dropped otherwise.
    fn release_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Removes a copy: what was done to it is not to be in the cache.
    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Returns the caches.
    fn caches(&self) -> Result<Vec<CacheName>, StoreError>;

    /// Removes a cache. Copies that are out are dropped when they come back.
    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>>;

    /// Waits until the space of what was deleted is free, as far as this can be waited for.
    fn complete_deletes(&self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Waits until a loss of power would lose nothing that has been published.
    fn sync(&self) -> LocalBoxFuture<'_, ()>;

    /// Returns what each of these results takes of the disk that no other shares with it: what it added to its base. `None` for
    /// one that is not there, or cannot be measured.
    fn usages<'a>(
        &'a self,
        ids: &'a [StepId],
    ) -> LocalBoxFuture<'a, Result<Vec<Option<Usage>>, StoreError>>;

    /// Returns what a cache takes of the disk, and when it last changed. `None` if there is no such cache.
    fn cache_usage<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<Option<CacheUsage>, StoreError>>;

    /// Returns how much room there is.
    fn space(&self) -> Result<Space, StoreError>;
}

/// A finished result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What it is the result of.
    pub id: StepId,
    /// What it was made from. `None` for a base image.
    pub base: Option<StepId>,
    /// Its directory, with the files `log` and `env`. Whether it also holds the whole root filesystem is the store's
    /// affair: ask for a [`View`].
    pub dir: PathBuf,
}

/// A step in progress.
#[derive(Debug)]
pub struct Draft {
    /// What it is to be the result of.
    pub id: StepId,
    /// What it is made from.
    pub base: Option<StepId>,
    /// Its directory, for the files `log` and `env`; the base's `env` is there, and no log.
    pub dir: PathBuf,
    /// The root filesystem, writable. A directory that exists, empty and of mode 0755 if there is no base.
    pub rootfs: PathBuf,
    /// Whether others than the step may have descriptors of it when it is published, by which they could write: it shared a
    /// network with them, and sockets of that can pass descriptors on. It costs a copy where the filesystem cannot tell.
    pub is_exposed: bool,
}

/// The root filesystem of a result, for as long as this lives.
#[derive(Debug)]
pub struct View {
    rootfs: PathBuf,
    /// Undoes what was done to show it.
    _undo: Option<Undo>,
}

/// Something to do when it is dropped.
struct Undo(Option<Box<dyn FnOnce()>>);

impl View {
    /// Returns a view that needs no undoing.
    pub fn plain(rootfs: PathBuf) -> Self {
        Self {
            rootfs,
            _undo: None,
        }
    }

    /// Returns a view that is undone by `undo` when it is dropped.
    pub fn with_undo(rootfs: PathBuf, undo: impl FnOnce() + 'static) -> Self {
        Self {
            rootfs,
            _undo: Some(Undo(Some(Box::new(undo)))),
        }
    }

    /// Returns the root of it.
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

/// The name of a cache, as a spec gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName(pub BString);

/// A step's own copy of a cache.
#[derive(Debug)]
pub struct CacheCopy {
    /// Whose copy it is.
    pub name: CacheName,
    /// Where it is.
    pub path: PathBuf,
    /// Which of its copies, for the store.
    pub number: u64,
}
