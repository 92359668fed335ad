//! Caches of a store of directories, and the copies that steps use.

use std::io;
use std::path::PathBuf;

use obuilder_spec::User;

use super::DirectoryStore;
use crate::store::backend::Backend;
use crate::store::caches::{Owner, cache_of, file_name};
use crate::store::error::Cannot as _;
use crate::store::layout::names_in;
use crate::store::shared::Shared;
use crate::store::{CacheCopy, CacheName, CacheUsage, StoreError};

impl<B: Backend> DirectoryStore<B> {
    /// Creates a copy of a cache for `owner`.
    pub(super) async fn copy_cache(
        &self,
        name: &CacheName,
        owner: &User,
    ) -> Result<CacheCopy, StoreError> {
        self.check_owner()?;
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
    }

    /// Makes a returned copy the cache, or drops it.
    pub(super) async fn return_copy(&self, copy: CacheCopy) -> Result<(), StoreError> {
        let CacheCopy { name, number, .. } = copy;
        let _held = self.caches.hold(&name).await;
        let (cache, copy) = (self.cache_dir(&name), self.copy_dir(&name, number));
        if !self.caches.returned(&name, number) {
            let dropped = self.off_thread(move |shared| shared.backend.drop_copy(&cache, &copy));
            return dropped.await;
        }
        let (file, place) = (file_name(&name), copy.clone());
        let replaced = match self.unmount(&copy).await {
            Err(error) => Err(error),
            Ok(()) => {
                let cache = cache.clone();
                let replace = move |shared: &Shared<B>| shared.replace_cache(&file, &cache, &copy);
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
    }

    /// Drops a copy.
    pub(super) async fn drop_copy(&self, copy: CacheCopy) -> Result<(), StoreError> {
        let CacheCopy { name, number, .. } = copy;
        let _held = self.caches.hold(&name).await;
        self.caches.returned(&name, number);
        let (cache, copy) = (self.cache_dir(&name), self.copy_dir(&name, number));
        let dropped = self.off_thread(move |shared| shared.backend.drop_copy(&cache, &copy));
        dropped.await
    }

    /// Removes a cache.
    pub(super) async fn remove_cache(&self, name: &CacheName) -> Result<(), StoreError> {
        self.check_owner()?;
        let _held = self.caches.hold(name).await;
        self.caches.changed(name);
        let cache = self.cache_dir(name);
        let removed = self.off_thread(move |shared| shared.backend.remove_cache(&cache));
        removed.await
    }

    /// Measures a cache. `None` if there is no such cache.
    pub(super) async fn measure_cache(
        &self,
        name: &CacheName,
    ) -> Result<Option<CacheUsage>, StoreError> {
        let cache = self.cache_dir(name);
        let measured = self.off_thread(move |shared| {
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
        });
        measured.await
    }

    /// Returns the caches, in order.
    pub(super) fn list_caches(&self) -> Result<Vec<CacheName>, StoreError> {
        let dir = self.root.join("cache");
        let mut names = names_in(&dir)?;
        names.retain(|name| self.shared.backend.has_cache(&dir.join(name)));
        let mut caches: Vec<_> = names.iter().filter_map(|name| cache_of(name)).collect();
        caches.sort();
        Ok(caches)
    }

    fn cache_dir(&self, name: &CacheName) -> PathBuf {
        self.root.join("cache").join(file_name(name))
    }

    fn copy_dir(&self, name: &CacheName, number: u64) -> PathBuf {
        let copies = self.root.join("cache-tmp");
        copies.join(format!("{number}-{}", file_name(name)))
    }
}
