//! Results as layers of an overlay: a step's result is the layer of its changes, over the layers of its base.
//!
//! | | |
//! |--|--|
//! | `result/ID/rootfs` | the layer; a whole root filesystem for a base image |
//! | `result/ID/squashed` | if the chain of layers was too long: one merged layer over the base image |
//! | `cache/c-NAME/N` | a layer of a cache; the link `current` names the newest |
//! | `merged/NAME` | mounts: of drafts, views and copies of caches |
//! | `work/NAME` | the kernel's directory beside an upper layer |
//!
//! The layers of upstream's stores have the same form, and are read as they are.

mod cache;
mod layers;
mod mount;
mod squash;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::statfs;

use super::backend::{Backend, BackendSetup, MountedView};
use super::caches::Owner;
use super::error::{Cannot as _, ignore};
use super::layout::make_directory as make;
use super::trash::Trash;
use super::{OpenError, StoreError, filesystem, tree};
use layers::chain;
use mount::{Mounts, Overlaid};
use squash::squash;

/// How many layers a draft may be based on. The kernel's limit is 500, and every layer slows down lookups of missing
/// names.
const MOST_LAYERS: usize = 64;

/// The directories of upstream's OCaml program for drafts and copies, which remain after a crash.
const LEFT_BY_OTHERS: [&str; 4] = ["in-progress", "cache-result", "cache-work", "cache-merged"];

/// Results as layers.
#[derive(Debug)]
pub(super) struct Overlay {
    root: PathBuf,
    trash: Arc<Trash>,
    mounts: Mounts,
    next: AtomicU64,
    /// Whether layers of results may be merged. A guest must not change the owner's results.
    squashes: bool,
}

impl Overlay {
    /// Returns the backend for the store with these directories.
    pub(super) fn new(setup: BackendSetup) -> Self {
        Self {
            mounts: Mounts::new(setup.root.join("merged")),
            root: setup.root,
            trash: setup.trash,
            next: AtomicU64::new(0),
            squashes: true,
        }
    }

    /// Returns the backend of a guest, for results of another process.
    pub(super) fn beside(setup: BackendSetup) -> Self {
        Self {
            squashes: false,
            ..Self::new(setup)
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        self.trash.put(path).cannot("remove", path)
    }

    /// Mounts the layers `below`, the newest first, under a new layer `upper`, by the name of `place`.
    fn overlay(
        &self,
        place: &Path,
        below: &[PathBuf],
        upper: &Path,
    ) -> Result<PathBuf, StoreError> {
        let newest = below.first().ok_or_else(|| nothing_below(place))?;
        let metadata = fs::symlink_metadata(newest).cannot("read", newest)?;
        make(upper)?;
        // The top directory of a mount has the attributes of the upper layer.
        tree::copy_attributes(newest, &metadata, upper, layers::is_not_ours)
            .cannot("create", upper)?;
        let times = tree::Times::of(&metadata);
        times.set(upper).cannot("create", upper)?;
        let work = self.work_of(place);
        make(&work)?;
        self.mounts.overlay(&Overlaid {
            name: name_of(place),
            below,
            upper: Some((upper, &work)),
        })
    }

    /// Unmounts the layers of `place`, and removes the mount's work directory. It is no error if there is no mount.
    /// Returns whether there is no mount any more.
    fn unmount_layers(&self, place: &Path, how: mount::Unmount) -> Result<bool, StoreError> {
        let has_gone = self.mounts.unmount(name_of(place), how)?;
        if has_gone {
            let work = self.work_of(place);
            ignore(io::ErrorKind::NotFound, fs::remove_dir_all(&work)).cannot("remove", &work)?;
        }
        Ok(has_gone)
    }

    fn work_of(&self, place: &Path) -> PathBuf {
        self.root.join("work").join(name_of(place))
    }

    /// Returns the layers of a result, the newest first, few enough to work on.
    fn layers(&self, result: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let layers = chain(result)?;
        if layers.len() < MOST_LAYERS || !self.squashes {
            return Ok(layers);
        }
        let draft = self.root.join("result-tmp");
        let draft = draft.join(format!("squash.{}", self.number()));
        let squashed = squash_result(&layers, result, &draft);
        if squashed.is_err() {
            self.discard(&draft)?;
        }
        squashed?;
        chain(result)
    }
}

/// Merges all layers of `result` but the base image into `result/squashed`.
fn squash_result(layers: &[PathBuf], result: &Path, draft: &Path) -> Result<(), StoreError> {
    let Some((image, steps)) = layers.split_last() else {
        return Ok(());
    };
    make(draft)?;
    squash(steps, Some(image), &draft.join("rootfs"))?;
    layers::set_parent(draft, image)?;
    let to = result.join("squashed");
    match fs::rename(draft, &to) {
        // Another step on the same base was faster.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            tree::remove(draft).cannot("remove", draft)
        }
        other => other.cannot("create", &to),
    }
}

impl Backend for Overlay {
    fn clean_up(&self) -> Result<(), StoreError> {
        make_if_missing(&self.root.join("work"))?;
        make_if_missing(&self.root.join("merged"))?;
        self.mounts.clean_up()?;
        for name in LEFT_BY_OTHERS {
            let dir = self.root.join(name);
            if dir.exists() {
                mount::unmount_all_below(&dir)?;
                self.discard(&dir)?;
            }
        }
        let work = self.root.join("work");
        for entry in fs::read_dir(&work).cannot("read", &work)? {
            self.discard(&entry.cannot("read", &work)?.path())?;
        }
        Ok(())
    }

    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError> {
        make(place)?;
        let rootfs = place.join("rootfs");
        let Some(base) = base else {
            make(&rootfs)?;
            return Ok(rootfs);
        };
        tree::copy_if_there(&base.join("env"), &place.join("env")).cannot("copy", base)?;
        self.overlay(place, &self.layers(base)?, &rootfs)
    }

    /// The mount was made read-only, so that no descriptor can write to it.
    fn finalize(
        &self,
        _place: &Path,
        _copy: &Path,
        _base: Option<&Path>,
        _is_exposed: bool,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn unmount(&self, place: &Path) -> Result<bool, StoreError> {
        self.unmount_layers(place, mount::Unmount::IfUnused)
    }

    fn remove(&self, place: &Path) -> Result<(), StoreError> {
        self.unmount_layers(place, mount::Unmount::Detach)?;
        self.discard(place)
    }

    fn remove_guest(&self, guest: &Path) -> Result<(), StoreError> {
        let mounts = guest.join("merged");
        if mounts.exists() {
            mount::unmount_all_below(&mounts)?;
        }
        self.discard(guest)
    }

    fn view(&self, result: &Path) -> Result<MountedView, StoreError> {
        let layers = self.layers(result)?;
        if let [only] = layers.as_slice() {
            return Ok(MountedView {
                rootfs: only.clone(),
                mount: None,
            });
        }
        let name = format!("view.{}", self.number());
        let rootfs = self.mounts.overlay(&Overlaid {
            name: OsStr::new(&name),
            below: &layers,
            upper: None,
        })?;
        Ok(MountedView {
            mount: Some(rootfs.clone()),
            rootfs,
        })
    }

    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError> {
        self.take_copy(cache, copy, owner)
    }

    fn replace_cache(&self, cache: &Path, copy: &Path) -> Result<(), StoreError> {
        self.replace_by(cache, copy)
    }

    fn drop_copy(&self, cache: &Path, copy: &Path) -> Result<(), StoreError> {
        self.remove(copy)?;
        self.remove_unused(cache)
    }

    fn remove_cache(&self, cache: &Path) -> Result<(), StoreError> {
        self.remove_current(cache)
    }

    fn has_cache(&self, cache: &Path) -> bool {
        cache::current(cache).is_ok_and(|current| current.is_some())
    }
}

/// Checks whether `root` can hold layers: by the filesystem's name, and for a new store by mounting some.
pub(super) fn check(root: &Path, is_new: bool) -> Result<(), OpenError> {
    let kind = statfs(root).cannot("inspect", root)?.f_type;
    let refuse = |filesystem: String| OpenError::Filesystem {
        root: root.to_owned(),
        filesystem,
        lacks: "cannot hold the layers of an overlay",
        advice: "put the store on ext4, xfs, btrfs or tmpfs, or use rsync:/path",
    };
    if let Some(name) = mount::unsupported_name(kind) {
        return Err(refuse(name.to_owned()));
    }
    if is_new && !mount::supports_overlay(root)? {
        return Err(refuse(filesystem::name(kind)));
    }
    Ok(())
}

fn name_of(place: &Path) -> &OsStr {
    place.file_name().unwrap_or_default()
}

fn make_if_missing(dir: &Path) -> Result<(), StoreError> {
    ignore(io::ErrorKind::AlreadyExists, fs::create_dir(dir)).cannot("create", dir)
}

fn nothing_below(place: &Path) -> StoreError {
    StoreError::new(
        "find the layers below",
        place,
        io::ErrorKind::NotFound.into(),
    )
}
