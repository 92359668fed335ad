//! A store that keeps a result as a directory, on any filesystem.
//!
//! | | |
//! |--|--|
//! | `result/ID` | results: `rootfs`, `log`, `env`, the builder's `variant`, and the link `parent` to the base |
//! | `result-tmp/ID.N` | drafts; the ones of a killed process are removed at the start |
//! | `cache/c-NAME` | caches |
//! | `cache-tmp/N-c-NAME` | copies of caches, cleaned as drafts are |
//! | `trash/N` | trees that are being removed |
//! | `unsynced/BOOT/NAME` | marks of results that a power cut may damage, see `marks.rs` |
//! | `guests/NAME` | directories of processes that only read the store, see `guest.rs` |
//! | `reserve/` | room for opening the store on a full disk |
//! | `state/`, `lock` | the state of the builder and the sandbox; the process that owns the store |
//!
//! Names have numbers so that files of an abandoned call cannot collide with new ones.

mod cache_copies;
mod opening;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use obuilder_spec::User;
use rustix::mount::UnmountFlags;

use super::backend::{Backend, MountedView};
use super::caches::Caches;
use super::error::Cannot as _;
use super::guest::{self, Guest};
use super::layout::{base_of, names_in};
use super::lock::Lock;
use super::reserve::Reserve;
use super::shared::Shared;
use super::{
    CacheCopy, CacheName, CacheUsage, Draft, Finished, Space, Store, StoreError, Usage, View,
};
use crate::StepId;

/// How often to check whether the filesystem has freed all deleted results, and the pause between checks. There is a
/// limit because a busy filesystem is never done.
const DELETES: (u32, Duration) = (100, Duration::from_millis(100));

/// How often to try to unmount a place that should be unused, and the pause between attempts: a program that scans all
/// files of the machine may have one open for a moment.
const UNMOUNTS: (u32, Duration) = (50, Duration::from_millis(20));

/// A store over one backend.
pub(super) struct DirectoryStore<B> {
    root: PathBuf,
    /// The directory for drafts: `root`, or a guest's own directory.
    drafts_root: PathBuf,
    state: PathBuf,
    shared: Arc<Shared<B>>,
    caches: Caches,
    /// The locks on the bases of a guest's drafts.
    kept: RefCell<HashMap<PathBuf, Vec<fs::File>>>,
    access: StoreAccess,
}

/// How this process may use the store.
enum StoreAccess {
    /// As its owner.
    Owner { _lock: Lock },
    /// For reading, while another process may own it.
    Guest { _guest: Guest },
}

impl<B: Backend> DirectoryStore<B> {
    /// Checks that this process owns the store.
    ///
    /// # Errors
    /// If it is a guest.
    fn check_owner(&self) -> Result<(), StoreError> {
        match &self.access {
            StoreAccess::Owner { .. } => Ok(()),
            StoreAccess::Guest { .. } => Err(StoreError::OnlyRead(self.root.clone())),
        }
    }

    /// Prevents another process that owns the store from removing the result at `dir`.
    fn keep(&self, id: &StepId, dir: &Path) -> Result<Vec<fs::File>, StoreError> {
        match &self.access {
            StoreAccess::Owner { .. } => Ok(Vec::new()),
            StoreAccess::Guest { .. } => guest::keep(dir)?.ok_or(StoreError::NoBase(*id)),
        }
    }

    fn result_dir(&self, id: &StepId) -> PathBuf {
        self.root.join("result").join(id.to_string())
    }

    fn existing(&self, id: &StepId) -> Result<PathBuf, StoreError> {
        match self.result(id)? {
            Some(result) => Ok(result.dir),
            None => Err(StoreError::NoBase(*id)),
        }
    }

    /// Waits until no process has a file in a mount open for writing, and unmounts it. A place that is still
    /// written to must not become a result.
    async fn unmount(&self, place: &Path) -> Result<(), StoreError> {
        let (times, pause) = UNMOUNTS;
        for _ in 0..times {
            let place = place.to_owned();
            let unmounted = self.off_thread(move |shared| shared.backend.unmount(&place));
            if unmounted.await? {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
        Err(StoreError::InUse(place.to_owned()))
    }

    /// Runs a function that may take long on another thread.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared<B>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(io::Error::from)
            .cannot("work in", &self.root)?
    }
}

impl<B: Backend> Store for DirectoryStore<B> {
    fn root(&self) -> &Path {
        &self.root
    }

    fn state_dir(&self) -> &Path {
        &self.state
    }

    fn result(&self, id: &StepId) -> Result<Option<Finished>, StoreError> {
        let dir = self.result_dir(id);
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).cannot("inspect", &dir),
            Ok(_) => Ok(Some(Finished {
                id: *id,
                base: base_of(&dir)?,
                dir,
            })),
        }
    }

    fn results(&self) -> Result<Vec<Finished>, StoreError> {
        let dir = self.root.join("result");
        let names = names_in(&dir)?;
        let ids = names.iter().filter_map(|name| name.parse().ok());
        ids.filter_map(|id| self.result(&id).transpose()).collect()
    }

    fn begin<'a>(
        &'a self,
        id: &'a StepId,
        base: Option<&'a StepId>,
    ) -> LocalBoxFuture<'a, Result<Draft, StoreError>> {
        Box::pin(async move {
            let base_dir = base.map(|base| self.existing(base)).transpose()?;
            let kept = match (base, &base_dir) {
                (Some(base), Some(dir)) => self.keep(base, dir)?,
                _ => Vec::new(),
            };
            let drafts = self.drafts_root.join("result-tmp");
            let dir = drafts.join(format!("{id}.{}", self.caches.number()));
            let (place, base_id) = (dir.clone(), base.copied());
            let begun = self.off_thread(move |shared| {
                let begun = shared.begin(&place, base_dir.as_deref(), base_id);
                if begun.is_err() {
                    shared.remove_and_log(&place);
                }
                begun
            });
            let rootfs = begun.await?;
            self.kept.borrow_mut().insert(dir.clone(), kept);
            Ok(Draft {
                id: *id,
                base: base_id,
                rootfs,
                dir,
                is_exposed: false,
            })
        })
    }

    fn publish(&self, draft: Draft) -> LocalBoxFuture<'_, Result<Finished, StoreError>> {
        Box::pin(async move {
            self.check_owner()?;
            let result = self.result_dir(&draft.id);
            let finished = Finished {
                id: draft.id,
                base: draft.base,
                dir: result.clone(),
            };
            let base = draft.base.map(|base| self.result_dir(&base));
            let place = draft.dir.clone();
            let published = match self.unmount(&place).await {
                Err(error) => Err(error),
                Ok(()) => {
                    let publish = move |shared: &Shared<B>| {
                        let Draft { id, dir, .. } = &draft;
                        shared.publish(id, dir, base.as_deref(), &result, draft.is_exposed)
                    };
                    self.off_thread(publish).await
                }
            };
            if published.is_err() {
                let remove = move |shared: &Shared<B>| {
                    shared.remove_and_log(&place);
                    Ok(())
                };
                self.off_thread(remove).await?;
            }
            published.map(|()| finished)
        })
    }

    fn discard(&self, draft: Draft) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let dir = draft.dir.clone();
            let removed = self
                .off_thread(move |shared| shared.backend.remove(&dir))
                .await;
            self.kept.borrow_mut().remove(&draft.dir);
            removed
        })
    }

    fn delete<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        let dir = self.result_dir(id);
        Box::pin(async move {
            self.check_owner()?;
            let removed = self.off_thread(move |shared| {
                let _claim = guest::claim(&dir)?;
                shared.backend.remove(&dir)
            });
            removed.await
        })
    }

    fn view<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<View, StoreError>> {
        Box::pin(async move {
            let dir = self.existing(id)?;
            let kept = self.keep(id, &dir)?;
            let shown = self.off_thread(move |shared| shared.backend.view(&dir));
            Ok(match shown.await? {
                MountedView {
                    rootfs,
                    mount: None,
                } => View::with_undo(rootfs, move || drop(kept)),
                MountedView {
                    rootfs,
                    mount: Some(mount),
                } => View::with_undo(rootfs, move || {
                    unmount_view(&mount);
                    drop(kept);
                }),
            })
        })
    }

    fn acquire_cache<'a>(
        &'a self,
        name: &'a CacheName,
        owner: &'a User,
    ) -> LocalBoxFuture<'a, Result<CacheCopy, StoreError>> {
        Box::pin(self.copy_cache(name, owner))
    }

    fn release_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.return_copy(copy))
    }

    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.drop_copy(copy))
    }

    fn caches(&self) -> Result<Vec<CacheName>, StoreError> {
        self.list_caches()
    }

    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove_cache(name))
    }

    fn complete_deletes(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.shared.background.finished().await;
            let (times, pause) = DELETES;
            for _ in 0..times {
                let left = self.off_thread(|shared| shared.backend.being_deleted());
                if left.await? == 0 {
                    keep_reserve(&self.shared.reserve, &self.root);
                    return Ok(());
                }
                tokio::time::sleep(pause).await;
            }
            tracing::warn!(
                "Store {} has not freed the space of all deleted results yet",
                self.root.display()
            );
            Ok(())
        })
    }

    fn sync(&self) -> LocalBoxFuture<'_, ()> {
        let Shared {
            marks, background, ..
        } = &*self.shared;
        if marks.are_some() {
            marks.sync_soon(background);
        }
        Box::pin(background.finished())
    }

    fn usages<'a>(
        &'a self,
        ids: &'a [StepId],
    ) -> LocalBoxFuture<'a, Result<Vec<Option<Usage>>, StoreError>> {
        Box::pin(async move {
            let mut places = Vec::with_capacity(ids.len());
            for id in ids {
                let found = self.result(id)?;
                let base = found.as_ref().and_then(|found| found.base);
                places.push((
                    found.map(|found| found.dir),
                    base.map(|base| self.result_dir(&base)),
                ));
            }
            let measured = self.off_thread(move |shared| {
                shared.backend.prepare_usage()?;
                let places = places.into_iter();
                let measure = |(dir, base): (Option<PathBuf>, Option<PathBuf>)| {
                    let dir = dir?;
                    let usage = shared.backend.usage(&dir, base.as_deref());
                    usage
                        .inspect_err(|error| {
                            tracing::debug!("Cannot measure {}: {error}", dir.display());
                        })
                        .ok()
                };
                Ok(places.map(measure).collect())
            });
            measured.await
        })
    }

    fn cache_usage<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<Option<CacheUsage>, StoreError>> {
        Box::pin(self.measure_cache(name))
    }

    fn space(&self) -> Result<Space, StoreError> {
        space(&self.root)
    }
}

fn space(root: &Path) -> Result<Space, StoreError> {
    Space::of(root).cannot("measure the free space of", root)
}

/// Reserves room for opening the store the next time. A failure is only logged.
fn keep_reserve(reserve: &Reserve, root: &Path) {
    let kept = space(root).map(|space| reserve.keep_if_possible(space));
    if let Ok(Err(error)) = kept {
        tracing::debug!("Cannot reserve space in {}: {error}", root.display());
    }
}

/// Unmounts a view, and removes its mount point.
fn unmount_view(mount: &Path) {
    let gone = rustix::mount::unmount(mount, UnmountFlags::DETACH)
        .map_err(io::Error::from)
        .and_then(|()| fs::remove_dir(mount));
    if let Err(error) = gone {
        tracing::debug!("Cannot unmount the view {}: {error}", mount.display());
    }
}
