//! A store that keeps a result as a directory, on whichever filesystem.
//!
//! | | |
//! |--|--|
//! | `result/ID` | results: `rootfs`, `log`, `env`, the builder's `variant`, and the link `parent` to the base |
//! | `result-tmp/ID.N` | drafts; what is there at the start was left by a killed process |
//! | `cache/c-NAME` | caches |
//! | `cache-tmp/N-c-NAME` | copies of caches, cleaned as drafts are |
//! | `trash/N` | what is being removed |
//! | `unsynced/BOOT/NAME` | what a loss of power may damage, see `marks.rs` |
//! | `guests/NAME` | what those need who only read the store, see `guest.rs` |
//! | `reserve/` | room for opening the store on a full disk |
//! | `state/`, `lock` | the state of others; who owns the store |
//!
//! Numbers are in names so that whatever is left of a call that nobody waited for is in nobody's way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use obuilder_spec::User;
use rustix::mount::UnmountFlags;

use super::backend::{Backend, Ground, Shown};
use super::background::Background;
use super::caches::{Caches, Owner, cache_of, file_name};
use super::error::Cannot as _;
use super::guest::{self, Guest};
use super::layout::{base_of, judge, make_directories, names_in, own, remove_leftovers};
use super::lock::Lock;
use super::marks::Marks;
use super::reserve::Reserve;
use super::shared::Shared;
use super::trash::Trash;
use super::{
    CacheCopy, CacheName, CacheUsage, Draft, Finished, OpenError, Space, Store, StoreError, Usage,
    View, private,
};
use crate::StepId;
use crate::sandbox;

/// How often to ask a filesystem whether all that was deleted is free, and after which pauses. Not for ever: on a busy one
/// there is always something.
const DELETES: (u32, Duration) = (100, Duration::from_millis(100));

/// How often to try to unmount what should be in use by nobody: whoever searches the machine's files has some open for a
/// moment.
const UNMOUNTS: (u32, Duration) = (50, Duration::from_millis(20));

/// A store over one backend.
pub(super) struct DirectoryStore<B> {
    root: PathBuf,
    /// Where drafts are: in `root`, or in a guest's own directory.
    workplace: PathBuf,
    state: PathBuf,
    shared: Arc<Shared<B>>,
    caches: Caches,
    /// What keeps the bases of a guest's drafts.
    kept: RefCell<HashMap<PathBuf, Vec<fs::File>>>,
    tenure: Tenure,
}

/// By what right we are here.
enum Tenure {
    /// The store is ours.
    Owner { _lock: Lock },
    /// We read what may be another process's.
    Guest { _guest: Guest },
}

impl<B: Backend> DirectoryStore<B> {
    /// Opens the store at `root`. `check` looks whether the filesystem will do, thoroughly if the store is new.
    pub(super) fn open(
        root: &Path,
        check: impl FnOnce(&Path, bool) -> Result<(), OpenError>,
        backend: impl FnOnce(Ground) -> B,
    ) -> Result<Rc<dyn Store>, OpenError> {
        private::make(root)?;
        let reserve = Reserve::new(root);
        let released = reserve.release_if_needed(space(root)?);
        released.cannot("make room in", root)?;
        let lock = own(root)?;
        check(root, !root.join("result").exists())?;
        make_directories(root)?;
        let background = Arc::new(Background::default());
        let dir = root.join("trash");
        let trash = Trash::open(dir.clone(), background.clone()).cannot("empty", &dir)?;
        let backend = backend(Ground {
            root: root.to_owned(),
            trash: Arc::new(trash),
        });
        // Containers first: what still runs would go on writing where we clean up.
        sandbox::cleanup(&root.join("state"))?;
        backend.clean_up()?;
        guest::clear(root, &backend)?;
        remove_leftovers(root, &backend)?;
        let marks = judge(root, &backend, &background)?;
        keep_reserve(&reserve, root);
        Ok(Rc::new(Self {
            root: root.to_owned(),
            workplace: root.to_owned(),
            state: root.join("state"),
            shared: Arc::new(Shared {
                root: root.to_owned(),
                backend,
                marks,
                background,
                reserve,
                measured: Mutex::default(),
            }),
            caches: Caches::default(),
            kept: RefCell::default(),
            tenure: Tenure::Owner { _lock: lock },
        }))
    }

    /// Opens the store at `root` for reading, whoever owns it. `None` if there is none yet.
    pub(super) fn open_for_reading(
        root: &Path,
        backend: impl FnOnce(Ground) -> B,
    ) -> Result<Option<Rc<dyn Store>>, OpenError> {
        if !root.join("result").is_dir() {
            return Ok(None);
        }
        private::make(root)?;
        let guest = Guest::enter(root)?;
        let own = guest.dir().to_owned();
        make_directories(&own)?;
        let background = Arc::new(Background::default());
        let dir = own.join("trash");
        let trash = Trash::open(dir.clone(), background.clone()).cannot("empty", &dir)?;
        let backend = backend(Ground {
            root: own.clone(),
            trash: Arc::new(trash),
        });
        backend.clean_up()?;
        let (marks, _) = Marks::open(&own, &background).cannot("make marks in", &own)?;
        Ok(Some(Rc::new(Self {
            root: root.to_owned(),
            state: own.join("state"),
            shared: Arc::new(Shared {
                root: own.clone(),
                backend,
                marks,
                background,
                reserve: Reserve::new(&own),
                measured: Mutex::default(),
            }),
            workplace: own,
            caches: Caches::default(),
            kept: RefCell::default(),
            tenure: Tenure::Guest { _guest: guest },
        })))
    }

    /// # Errors
    /// If the store may be another's.
    fn check_ours(&self) -> Result<(), StoreError> {
        match &self.tenure {
            Tenure::Owner { .. } => Ok(()),
            Tenure::Guest { .. } => Err(StoreError::OnlyRead(self.root.clone())),
        }
    }

    /// Keeps the result at `dir` from being removed by the owner of the store, should that be another process.
    fn keep(&self, id: &StepId, dir: &Path) -> Result<Vec<fs::File>, StoreError> {
        match &self.tenure {
            Tenure::Owner { .. } => Ok(Vec::new()),
            Tenure::Guest { .. } => guest::keep(dir)?.ok_or(StoreError::NoBase(*id)),
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

    fn cache_dir(&self, name: &CacheName) -> PathBuf {
        self.root.join("cache").join(file_name(name))
    }

    fn copy_dir(&self, name: &CacheName, number: u64) -> PathBuf {
        let copies = self.root.join("cache-tmp");
        copies.join(format!("{number}-{}", file_name(name)))
    }

    /// Waits until nothing has anything open in a mount, and unmounts it. If something keeps on, it may keep on writing, and
    /// what it writes to must not become a result.
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

    /// Does something that may take long.
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
            let drafts = self.workplace.join("result-tmp");
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
            self.check_ours()?;
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
            self.check_ours()?;
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
                Shown {
                    rootfs,
                    mount: None,
                } => View::with_undo(rootfs, move || drop(kept)),
                Shown {
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
        Box::pin(async move {
            self.check_ours()?;
            let owner = Owner::of(owner)?;
            let _held = self.caches.hold(name).await;
            let number = self.caches.number();
            let (cache, copy) = (self.cache_dir(name), self.copy_dir(name, number));
            let taken = self.off_thread(move |shared| shared.take_cache(&cache, &copy, owner));
            let path = taken.await?;
            self.caches.taken(name, number);
            Ok(CacheCopy {
                name: name.clone(),
                path,
                number,
            })
        })
    }

    fn release_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let CacheCopy { name, number, .. } = copy;
            let _held = self.caches.hold(&name).await;
            let (cache, copy) = (self.cache_dir(&name), self.copy_dir(&name, number));
            if !self.caches.returned(&name, number) {
                let dropped =
                    self.off_thread(move |shared| shared.backend.drop_copy(&cache, &copy));
                return dropped.await;
            }
            let (file, place) = (file_name(&name), copy.clone());
            let replaced = match self.unmount(&copy).await {
                Err(error) => Err(error),
                Ok(()) => {
                    let cache = cache.clone();
                    let replace =
                        move |shared: &Shared<B>| shared.replace_cache(&file, &cache, &copy);
                    self.off_thread(replace).await
                }
            };
            if replaced.is_err() {
                let remove = move |shared: &Shared<B>| {
                    shared.drop_copy_and_log(&cache, &place);
                    Ok(())
                };
                self.off_thread(remove).await?;
                return replaced;
            }
            self.caches.changed(&name);
            Ok(())
        })
    }

    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let CacheCopy { name, number, .. } = copy;
            let _held = self.caches.hold(&name).await;
            self.caches.returned(&name, number);
            let (cache, copy) = (self.cache_dir(&name), self.copy_dir(&name, number));
            let dropped = self.off_thread(move |shared| shared.backend.drop_copy(&cache, &copy));
            dropped.await
        })
    }

    fn caches(&self) -> Result<Vec<CacheName>, StoreError> {
        let dir = self.root.join("cache");
        let mut names = names_in(&dir)?;
        names.retain(|name| self.shared.backend.has_cache(&dir.join(name)));
        let mut caches: Vec<_> = names.iter().filter_map(|name| cache_of(name)).collect();
        caches.sort();
        Ok(caches)
    }

    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.check_ours()?;
            let _held = self.caches.hold(name).await;
            self.caches.changed(name);
            let cache = self.cache_dir(name);
            let removed = self.off_thread(move |shared| shared.backend.remove_cache(&cache));
            removed.await
        })
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
                "Store {:?} has not freed the space of all deleted results yet",
                self.root
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
                        .inspect_err(|error| tracing::debug!("Cannot measure {dir:?}: {error}"))
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
        let cache = self.cache_dir(name);
        Box::pin(self.off_thread(move |shared| {
            if !shared.backend.has_cache(&cache) {
                return Ok(None);
            }
            shared.measure_cache(&cache).map_or_else(
                |error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(None),
                    _ => Err(error).cannot("measure", &cache),
                },
                |usage| Ok(Some(usage)),
            )
        }))
    }

    fn space(&self) -> Result<Space, StoreError> {
        space(&self.root)
    }
}

fn space(root: &Path) -> Result<Space, StoreError> {
    Space::of(root).cannot("measure the free space of", root)
}

/// Keeps room for the next time that the store is opened. Without it, the store is as good.
fn keep_reserve(reserve: &Reserve, root: &Path) {
    let kept = space(root).map(|space| reserve.keep_if_possible(space));
    if let Ok(Err(error)) = kept {
        tracing::debug!("Cannot reserve space in {root:?}: {error}");
    }
}

/// Takes a view away: its mount, and the directory that it was on.
fn unmount_view(mount: &Path) {
    let gone = rustix::mount::unmount(mount, UnmountFlags::DETACH)
        .map_err(io::Error::from)
        .and_then(|()| fs::remove_dir(mount));
    if let Err(error) = gone {
        tracing::debug!("Cannot unmount the view {mount:?}: {error}");
    }
}
