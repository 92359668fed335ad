//! Builds specs: computes the id of each step, runs the steps that have no result yet, and shows their output to the
//! builds that wait for it.
//!
//! If several builds need a step at once, it runs once, as a task of its own, and all of them watch it. It stops
//! when the last watcher leaves, and its result is kept only if it succeeded.
//! `docs/design/0008-steps-and-sharing.md` gives the reasons.
//!
//! `walk` follows a spec, `step` finds, joins or starts a step, `attempt` runs it, and `claims` has the steps and
//! removals in progress.

mod attempt;
mod claims;
mod context;
mod core;
mod database;
mod env_file;
mod error;
mod exit;
mod fetch_shared;
mod healthcheck;
mod healthcheck_program;
mod inputs;
mod label;
mod reclaim;
mod remove;
mod room;
mod settings;
mod share;
mod shell;
mod step;
mod step_log;
mod variant;
mod walk;
mod work;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;
use jiff::Timestamp;
use obuilder_spec::Spec;

pub use self::context::{BuildLog, Context, OpProgress};
use self::core::Core;
pub use self::database::{DatabaseError, Entry};
pub use self::error::{BuildError, OpenError};
pub use self::healthcheck::Unhealthy;
pub use self::inputs::StepInputs;
pub use self::reclaim::{Removed, RoomMade};
pub use self::remove::RemoveError;
pub use self::shell::ShellError;
use self::walk::Walk;
use crate::copy::Digests;
use crate::sandbox::{Exit, Sandbox};
use crate::shared::{Shared, SharedStats};
use crate::store::{Space, Store, StoreError, Usage};
use crate::{Fetcher, ImageSettings, StepId};

/// Builds specs. Clones are the same builder.
///
/// Poll its futures within a `LocalSet` of a current-thread runtime, because steps are local tasks. You may drop any of
/// them at any time: nothing is left half done.
#[derive(Clone)]
pub struct Builder {
    core: Rc<Core>,
}

/// The parts of a builder.
#[derive(Clone)]
pub struct Parts {
    /// Where results are kept.
    pub store: Rc<dyn Store>,
    /// Where commands run.
    pub sandbox: Rc<dyn Sandbox>,
    /// Where base images come from.
    pub fetcher: Rc<dyn Fetcher>,
}

/// Returns the current time.
pub type Clock = Box<dyn Fn() -> Timestamp>;

/// How many steps had a result already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Steps that had a result.
    pub hits: u64,
    /// Steps that were started. Joining one that another build has started counts as neither.
    pub misses: u64,
    /// Cancelled steps that did not stop in the time that builds wait for it.
    pub not_stopped: u64,
}

impl Builder {
    /// Opens a store for building. There may be only one builder of a store at a time.
    ///
    /// # Errors
    /// If the database or the store cannot be read.
    pub fn open(parts: Parts) -> Result<Self, OpenError> {
        Self::with_clock(parts, Box::new(Timestamp::now))
    }

    /// Opens a store for reading, with a copy of its database. The store comes from
    /// [`store::open_for_reading`](crate::store::open_for_reading).
    ///
    /// # Errors
    /// If the database cannot be copied or read, or the store cannot be read.
    pub fn open_for_reading(parts: Parts) -> Result<Self, OpenError> {
        let store = &parts.store;
        let (from, to) = (store.root().join("state/db"), store.state_dir().join("db"));
        if let Err(source) = database::copy(&from, &to) {
            return Err(DatabaseError::Directory { path: to, source }.into());
        }
        Self::open(parts)
    }

    /// Opens a store for building, with a clock for the times at which results were made and used.
    ///
    /// # Errors
    /// If the database or the store cannot be read.
    pub fn with_clock(parts: Parts, clock: Clock) -> Result<Self, OpenError> {
        let state_dir = parts.store.state_dir();
        let results = || parts.store.results().map_err(OpenError::from);
        let database = database::Database::open(&state_dir.join("db"), results)?;
        let digests = Arc::new(Digests::new(state_dir));
        Ok(Self {
            core: Rc::new(Core {
                settings: settings::Settings::of(parts.store.root()),
                parts,
                database,
                digests,
                claims: claims::Claims::default(),
                hits: Cell::new(0),
                misses: Cell::new(0),
                not_stopped: Cell::new(0),
                shells: Cell::new(0),
                usages: RefCell::default(),
                shared: OnceCell::new(),
                to_share: RefCell::new(VecDeque::new()),
                is_sharing: Cell::new(false),
                sharing_changed: tokio::sync::watch::Sender::new(false),
                clock,
            }),
        })
    }

    /// Has this builder fetch the results that others have shared, and share its own. It does so once: a second call
    /// changes nothing.
    pub fn share(&self, shared: Shared) {
        // The first one stays.
        drop(self.core.shared.set(Rc::new(shared)));
    }

    /// Returns what was fetched and shared since the store was opened. `None` if no results are shared.
    pub fn shared_stats(&self) -> Option<SharedStats> {
        self.core.shared.get().map(|shared| shared.stats())
    }

    /// Waits until no result waits to be shared. Those that still wait when the builder is dropped are shared when a
    /// step that is based on them is.
    pub async fn all_shared(&self) {
        self.core.shared().await;
    }

    /// Builds a spec, and returns the id of its result.
    ///
    /// # Errors
    /// If a step fails, the log cannot be written, or the build is cancelled.
    pub async fn build(&self, context: &Context, spec: &Spec) -> Result<StepId, BuildError> {
        Walk::new(&self.core, context).stage(spec, Vec::new()).await
    }

    /// Waits until no step is in progress, and no result is being removed. A cancelled build may end before its step.
    pub async fn idle(&self) {
        self.core.claims.idle().await;
    }

    /// Waits until all results are on the disk, so that a power cut loses none. Call it after the last build.
    pub async fn settled(&self) {
        self.idle().await;
        self.core.parts.store.sync().await;
    }

    /// Removes a result, after all results that are based on it. Calls `removed` for each before its removal. It is no
    /// error if there is no such result.
    ///
    /// # Errors
    /// [`RemoveError::InUse`] if a running build needs any of them: then none is removed.
    pub async fn delete(
        &self,
        id: &StepId,
        removed: &mut dyn FnMut(&StepId),
    ) -> Result<(), RemoveError> {
        self.core.delete(id, removed).await
    }

    /// Removes up to `limit` results that were last used before `before`, the oldest first, and returns how many. Calls
    /// `removed` for each before its removal.
    ///
    /// Results on which others are based stay until those are removed, and results that a running build needs stay. One
    /// that cannot be removed stays, with a warning.
    ///
    /// # Errors
    /// If nothing could be removed though there was something to remove.
    pub async fn prune(
        &self,
        before: Timestamp,
        limit: usize,
        removed: &mut dyn FnMut(&StepId),
    ) -> Result<usize, RemoveError> {
        self.core.prune(before, limit, removed).await
    }

    /// Makes room until `is_enough`: removes at most `limit` results that were last used before `before`, and caches
    /// once no such result is left. Calls `removed` for each before its removal.
    ///
    /// The least recently used results are removed first, and of these the cheapest to rebuild; caches by age and size,
    /// one at a time. If even all of that would not be enough, nothing is removed.
    ///
    /// # Errors
    /// If nothing could be removed though there was something to remove.
    pub async fn make_room(
        &self,
        before: Timestamp,
        limit: usize,
        is_enough: &dyn Fn(Space) -> bool,
        removed: &mut dyn FnMut(Removed<'_>),
    ) -> Result<RoomMade, RemoveError> {
        let core = &self.core;
        core.make_room(before, limit, is_enough, removed).await
    }

    /// Returns the disk usage of each of these results that no other shares. `None` for a result that does not exist
    /// or cannot be measured.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn usages(&self, ids: &[StepId]) -> Result<Vec<Option<Usage>>, StoreError> {
        self.core.usages(ids).await
    }

    /// Returns the number of results.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn count(&self) -> Result<u64, DatabaseError> {
        self.core.database.count()
    }

    /// Returns the entries of all results, in the order in which they were made.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, DatabaseError> {
        self.core.database.entries()
    }

    /// Returns whether there is a result of this step.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has_result(&self, id: &StepId) -> Result<bool, StoreError> {
        Ok(self.core.parts.store.result(id)?.is_some())
    }

    /// Returns the free space of the store's disk.
    ///
    /// # Errors
    /// If the filesystem does not report it.
    pub fn space(&self) -> Result<Space, StoreError> {
        self.core.parts.store.space()
    }

    /// Returns the counts of steps since the store was opened.
    pub fn stats(&self) -> Stats {
        Stats {
            hits: self.core.hits.get(),
            misses: self.core.misses.get(),
            not_stopped: self.core.not_stopped.get(),
        }
    }

    /// Returns the log file of the step that made a result. `None` if there is no such result.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn log_file(&self, id: &StepId) -> Result<Option<PathBuf>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        Ok(finished.map(|finished| finished.dir.join("log")))
    }

    /// Returns the op that made a result, as in its spec, in one line. `None` if there is no such result, or if another
    /// program made it, which keeps no ops.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn op(&self, id: &StepId) -> Result<Option<String>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        Ok(finished.and_then(|finished| label::read(&finished.dir, *id)))
    }

    /// Returns the environment that the base image of a result sets for its processes. It may be empty.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn image_env(&self, id: &StepId) -> Result<Vec<(BString, BString)>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        let env = finished.and_then(|finished| env_file::read(&finished.dir).ok());
        Ok(env.unwrap_or_default())
    }

    /// Returns the settings for an image of a result. For a result of an older version, only the environment is known.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn image_settings(&self, id: &StepId) -> Result<ImageSettings, StoreError> {
        match self.core.settings.read(id) {
            Some(settings) => Ok(settings),
            None => self.image_env(id).map(ImageSettings::of_env),
        }
    }

    /// Returns the store, for views of results and for the caches.
    pub fn store(&self) -> &Rc<dyn Store> {
        &self.core.parts.store
    }

    /// Checks that steps can run here, by running one whose program is part of this crate.
    ///
    /// # Errors
    /// If the step fails, or takes longer than `within`.
    pub async fn healthcheck(&self, within: Duration) -> Result<(), Unhealthy> {
        self.core.healthcheck(within).await
    }

    /// Runs a command, or a shell, on the terminal of this process in a copy of a result, and removes the copy.
    ///
    /// It runs as root in `/`, with the environment of the base image and the machine's network.
    ///
    /// # Errors
    /// If there is no such result, or the command cannot be started.
    pub async fn shell(&self, id: &StepId, argv: Option<Vec<BString>>) -> Result<Exit, ShellError> {
        self.core.shell(*id, argv).await
    }
}
