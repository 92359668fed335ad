//! The rule for returned copies of caches, the same for every store: the first one wins.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use obuilder_spec::{User, escape_cache_name};
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::Cannot as _;
use super::{CacheName, StoreError};

/// The caches that this process has used.
#[derive(Debug, Default)]
pub(super) struct Caches {
    states: RefCell<HashMap<CacheName, Rc<State>>>,
    /// The generation from which each copy was taken, by its number.
    out: RefCell<HashMap<u64, u64>>,
    next: Cell<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Incremented whenever the cache changes.
    generation: Cell<u64>,
    /// Locked while the cache is copied or replaced, either of which may take long.
    busy: std::sync::Arc<Mutex<()>>,
}

impl Caches {
    /// Waits until the cache is neither copied nor replaced, and prevents both.
    pub(super) async fn hold(&self, name: &CacheName) -> OwnedMutexGuard<()> {
        let busy = self.state(name).busy.clone();
        busy.lock_owned().await
    }

    /// Returns a number for a new copy.
    pub(super) fn number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        number
    }

    /// Records that the copy `number` was taken.
    pub(super) fn taken(&self, name: &CacheName, number: u64) {
        let generation = self.state(name).generation.get();
        self.out.borrow_mut().insert(number, generation);
    }

    /// Returns whether the returned copy `number` becomes the cache.
    pub(super) fn returned(&self, name: &CacheName, number: u64) -> bool {
        let taken_from = self.out.borrow_mut().remove(&number);
        taken_from == Some(self.state(name).generation.get())
    }

    /// Records that the cache has changed or was removed: no copy in use will replace it.
    pub(super) fn changed(&self, name: &CacheName) {
        let state = self.state(name);
        state.generation.set(state.generation.get().wrapping_add(1));
    }

    fn state(&self, name: &CacheName) -> Rc<State> {
        let mut states = self.states.borrow_mut();
        states.entry(name.clone()).or_default().clone()
    }
}

/// Returns the file name for a cache. A name that is too long for a filesystem fails when the cache is created.
pub(super) fn file_name(name: &CacheName) -> String {
    escape_cache_name(name.0.as_ref())
}

/// Returns the cache with this file name, if it is the name of one.
pub(super) fn cache_of(file_name: &str) -> Option<CacheName> {
    let mut rest = file_name.strip_prefix("c-")?.as_bytes();
    let mut name = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            name.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    let name = CacheName(name.into());
    // Only names that `file_name` returns: `%41` is no `A`.
    (self::file_name(&name) == file_name).then_some(name)
}

/// The owner of the top directory of a cache's copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// Returns the owner for a step's user: root for a user without a number.
    pub(super) fn of(user: &User) -> Result<Self, StoreError> {
        let User::Unix { uid, gid } = user else {
            return Ok(Self { uid: 0, gid: 0 });
        };
        let number = |id: i64| {
            // The highest number means "no change" to the system.
            let number = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            number.ok_or_else(|| StoreError::Io {
                action: "give a cache to its owner",
                path: format!("{uid}:{gid}").into(),
                source: std::io::ErrorKind::InvalidInput.into(),
            })
        };
        Ok(Self {
            uid: number(*uid)?,
            gid: number(*gid)?,
        })
    }

    /// Makes it the owner of a directory.
    pub(super) fn give(self, dir: &Path) -> Result<(), StoreError> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(CWD, dir, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .cannot("change the owner of", dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CacheName {
        CacheName(text.into())
    }

    #[test]
    fn names_stay_in_the_directory_and_never_share_a_file() {
        let names = [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a%2fb",
            "a\n",
            "a\nb",
            "a\u{ab}",
            "plain-1.0_x",
        ];
        let files: Vec<String> = names.iter().map(|text| file_name(&name(text))).collect();
        expect_test::expect![[r#"
            c-
            c-.
            c-..
            c-..%2fx
            c-a%2fb
            c-a%252fb
            c-a%0a
            c-a%0ab
            c-a%c2%ab
            c-plain-1.0_x"#]]
        .assert_eq(&files.join("\n"));
        for (text, file) in names.iter().zip(&files) {
            assert_eq!(cache_of(file), Some(name(text)));
        }
        for file in ["plain", "c-%4", "c-%41", "c-%zz", "c-%2F", "c-a b"] {
            assert_eq!(cache_of(file), None, "{file}");
        }
    }

    #[test]
    fn a_cache_belongs_to_ids_that_files_can_have() {
        let owner = |uid| Owner::of(&User::Unix { uid, gid: 7 }).map(|owner| owner.uid);
        assert_eq!(owner(4_294_967_294).unwrap(), 4_294_967_294);
        for uid in [-1, 4_294_967_295, 1 << 40] {
            assert!(owner(uid).is_err(), "{uid}");
        }
    }

    #[test]
    fn the_first_copy_that_comes_back_wins() {
        let (caches, name) = (Caches::default(), name("x"));
        let take = || {
            let number = caches.number();
            caches.taken(&name, number);
            number
        };
        let (first, second) = (take(), take());
        assert!(caches.returned(&name, second));
        caches.changed(&name);
        assert!(!caches.returned(&name, first));
        let third = take();
        assert!(caches.returned(&name, third));
        assert!(!caches.returned(&name, third), "it came back before");
    }
}
