//! Opens stores of directories.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::{DirectoryStore, StoreAccess, keep_reserve, space};
use crate::sandbox;
use crate::store::backend::{Backend, BackendSetup};
use crate::store::background::Background;
use crate::store::caches::Caches;
use crate::store::error::Cannot as _;
use crate::store::guest::{self, Guest};
use crate::store::layout::{make_directories, remove_damaged, remove_leftovers, take_lock};
use crate::store::marks::Marks;
use crate::store::reserve::Reserve;
use crate::store::shared::Shared;
use crate::store::trash::Trash;
use crate::store::{OpenError, Store, private};

impl<B: Backend> DirectoryStore<B> {
    /// Opens the store at `root`. `check` checks whether the filesystem is suitable, thoroughly if the store is
    /// new.
    pub(in crate::store) fn open(
        root: &Path,
        check: impl FnOnce(&Path, bool) -> Result<(), OpenError>,
        backend: impl FnOnce(BackendSetup) -> B,
    ) -> Result<Rc<dyn Store>, OpenError> {
        private::make(root)?;
        let reserve = Reserve::new(root);
        let released = reserve.release_if_needed(space(root)?);
        released.cannot("make room in", root)?;
        let lock = take_lock(root)?;
        check(root, !root.join("result").exists())?;
        make_directories(root)?;
        let background = Arc::new(Background::default());
        let dir = root.join("trash");
        let trash = Trash::open(dir.clone(), background.clone()).cannot("empty", &dir)?;
        let backend = backend(BackendSetup {
            root: root.to_owned(),
            trash: Arc::new(trash),
        });
        // Containers first: a running one would write to the files that are being removed.
        sandbox::cleanup(&root.join("state"))?;
        backend.clean_up()?;
        guest::clear(root, &backend)?;
        remove_leftovers(root, &backend)?;
        let marks = remove_damaged(root, &backend, &background)?;
        keep_reserve(&reserve, root);
        Ok(Rc::new(Self {
            root: root.to_owned(),
            drafts_root: root.to_owned(),
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
            access: StoreAccess::Owner { _lock: lock },
        }))
    }

    /// Opens the store at `root` for reading, even if another process owns it. `None` if there is none yet.
    pub(in crate::store) fn open_for_reading(
        root: &Path,
        backend: impl FnOnce(BackendSetup) -> B,
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
        let backend = backend(BackendSetup {
            root: own.clone(),
            trash: Arc::new(trash),
        });
        backend.clean_up()?;
        let (marks, _) = Marks::open(&own, &background).cannot("create marks in", &own)?;
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
            drafts_root: own,
            caches: Caches::default(),
            kept: RefCell::default(),
            access: StoreAccess::Guest { _guest: guest },
        })))
    }
}
