//! A store of plain directories that complains when it is not used as agreed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use obuilder::StepId;
use obuilder::store::{
    CacheCopy, CacheName, CacheUsage, Draft, Finished, Space, Store, StoreError, Usage, View,
};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

/// What each result takes.
const ONE: Usage = Usage { bytes: 1, files: 1 };

/// A place where the store waits when the test has told it to.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    pub(crate) reached: CancellationToken,
    pub(crate) open: CancellationToken,
}

pub(crate) struct MockStore {
    root: PathBuf,
    state: PathBuf,
    /// What is there, and what it was made from.
    results: RefCell<HashMap<StepId, Option<StepId>>>,
    drafts: RefCell<Vec<StepId>>,
    /// What happened to caches, in order.
    pub(crate) caches: RefCell<Vec<String>>,
    copies: Cell<u64>,
    views: Rc<Cell<usize>>,
    /// How often somebody asked for all results.
    pub(crate) listed: Cell<usize>,
    /// How much of 100 is free. Each result that goes frees one more.
    pub(crate) free: Cell<u64>,
    /// The caches that may be removed.
    pub(crate) kept_caches: RefCell<Vec<(&'static str, CacheUsage)>>,
    pub(crate) fails_to_begin: Cell<bool>,
    pub(crate) fails_to_publish: Cell<bool>,
    pub(crate) fails_to_delete: Cell<bool>,
    pub(crate) beginning: RefCell<Option<Gate>>,
    pub(crate) publishing: RefCell<Option<Gate>>,
    pub(crate) discarding: RefCell<Option<Gate>>,
    pub(crate) deleting: RefCell<Option<Gate>>,
}

impl MockStore {
    pub(crate) fn new(root: &Path) -> Rc<Self> {
        for dir in ["result", "draft", "state", "cache"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let store = Self {
            root: root.to_owned(),
            state: root.join("state"),
            results: RefCell::default(),
            drafts: RefCell::default(),
            caches: RefCell::default(),
            copies: Cell::new(0),
            views: Rc::default(),
            listed: Cell::new(0),
            free: Cell::new(40),
            kept_caches: RefCell::default(),
            fails_to_begin: Cell::new(false),
            fails_to_publish: Cell::new(false),
            fails_to_delete: Cell::new(false),
            beginning: RefCell::default(),
            publishing: RefCell::default(),
            discarding: RefCell::default(),
            deleting: RefCell::default(),
        };
        for entry in fs::read_dir(root.join("result")).unwrap() {
            let entry = entry.unwrap();
            let id = entry.file_name().to_str().unwrap().parse().unwrap();
            let base = fs::read_to_string(entry.path().join("base")).unwrap();
            store.results.borrow_mut().insert(id, base.parse().ok());
        }
        Rc::new(store)
    }

    /// Returns the text of a file in a result.
    pub(crate) fn file(&self, id: &StepId, file: &str) -> String {
        fs::read_to_string(self.dir(id).join("rootfs").join(file)).unwrap()
    }

    pub(crate) fn dir(&self, id: &StepId) -> PathBuf {
        self.root.join("result").join(id.to_string())
    }

    pub(crate) fn has(&self, id: &StepId) -> bool {
        self.results.borrow().contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.results.borrow().len()
    }

    /// Returns whether a step is in progress, or a result shown.
    pub(crate) fn is_busy(&self) -> bool {
        !self.drafts.borrow().is_empty() || self.views.get() > 0
    }

    /// Fails if something was left behind.
    pub(crate) fn check(&self) {
        assert_eq!(*self.drafts.borrow(), [], "drafts are left");
        assert_eq!(self.copies.get(), self.released(), "cache copies are left");
        assert_eq!(self.views.get(), 0, "views are left");
        let files = fs::read_dir(self.root.join("draft")).unwrap().count();
        assert_eq!(files, 0, "files of drafts are left");
    }

    pub(crate) fn cache_path(&self, name: &str) -> PathBuf {
        self.root.join("cache").join(name)
    }

    fn released(&self) -> u64 {
        let caches = self.caches.borrow();
        let released = caches.iter().filter(|what| what.starts_with("released"));
        released.count() as u64
    }

    fn forget_draft(&self, draft: &Draft) {
        let mut drafts = self.drafts.borrow_mut();
        let known = drafts.iter().position(|id| *id == draft.id);
        drafts.remove(known.expect("a draft of ours"));
    }
}

fn refused(action: &'static str, path: &Path) -> StoreError {
    StoreError::Io {
        action,
        path: path.to_owned(),
        source: std::io::ErrorKind::StorageFull.into(),
    }
}

async fn pass(gate: &RefCell<Option<Gate>>) {
    let gate = gate.borrow().clone();
    if let Some(gate) = gate {
        gate.reached.cancel();
        gate.open.cancelled().await;
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        if let Ok(target) = fs::read_link(&entry) {
            std::os::unix::fs::symlink(target, to.join(name)).unwrap();
        } else if entry.is_dir() {
            copy_tree(&entry, &to.join(name));
        } else {
            fs::copy(&entry, to.join(name)).unwrap();
        }
    }
}

impl Store for MockStore {
    fn root(&self) -> &Path {
        &self.root
    }

    fn state_dir(&self) -> &Path {
        &self.state
    }

    fn result(&self, id: &StepId) -> Result<Option<Finished>, StoreError> {
        let base = self.results.borrow().get(id).copied();
        Ok(base.map(|base| Finished {
            id: *id,
            base,
            dir: self.dir(id),
        }))
    }

    fn results(&self) -> Result<Vec<Finished>, StoreError> {
        self.listed.set(self.listed.get() + 1);
        let ids: Vec<StepId> = self.results.borrow().keys().copied().collect();
        Ok(ids
            .iter()
            .filter_map(|id| self.result(id).unwrap())
            .collect())
    }

    fn begin<'a>(
        &'a self,
        id: &'a StepId,
        base: Option<&'a StepId>,
    ) -> LocalBoxFuture<'a, Result<Draft, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            pass(&self.beginning).await;
            let dir = self.root.join("draft").join(id.to_string());
            if self.fails_to_begin.get() {
                return Err(refused("make", &dir));
            }
            assert!(!self.has(id), "there is a result of {id}");
            assert!(
                !self.drafts.borrow().contains(id),
                "there is a draft of {id}"
            );
            match base {
                Some(base) if !self.has(base) => return Err(StoreError::NoBase(*base)),
                Some(base) => {
                    copy_tree(&self.dir(base), &dir);
                    fs::remove_file(dir.join("log")).unwrap();
                }
                None => fs::create_dir_all(dir.join("rootfs")).unwrap(),
            }
            self.drafts.borrow_mut().push(*id);
            Ok(Draft {
                id: *id,
                base: base.copied(),
                rootfs: dir.join("rootfs"),
                dir,
                is_exposed: false,
            })
        })
    }

    fn publish(&self, draft: Draft) -> LocalBoxFuture<'_, Result<Finished, StoreError>> {
        Box::pin(async move {
            pass(&self.publishing).await;
            self.forget_draft(&draft);
            if self.fails_to_publish.get() {
                fs::remove_dir_all(&draft.dir).unwrap();
                return Err(refused("rename", &draft.dir));
            }
            let base = draft.base.map(|base| base.to_string()).unwrap_or_default();
            fs::write(draft.dir.join("base"), base).unwrap();
            fs::rename(&draft.dir, self.dir(&draft.id)).unwrap();
            self.results.borrow_mut().insert(draft.id, draft.base);
            Ok(self.result(&draft.id).unwrap().unwrap())
        })
    }

    fn sync(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn discard(&self, draft: Draft) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            pass(&self.discarding).await;
            self.forget_draft(&draft);
            fs::remove_dir_all(&draft.dir).unwrap();
            Ok(())
        })
    }

    fn delete<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            pass(&self.deleting).await;
            if self.fails_to_delete.get() {
                return Err(refused("remove", &self.dir(id)));
            }
            let results = &self.results;
            let is_base = results
                .borrow()
                .values()
                .any(|base| base.as_ref() == Some(id));
            assert!(!is_base, "{id} is a base");
            if results.borrow_mut().remove(id).is_some() {
                self.free.set(self.free.get() + ONE.bytes);
                fs::remove_dir_all(self.dir(id)).unwrap();
            }
            Ok(())
        })
    }

    fn view<'a>(&'a self, id: &'a StepId) -> LocalBoxFuture<'a, Result<View, StoreError>> {
        Box::pin(async move {
            if !self.has(id) {
                return Err(StoreError::NoBase(*id));
            }
            self.views.set(self.views.get() + 1);
            tokio::task::yield_now().await;
            let views = Rc::clone(&self.views);
            Ok(View::with_undo(self.dir(id).join("rootfs"), move || {
                views.set(views.get() - 1);
            }))
        })
    }

    fn acquire_cache<'a>(
        &'a self,
        name: &'a CacheName,
        _: &'a User,
    ) -> LocalBoxFuture<'a, Result<CacheCopy, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let path = self.root.join("cache").join(name.0.to_string());
            if name.0 == "full" {
                return Err(refused("copy", &path));
            }
            let number = self.copies.get();
            self.copies.set(number + 1);
            self.caches
                .borrow_mut()
                .push(format!("acquired {}", name.0));
            Ok(CacheCopy {
                name: name.clone(),
                path,
                number,
            })
        })
    }

    fn release_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.caches
                .borrow_mut()
                .push(format!("released {}", copy.name.0));
            Ok(())
        })
    }

    fn discard_cache(&self, copy: CacheCopy) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut caches = self.caches.borrow_mut();
            caches.push(format!("released, but discarded {}", copy.name.0));
            Ok(())
        })
    }

    fn caches(&self) -> Result<Vec<CacheName>, StoreError> {
        let kept = self.kept_caches.borrow();
        Ok(kept
            .iter()
            .map(|(name, _)| CacheName((*name).into()))
            .collect())
    }

    fn delete_cache<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept_caches.borrow_mut();
            let known = kept.iter().position(|(known, _)| name.0 == *known);
            let (_, cache) = kept.remove(known.expect("a cache of ours"));
            self.free.set(self.free.get() + cache.usage.bytes);
            Ok(())
        })
    }

    fn usages<'a>(
        &'a self,
        ids: &'a [StepId],
    ) -> LocalBoxFuture<'a, Result<Vec<Option<Usage>>, StoreError>> {
        Box::pin(async { Ok(ids.iter().map(|id| self.has(id).then_some(ONE)).collect()) })
    }

    fn cache_usage<'a>(
        &'a self,
        name: &'a CacheName,
    ) -> LocalBoxFuture<'a, Result<Option<CacheUsage>, StoreError>> {
        Box::pin(async move {
            let kept = self.kept_caches.borrow();
            let found = kept.iter().find(|(known, _)| name.0 == *known);
            Ok(found.map(|(_, cache)| cache.clone()))
        })
    }

    fn complete_deletes(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn space(&self) -> Result<Space, StoreError> {
        Ok(Space {
            total: 100,
            free: self.free.get(),
            total_files: 0,
            free_files: 0,
        })
    }
}
