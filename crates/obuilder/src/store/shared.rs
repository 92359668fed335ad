//! The operations of a store of directories that run on threads that may block.

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

/// The state that threads use.
pub(super) struct Shared<B> {
    pub(super) root: PathBuf,
    pub(super) backend: B,
    pub(super) marks: Marks,
    pub(super) background: Arc<Background>,
    pub(super) reserve: Reserve,
    /// Disk usage of caches since they last changed. Measuring a large one takes seconds.
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
            symlink(format!("../{id}"), &link).cannot("create", &link)?;
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
            .finalize(place, &copy, base, is_exposed)
            .and_then(|is_copied| {
                self.mark(&id.to_string())?;
                let finalized = if is_copied { &copy } else { place };
                fs::rename(finalized, result).cannot("publish", result)?;
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
            // A lost base image costs the most.
            self.marks.sync_soon(&self.background);
        }
        Ok(())
    }

    pub(super) fn mark(&self, name: &str) -> Result<(), StoreError> {
        let marked = self.marks.mark(name, &self.background);
        marked.cannot("mark a result in", &self.root)
    }

    /// Removes the files of a failed operation, whose error is reported, and only logs its own.
    pub(super) fn remove_and_log(&self, place: &Path) {
        if let Err(error) = self.backend.remove(place) {
            tracing::warn!("{error}");
        }
    }

    /// Measures a cache. Its directory changes with every returned copy: it is renamed, or a layer is added.
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
