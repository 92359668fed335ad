//! What a store that keeps results as directories does on threads that may wait.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::backend::{Backend, beside};
use super::background::Background;
use super::caches::Owner;
use super::error::Cannot as _;
use super::marks::Marks;
use super::reserve::Reserve;
use super::{CacheUsage, StoreError, tree};
use crate::StepId;

/// What threads use.
pub(super) struct Shared<B> {
    pub(super) root: PathBuf,
    pub(super) backend: B,
    pub(super) marks: Marks,
    pub(super) background: Arc<Background>,
    pub(super) reserve: Reserve,
    /// What caches took when they were measured, while they stay as they were. Of a large one it takes seconds.
    pub(super) measured: Mutex<HashMap<PathBuf, CacheUsage>>,
}

impl<B: Backend> Shared<B> {
    pub(super) fn begin(
        &self,
        place: &Path,
        base: Option<&Path>,
        base_id: Option<StepId>,
    ) -> Result<PathBuf, StoreError> {
        let rootfs = self.backend.begin(place, base)?;
        if let Some(id) = base_id {
            let link = place.join("parent");
            symlink(format!("../{id}"), &link).cannot("make", &link)?;
        }
        Ok(rootfs)
    }

    pub(super) fn publish(
        &self,
        id: &StepId,
        place: &Path,
        base: Option<&Path>,
        result: &Path,
        is_exposed: bool,
    ) -> Result<(), StoreError> {
        let copy = beside(place);
        let published = self
            .backend
            .settle(place, &copy, base, is_exposed)
            .and_then(|is_copied| {
                self.mark(&id.to_string())?;
                let settled = if is_copied { &copy } else { place };
                fs::rename(settled, result).cannot("publish", result)?;
                Ok(is_copied)
            });
        match published {
            Ok(true) => self.remove_and_log(place),
            Ok(false) => {}
            Err(error) => {
                self.remove_and_log(&copy);
                return Err(error);
            }
        }
        if base.is_none() {
            // A base image is the dearest to lose.
            self.marks.sync_soon(&self.background);
        }
        Ok(())
    }

    pub(super) fn mark(&self, name: &str) -> Result<(), StoreError> {
        let marked = self.marks.mark(name, &self.background);
        marked.cannot("mark a result in", &self.root)
    }

    /// Removes what an error has left. That error is the one to tell of.
    pub(super) fn remove_and_log(&self, place: &Path) {
        if let Err(error) = self.backend.remove(place) {
            tracing::warn!("{error}");
        }
    }

    /// Measures a cache. What gives it back renames something: the cache itself, or a layer into it.
    pub(super) fn measure_cache(&self, cache: &Path) -> io::Result<CacheUsage> {
        let changed = fs::symlink_metadata(cache)?;
        let nanoseconds = i32::try_from(changed.ctime_nsec()).unwrap_or_default();
        let used = Timestamp::new(changed.ctime(), nanoseconds).unwrap_or_default();
        let known = || self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(cache).filter(|known| known.used == used) {
            return Ok(known.clone());
        }
        let usage = tree::usage(cache, None)?;
        let measured = CacheUsage { used, usage };
        known().insert(cache.to_owned(), measured.clone());
        Ok(measured)
    }

    pub(super) fn take_cache(
        &self,
        cache: &Path,
        copy: &Path,
        owner: Owner,
    ) -> Result<PathBuf, StoreError> {
        let taken = self.backend.take_cache(cache, copy, owner);
        if taken.is_err() {
            self.drop_copy_and_log(cache, copy);
        }
        taken
    }

    pub(super) fn replace_cache(
        &self,
        name: &str,
        cache: &Path,
        copy: &Path,
    ) -> Result<(), StoreError> {
        self.mark(name)?;
        self.backend.replace_cache(cache, copy)
    }

    pub(super) fn drop_copy_and_log(&self, cache: &Path, copy: &Path) {
        if let Err(error) = self.backend.drop_copy(cache, copy) {
            tracing::warn!("{error}");
        }
    }
}
