//! Results as datasets of a ZFS pool, with upstream's names for them.
//!
//! | | |
//! |--|--|
//! | `POOL/result/ID` | a draft; with a snapshot `@snap`, a result |
//! | `POOL/cache/c-NAME` | caches, each with `@snap` |
//! | `POOL/cache-tmp/N-c-NAME` | copies of caches |
//! | `POOL/state` | the state of the builder and the sandbox |

mod command;
mod pool;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use obuilder_spec::User;

use super::caches::{Caches, Owner, cache_of, file_name};
use super::error::Cannot as _;
use super::lock::{Lock, Locked};
use super::{
    CacheCopy, CacheName, CacheUsage, Draft, Finished, OpenError, Space, Store, StoreError, Usage,
    View,
};
use crate::StepId;
use crate::sandbox;
use command::Commands;
use pool::Pool;

/// Opens the store in a pool: `tank`, which is mounted at `/tank`, or `/Volumes/tank`.
pub(super) fn open(place: &Path) -> Result<Rc<dyn Store>, OpenError> {
    let pool = place.file_name().unwrap_or_default().to_string_lossy();
    let root = Path::new("/").join(place);
    check(&pool, &root)?;
    Ok(Rc::new(ZfsStore::open(
        Commands::new(pool.into_owned()),
        root,
    )?))
}

/// Checks whether a dataset exists: without it, taking the lock would fail with an unclear error.
#[expect(
    clippy::disallowed_methods,
    reason = "a command is searched for as when it is started"
)]
fn check(dataset: &str, root: &Path) -> Result<(), OpenError> {
    let has_program = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("zfs").is_file()));
    let problem = match (root.is_dir(), has_program) {
        (true, _) => return Ok(()),
        (false, false) => {
            "the program zfs is not installed (on Debian: apt-get install zfsutils-linux)"
        }
        (false, true) => "it is not mounted, or there is no such dataset",
    };
    Err(OpenError::NoDataset {
        dataset: dataset.to_owned(),
        root: root.to_owned(),
        problem,
    })
}

/// A store in a pool.
#[derive(Debug)]
struct ZfsStore {
    state: PathBuf,
    pool: Arc<Pool>,
    /// The results with their bases. Kept here, as querying them takes a program.
    results: RefCell<HashMap<StepId, Option<StepId>>>,
    caches: Caches,
    present: RefCell<BTreeSet<CacheName>>,
    _lock: Lock,
}

impl ZfsStore {
    fn open(commands: Commands, root: PathBuf) -> Result<Self, OpenError> {
        let path = root.join("lock");
        let lock = match Lock::take(&path).cannot("lock", &path)? {
            Locked::Ours(lock) => lock,
            Locked::Taken(owner) => return Err(OpenError::InUse { root, owner }),
        };
        sandbox::cleanup(&root.join("state"))?;
        let pool = Pool::new(commands, root.clone());
        let found = pool.set_up()?;
        Ok(Self {
            state: root.join("state"),
            results: RefCell::new(found.results),
            caches: Caches::default(),
            present: RefCell::new(
                found
                    .caches
                    .iter()
                    .filter_map(|name| cache_in(name))
                    .collect(),
            ),
            pool: Arc::new(pool),
            _lock: lock,
        })
    }

    /// Runs a function that may take long on another thread.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pool) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pool = self.pool.clone();
        let done = tokio::task::spawn_blocking(move || work(&pool)).await;
        done.map_err(io::Error::from)
            .cannot("work in", self.pool.root())?
    }

    fn finished(&self, id: StepId, base: Option<StepId>) -> Finished {
        let dir = self
            .pool
            .root()
            .join(dataset(&id))
            .join(".zfs/snapshot/snap");
        Finished { id, base, dir }
    }

    async fn drop_copy(&self, copy: String) {
        // If it cannot be destroyed, it is when the store is next opened.
        if let Err(error) = self.off_thread(move |pool| pool.drop_copy(&copy)).await {
            tracing::warn!("{error}");
        }
    }
}

impl Store for ZfsStore {
    fn root(&self) -> &Path {
        self.pool.root()
    }

    fn state_dir(&self) -> &Path {
        &self.state
    }

    fn result(&self, id: &StepId) -> Result<Option<Finished>, StoreError> {
        let Some(base) = self.results.borrow().get(id).copied() else {
            return Ok(None);
        };
        self.pool.mount(&dataset(id))?;
        Ok(Some(self.finished(*id, base)))
    }

    fn results(&self) -> Result<Vec<Finished>, StoreError> {
        let results = self.results.borrow();
        Ok(results
            .iter()
            .map(|(id, base)| self.finished(*id, *base))
            .collect())
    }

    fn begin<'a>(
        &'a self,
        id: &'a StepId,
        base: Option<&'a StepId>,
    ) -> LocalBoxFuture<'a, Result<Draft, StoreError>> {
        Box::pin(async move {
            if let Some(base) = base
                && !self.results.borrow().contains_key(base)
            {
                return Err(StoreError::NoBase(*base));
            }
            let (name, base) = (dataset(id), base.copied());
            let begun = self.off_thread(move |pool| {
                let begun = pool.begin(&name, base);
                if begun.is_err() {
                    // There may be nothing to destroy; the first error is reported.
                    drop(pool.destroy(&name));
                }
                begun
            });
            let (dir, rootfs) = begun.await?;
            Ok(Draft {
                id: *id,
                base,
                dir,
                rootfs,
                is_exposed: false,
            })
        })
    }

    fn publish(&self, draft: Draft) -> LocalBoxFuture<'_, Result<Finished, StoreError>> {
        Box::pin(async move {
            let name = dataset(&draft.id);
            let published = self.off_thread(move |pool| {
                let published = pool.publish(&name);
                if published.is_err() {
                    drop(pool.destroy(&name));
                }
                published
            });
            published.await?;
            self.results.borrow_mut().insert(draft.id, draft.base);
            Ok(self.finished(draft.id, draft.base))
        })
    }

    fn discard(&self, draft: Draft) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.off_thread(move |pool| pool.destroy(&dataset(&draft.id))))
    }

    fn delete<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if self.results.borrow_mut().remove(id).is_none() {
                return Ok(());
            }
            let name = dataset(id);
            self.off_thread(move |pool| pool.destroy_all(&name)).await
        })
    }

    fn view<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<View, StoreError>> {
        Box::pin(async move {
            let result = self.result(id)?.ok_or(StoreError::NoBase(*id))?;
            Ok(View::plain(result.dir.join("rootfs")))
        })
    }

    fn acquire_cache<'a>(
        &'a self,
        name: &'a CacheName,
        owner: &'a User,
    ) -> LocalBoxFuture<'a, Result<CacheCopy, StoreError>> {
        Box::pin(async move {
            let owner = Owner::of(owner)?;
            let _held = self.caches.hold(name).await;
            let number = self.caches.number();
            let (cache, copy) = (cache_dataset(name), copy_dataset(name, number));
            let is_there = self.present.borrow().contains(name);
            let taken =
                self.off_thread(move |pool| pool.take_cache(&cache, &copy, is_there, owner));
            let path = taken.await?;
            self.present.borrow_mut().insert(name.clone());
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
            let (cache, copy) = (cache_dataset(&name), copy_dataset(&name, number));
            if !self.caches.returned(&name, number) {
                self.drop_copy(copy).await;
                return Ok(());
            }
            let replaced = self.off_thread(move |pool| pool.replace_cache(&cache, &copy, number));
            replaced.await?;
            self.caches.changed(&name);
            Ok(())
        })
    }

    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let CacheCopy { name, number, .. } = copy;
            let _held = self.caches.hold(&name).await;
            self.caches.returned(&name, number);
            self.drop_copy(copy_dataset(&name, number)).await;
            Ok(())
        })
    }

    fn caches(&self) -> Result<Vec<CacheName>, StoreError> {
        Ok(self.present.borrow().iter().cloned().collect())
    }

    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let _held = self.caches.hold(name).await;
            self.caches.changed(name);
            if !self.present.borrow_mut().remove(name) {
                return Ok(());
            }
            let (cache, number) = (cache_dataset(name), self.caches.number());
            self.off_thread(move |pool| pool.remove_cache(&cache, number))
                .await
        })
    }

    fn complete_deletes(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.off_thread(Pool::wait_for_free))
    }

    /// Returns at once: after a power cut, a transaction group of the pool is complete or absent.
    fn sync(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn usages<'a>(
        &'a self,
        ids: &'a [StepId],
    ) -> LocalBoxFuture<'a, Result<Vec<Option<Usage>>, StoreError>> {
        Box::pin(async move {
            let used = self.off_thread(|pool| pool.used("result")).await?;
            Ok(ids
                .iter()
                .map(|id| used.get(&dataset(id)).copied())
                .collect())
        })
    }

    fn cache_usage<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<Option<CacheUsage>, StoreError>> {
        Box::pin(async move {
            if !self.present.borrow().contains(name) {
                return Ok(None);
            }
            let used = self.off_thread(|pool| pool.used("cache")).await?;
            Ok(used.get(&cache_dataset(name)).map(|usage| CacheUsage {
                // A pool has no times of use: the largest cache is removed first.
                used: jiff::Timestamp::UNIX_EPOCH,
                usage: *usage,
            }))
        })
    }

    fn space(&self) -> Result<Space, StoreError> {
        self.pool.space()
    }
}

fn dataset(id: &StepId) -> String {
    format!("result/{id}")
}

/// Returns the dataset of a cache. A name of a dataset may have a colon, and no percent sign.
fn cache_dataset(name: &CacheName) -> String {
    format!("cache/{}", file_name(name).replace('%', ":"))
}

fn copy_dataset(name: &CacheName, number: u64) -> String {
    format!("cache-tmp/{number}-{}", file_name(name).replace('%', ":"))
}

fn cache_in(dataset: &str) -> Option<CacheName> {
    cache_of(&dataset.replace(':', "%"))
}
