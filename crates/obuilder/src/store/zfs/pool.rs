//! The operations on a pool, as commands. To be called on a thread that may block.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::command::Commands;
use crate::StepId;
use crate::store::caches::Owner;
use crate::store::error::{Cannot as _, ignore};
use crate::store::layout::make_directory;
use crate::store::{Space, StoreError, Usage, private, program};

const TOP: [&str; 4] = ["state", "result", "cache", "cache-tmp"];

/// A pool, mounted at `root`.
#[derive(Debug)]
pub(super) struct Pool {
    commands: Commands,
    root: PathBuf,
    /// The datasets of deleted caches that were in use.
    gone: Mutex<Vec<String>>,
}

/// The content of a pool.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The results, with their bases.
    pub(super) results: HashMap<StepId, Option<StepId>>,
    /// The caches, by the last part of the dataset's name.
    pub(super) caches: Vec<String>,
}

/// Each dataset and snapshot, without the pool's name, with its origin.
type Listing = BTreeMap<String, Option<String>>;

impl Pool {
    pub(super) fn new(commands: Commands, root: PathBuf) -> Self {
        Self {
            commands,
            root,
            gone: Mutex::default(),
        }
    }

    fn run(&self, args: &[OsString]) -> Result<Vec<u8>, StoreError> {
        program::run(args, &self.root)
    }

    fn all(&self, commands: &[Vec<OsString>]) -> Result<(), StoreError> {
        commands
            .iter()
            .try_for_each(|args| self.run(args).map(drop))
    }

    /// Creates the datasets of a store if they are missing, cleans up after a crash, and returns the content.
    pub(super) fn set_up(&self) -> Result<Found, StoreError> {
        let listing = self.listing()?;
        for name in TOP {
            if !listing.contains_key(name) {
                self.run(&self.commands.create(name))?;
            }
        }
        for name in TOP {
            private::close(&self.root.join(name))?;
        }
        let caches = self.recover_caches(&listing)?;
        let mut results = HashMap::new();
        for (name, origin) in &listing {
            let Some(id) = name.strip_prefix("result/").and_then(|id| id.parse().ok()) else {
                continue;
            };
            if listing.contains_key(&format!("{name}@snap")) {
                let base = origin.as_ref().and_then(|origin| {
                    origin
                        .strip_prefix("result/")?
                        .split('@')
                        .next()?
                        .parse()
                        .ok()
                });
                results.insert(id, base);
            } else {
                self.run(&self.commands.destroy(name))?;
            }
        }
        Ok(Found { results, caches })
    }

    /// Undoes an interrupted [`replace_cache`](Self::replace_cache), unless the new cache had its name already. Removes
    /// all copies, and returns the caches.
    fn recover_caches(&self, listing: &Listing) -> Result<Vec<String>, StoreError> {
        let mut caches: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        let mut copies = Vec::new();
        for (name, origin) in listing.iter().filter(|(name, _)| !name.contains('@')) {
            if let Some(cache) = name.strip_prefix("cache/") {
                caches.insert(cache, origin.as_deref());
            } else if let Some(copy) = name.strip_prefix("cache-tmp/") {
                copies.push((copy, origin.as_deref()));
            }
        }
        copies.retain(|(copy, origin)| match copy.strip_prefix("old-") {
            Some(cache) if !caches.contains_key(cache) => {
                caches.insert(cache, *origin);
                false
            }
            _ => true,
        });
        for (cache, origin) in &caches {
            let name = format!("cache/{cache}");
            if !listing.contains_key(&name) {
                self.run(
                    &self
                        .commands
                        .rename(&format!("cache-tmp/old-{cache}"), &name),
                )?;
            }
            if origin.is_some_and(|origin| origin.starts_with("cache-tmp/")) {
                self.run(&self.commands.promote(&name))?;
            }
        }
        for (copy, _) in copies {
            self.run(&self.commands.destroy_all(&format!("cache-tmp/{copy}")))?;
        }
        // Now that names are final, each cache needs a snapshot for its copies.
        let listing = if caches.is_empty() {
            Listing::new()
        } else {
            self.listing()?
        };
        for cache in caches.keys() {
            let snapshot = format!("cache/{cache}@snap");
            if !listing.contains_key(&snapshot) {
                self.run(&self.commands.snapshot(&snapshot))?;
            }
        }
        Ok(caches.into_keys().map(str::to_owned).collect())
    }

    fn listing(&self) -> Result<Listing, StoreError> {
        let text = self.run(&self.commands.list())?;
        let text = String::from_utf8_lossy(&text);
        let inside = |name: &str| {
            Some(
                name.strip_prefix(&self.commands.pool)?
                    .strip_prefix('/')?
                    .to_owned(),
            )
        };
        Ok(text
            .lines()
            .filter_map(|line| {
                let (name, origin) = line.split_once('\t')?;
                Some((inside(name)?, inside(origin)))
            })
            .collect())
    }

    /// Creates the dataset `name`, under its final name, because a dataset in use cannot be renamed.
    pub(super) fn begin(
        &self,
        name: &str,
        base: Option<StepId>,
    ) -> Result<(PathBuf, PathBuf), StoreError> {
        let dir = self.root.join(name);
        let rootfs = dir.join("rootfs");
        let Some(base) = base else {
            self.run(&self.commands.create(name))?;
            make_directory(&rootfs)?;
            return Ok((dir, rootfs));
        };
        self.run(&self.commands.clone_of(&format!("result/{base}@snap"), name))?;
        self.run(&self.commands.mount(name))?;
        for file in ["log", "parent", "variant"] {
            let file = dir.join(file);
            ignore(io::ErrorKind::NotFound, fs::remove_file(&file)).cannot("remove", &file)?;
        }
        let link = dir.join("parent");
        symlink(format!("../{base}"), &link).cannot("create", &link)?;
        Ok((dir, rootfs))
    }

    pub(super) fn publish(&self, name: &str) -> Result<(), StoreError> {
        self.run(&self.commands.snapshot(&format!("{name}@snap")))
            .map(drop)
    }

    pub(super) fn destroy(&self, name: &str) -> Result<(), StoreError> {
        self.run(&self.commands.destroy(name)).map(drop)
    }

    pub(super) fn destroy_all(&self, name: &str) -> Result<(), StoreError> {
        self.run(&self.commands.destroy_all(name)).map(drop)
    }

    /// Mounts a dataset that has not been used since the machine was started.
    pub(super) fn mount(&self, name: &str) -> Result<(), StoreError> {
        if self.root.join(name).join(".zfs").exists() {
            return Ok(());
        }
        self.run(&self.commands.mount(name)).map(drop)
    }

    pub(super) fn take_cache(
        &self,
        cache: &str,
        copy: &str,
        is_there: bool,
        owner: Owner,
    ) -> Result<PathBuf, StoreError> {
        let snapshot = format!("{cache}@snap");
        if !is_there {
            self.all(&[
                self.commands.create(cache),
                self.commands.snapshot(&snapshot),
            ])?;
        }
        self.all(&[
            self.commands.clone_of(&snapshot, copy),
            self.commands.mount(copy),
        ])?;
        let path = self.root.join(copy);
        owner.give(&path)?;
        Ok(path)
    }

    /// Makes a copy the cache. The old one becomes a clone of it, and is deleted.
    pub(super) fn replace_cache(
        &self,
        cache: &str,
        copy: &str,
        number: u64,
    ) -> Result<(), StoreError> {
        let aside = cache.replacen("cache/", "cache-tmp/old-", 1);
        let commands = &self.commands;
        self.all(&[
            commands.promote(copy),
            commands.rename(&format!("{copy}@snap"), &format!("{copy}@old-{number}")),
            commands.snapshot(&format!("{copy}@snap")),
            commands.rename(cache, &aside),
            commands.rename(copy, cache),
            commands.destroy(&aside),
            commands.destroy_later(&format!("{cache}@old-{number}")),
        ])
    }

    /// Deletes the copy of a cache, and deleted caches without copies.
    pub(super) fn drop_copy(&self, copy: &str) -> Result<(), StoreError> {
        self.destroy(copy)?;
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|name| self.destroy(name).is_err());
        Ok(())
    }

    /// Deletes a cache, or marks it for deletion if it has copies.
    pub(super) fn remove_cache(&self, cache: &str, number: u64) -> Result<(), StoreError> {
        let aside = format!("cache-tmp/gone-{number}");
        self.run(&self.commands.rename(cache, &aside))?;
        if self.destroy(&aside).is_err() {
            let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
            gone.push(aside);
        }
        Ok(())
    }

    pub(super) fn wait_for_free(&self) -> Result<(), StoreError> {
        self.run(&self.commands.wait_for_free()).map(drop)
    }

    /// Returns the disk usage of each dataset in `name` that no other shares, by its name in the pool.
    pub(super) fn used(&self, name: &str) -> Result<HashMap<String, Usage>, StoreError> {
        let text = self.run(&self.commands.used(name))?;
        let text = String::from_utf8_lossy(&text);
        let line = |line: &str| {
            let (dataset, bytes) = line.split_once('\t')?;
            let bytes = bytes.trim().parse().ok()?;
            let (_, name) = dataset.split_once('/')?;
            Some((name.to_owned(), Usage { bytes, files: 0 }))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    pub(super) fn space(&self) -> Result<Space, StoreError> {
        let args = self.commands.space();
        let text = self.run(&args)?;
        let text = String::from_utf8_lossy(&text);
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(total)), Some(Ok(free))) => Ok(Space {
                total,
                free,
                // Made as they are needed.
                total_files: 0,
                free_files: 0,
            }),
            _ => Err(StoreError::Command {
                command: "zpool list".to_owned(),
                reason: format!("it printed {text:?} instead of its size and free space"),
            }),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}
