//! Caches as layers: a step's copy is a new layer over those of the cache, and becomes the newest if the step ends
//! first.
//!
//! Layers never change, so no copy sees another's writes, and only `current` is ever replaced.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::backend::Backend as _;
use crate::store::caches::Owner;
use crate::store::error::{Cannot as _, ignore};
use crate::store::layout::make_directory as make;

use super::layers::{chain, set_parent};
use super::squash::squash;
use super::{Overlay, make_if_missing};

/// How many layers a cache may have. Beyond that, all but the oldest are merged.
const MOST_LAYERS: usize = 16;

impl Overlay {
    /// Makes `copy` a copy of a cache, and returns its mount.
    pub(super) fn take_copy(
        &self,
        cache: &Path,
        copy: &Path,
        owner: Owner,
    ) -> Result<PathBuf, StoreError> {
        let newest = match current(cache)? {
            Some(newest) => newest,
            None => self.make_cache(cache)?,
        };
        let layers = chain(&newest)?;
        let newest_layer = layers.first().unwrap_or(&newest);
        make(copy)?;
        set_parent(copy, newest_layer)?;
        let mount = self.overlay(copy, &layers, &copy.join("rootfs"))?;
        owner.give(&mount)?;
        Ok(mount)
    }

    /// Makes a returned and unmounted copy the cache.
    pub(super) fn replace_by(&self, cache: &Path, copy: &Path) -> Result<(), StoreError> {
        if changed_nothing(cache, copy)? {
            return self.drop_copy(cache, copy);
        }
        let layer = cache.join(next_number(cache)?.to_string());
        fs::rename(copy, &layer).cannot("publish", &layer)?;
        let layers = chain(&layer)?;
        let newest = if layers.len() > MOST_LAYERS {
            self.squash_cache(cache, &layers)?
        } else {
            layer
        };
        self.point_to(cache, &newest)?;
        self.remove_unused(cache)
    }

    /// Removes the current layer of a cache. Older layers are removed when the last copy that needs them is
    /// returned.
    pub(super) fn remove_current(&self, cache: &Path) -> Result<(), StoreError> {
        let link = cache.join("current");
        ignore(io::ErrorKind::NotFound, fs::remove_file(&link)).cannot("remove", &link)?;
        self.remove_unused(cache)
    }

    /// Removes the layers that neither the cache nor a copy needs, and the cache itself if it has none left.
    pub(super) fn remove_unused(&self, cache: &Path) -> Result<(), StoreError> {
        if !cache.exists() {
            return Ok(());
        }
        let mut needed = HashSet::new();
        let copies = copies_of(cache, &self.root.join("cache-tmp"))?;
        for newest in current(cache)?.into_iter().chain(copies) {
            needed.extend(chain(&newest)?);
        }
        if needed.is_empty() {
            return self.discard(cache);
        }
        for number in numbers(cache)? {
            let layer = cache.join(number.to_string());
            if !needed.contains(&layer.join("rootfs")) {
                self.discard(&layer)?;
            }
        }
        Ok(())
    }

    fn make_cache(&self, cache: &Path) -> Result<PathBuf, StoreError> {
        self.remove_unused(cache)?;
        make_if_missing(cache)?;
        let layer = cache.join(next_number(cache)?.to_string());
        make(&layer)?;
        make(&layer.join("rootfs"))?;
        self.point_to(cache, &layer)?;
        Ok(layer)
    }

    fn squash_cache(&self, cache: &Path, layers: &[PathBuf]) -> Result<PathBuf, StoreError> {
        let Some((oldest, newer)) = layers.split_last() else {
            return Ok(cache.to_owned());
        };
        let draft = self.root.join("result-tmp");
        let draft = draft.join(format!("squash.{}", self.number()));
        let layer = cache.join(next_number(cache)?.to_string());
        let made = make(&draft)
            .and_then(|()| squash(newer, Some(oldest), &draft.join("rootfs")))
            .and_then(|()| set_parent(&draft, oldest))
            .and_then(|()| fs::rename(&draft, &layer).cannot("publish", &layer));
        if made.is_err() {
            self.discard(&draft)?;
        }
        made.map(|()| layer)
    }

    /// Replaces `current` atomically.
    fn point_to(&self, cache: &Path, layer: &Path) -> Result<(), StoreError> {
        let link = self.root.join("cache-tmp");
        let link = link.join(format!("{}-link", self.number()));
        let target = layer.file_name().unwrap_or_default();
        symlink(target, &link).cannot("create", &link)?;
        let to = cache.join("current");
        fs::rename(&link, &to).cannot("replace", &to)
    }
}

/// Returns the newest layer of a cache. `None` if there is no such cache.
pub(super) fn current(cache: &Path) -> Result<Option<PathBuf>, StoreError> {
    match fs::read_link(cache.join("current")) {
        Ok(target) => Ok(target.file_name().map(|name| cache.join(name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).cannot("read", cache),
    }
}

/// Returns whether a copy is unchanged. Most steps only read most caches.
fn changed_nothing(cache: &Path, copy: &Path) -> Result<bool, StoreError> {
    let layer = copy.join("rootfs");
    let is_empty = fs::read_dir(&layer)
        .cannot("read", &layer)?
        .next()
        .is_none();
    let Some(newest) = current(cache)? else {
        return Ok(false);
    };
    let top = |path: &Path| {
        let found = fs::symlink_metadata(path).cannot("read", path)?;
        Ok((
            found.mode(),
            found.uid(),
            found.gid(),
            found.mtime(),
            found.mtime_nsec(),
        ))
    };
    Ok(is_empty && top(&layer)? == top(&newest.join("rootfs"))?)
}

/// Returns the newest layers under the copies of a cache in use.
fn copies_of(cache: &Path, copies: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let cache_name = cache.file_name().and_then(|name| name.to_str());
    let mut found = Vec::new();
    for entry in fs::read_dir(copies).cannot("read", copies)? {
        let entry = entry.cannot("read", copies)?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.split_once('-'));
        if of.map(|(_, of)| of) != cache_name {
            continue;
        }
        // A new copy may not have it yet, but then the cache is locked, and this is not called.
        if let Ok(parent) = fs::read_link(entry.path().join("parent")) {
            found.push(cache.join(parent.file_name().unwrap_or_default()));
        }
    }
    Ok(found)
}

fn numbers(cache: &Path) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(cache).cannot("read", cache)? {
        let name = entry.cannot("read", cache)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn next_number(cache: &Path) -> Result<u64, StoreError> {
    let newest = numbers(cache)?.into_iter().max();
    Ok(newest.map_or(0, |number| number.saturating_add(1)))
}
