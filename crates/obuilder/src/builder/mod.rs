//! Builds specs: computes what each step would be called, does what has not been done, and shows it to those who wait.
//!
//! A step that several builds want at once is done once, as a task of its own, and watched by all of them. It stops when
//! the last of them has lost interest, and what it did is kept only if it succeeded. `docs/design/0008-steps-and-sharing.md`
//! says why it is like this.
//!
//! `walk` follows a spec, `step` finds, joins or starts a step, `attempt` does it, `claims` says who is doing what.

mod attempt;
mod claims;
mod context;
mod core;
mod database;
mod env_file;
mod error;
mod exit;
mod healthcheck;
mod healthcheck_program;
mod inputs;
mod label;
mod reclaim;
mod remove;
mod room;
mod settings;
mod shell;
mod step;
mod step_log;
mod variant;
mod walk;
mod work;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;
use jiff::Timestamp;
use obuilder_spec::Spec;

pub use self::context::{BuildLog, Context};
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
use crate::store::{Space, Store, StoreError, Usage};
use crate::{Fetcher, ImageSettings, StepId};

/// Builds specs. Clones are the same builder.
///
/// Its futures must be polled within a `LocalSet` of a current-thread runtime, because steps are tasks of their own there.
/// Any of them may be dropped at any time: nothing is left half done.
#[derive(Clone)]
pub struct Builder {
    core: Rc<Core>,
}

/// What a builder works with.
#[derive(Clone)]
pub struct Parts {
    /// Where results are kept.
    pub store: Rc<dyn Store>,
    /// Where commands run.
    pub sandbox: Rc<dyn Sandbox>,
    /// Where base images come from.
    pub fetcher: Rc<dyn Fetcher>,
}

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Timestamp>;

/// How often steps were found done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// How many were done already.
    pub hits: u64,
    /// How many had to be started. Joining one that others have started is neither.
    pub misses: u64,
    /// How many were no longer wanted, and did not stop in the time that builds wait for that.
    pub not_stopped: u64,
}

impl Builder {
    /// Opens a store for building. There may be only one builder of a store at a time.
    pub fn open(parts: Parts) -> Result<Self, OpenError> {
        Self::with_clock(parts, Box::new(Timestamp::now))
    }

    /// Opens a store for reading that was opened for that ([`open_for_reading`](crate::store::open_for_reading)), with a copy of
    /// its database.
    pub fn open_for_reading(parts: Parts) -> Result<Self, OpenError> {
        let store = &parts.store;
        let (from, to) = (store.root().join("state/db"), store.state_dir().join("db"));
        if let Err(source) = database::copy(&from, &to) {
            return Err(DatabaseError::Directory { path: to, source }.into());
        }
        Self::open(parts)
    }

    /// Opens a store for building, with a clock that says when results were made and used.
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
                clock,
            }),
        })
    }

    /// Builds a spec, and returns the id of its result.
    pub async fn build(&self, context: &Context, spec: &Spec) -> Result<StepId, BuildError> {
        Walk::new(&self.core, context).stage(spec, Vec::new()).await
    }

    /// Waits until no step is in progress, and none is being removed: a build that was cancelled ends before its step has.
    pub async fn idle(&self) {
        self.core.claims.idle().await;
    }

    /// Waits until the machine can be switched off without losing a result. To be called when nothing more is built.
    pub async fn settled(&self) {
        self.idle().await;
        self.core.parts.store.sync().await;
    }

    /// Removes a result, after all that is based on it. `removed` is told of each before it goes. It is no error if there is
    /// no such result.
    ///
    /// # Errors
    /// [`RemoveError::InUse`] if a running build needs any of them; then all are still there.
    pub async fn delete(
        &self,
        id: &StepId,
        removed: &mut dyn FnMut(&StepId),
    ) -> Result<(), RemoveError> {
        self.core.delete(id, removed).await
    }

    /// Removes up to `limit` results that were last used before `before`, the oldest first, and returns how many.
    /// `removed` is told of each before it goes.
    ///
    /// Those on which others are based stay until these have gone, and those that a running build needs stay. One that
    /// cannot be removed is left behind with a warning.
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

    /// Makes room until `is_enough`: removes at most `limit` results that were last used before `before`, and caches when no result
    /// is left that may go. `removed` is told of each before it goes.
    ///
    /// The least recently used go first, and of these the cheapest to make again; caches by age and size, one at a time. If not
    /// even all of that would be enough, nothing is removed.
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

    /// Returns what each of these results takes of the disk that no other shares with it. `None` for one that is not there, or
    /// cannot be measured.
    ///
    /// # Errors
    /// If the store does not say.
    pub async fn usages(&self, ids: &[StepId]) -> Result<Vec<Option<Usage>>, StoreError> {
        self.core.usages(ids).await
    }

    /// Returns how many results there are.
    pub fn count(&self) -> Result<u64, DatabaseError> {
        self.core.database.count()
    }

    /// Returns what is known of every result, in the order in which they were made.
    pub fn entries(&self) -> Result<Vec<Entry>, DatabaseError> {
        self.core.database.entries()
    }

    /// Returns how much room there is.
    pub fn space(&self) -> Result<Space, StoreError> {
        self.core.parts.store.space()
    }

    /// Returns how often steps were found done since the store was opened.
    pub fn stats(&self) -> Stats {
        Stats {
            hits: self.core.hits.get(),
            misses: self.core.misses.get(),
            not_stopped: self.core.not_stopped.get(),
        }
    }

    /// Returns the file with what the step of a result printed. `None` if there is no such result.
    pub fn log_file(&self, id: &StepId) -> Result<Option<PathBuf>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        Ok(finished.map(|finished| finished.dir.join("log")))
    }

    /// Returns what a result is of: the op as its spec has it, in one line. `None` if there is no such result, or if that was not
    /// kept, as by other programs.
    pub fn op(&self, id: &StepId) -> Result<Option<String>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        Ok(finished.and_then(|finished| label::read(&finished.dir, *id)))
    }

    /// Returns the environment that the base image of a result gives to those who run in it. Empty if it gives none.
    pub fn image_env(&self, id: &StepId) -> Result<Vec<(BString, BString)>, StoreError> {
        let finished = self.core.parts.store.result(id)?;
        let env = finished.and_then(|finished| env_file::read(&finished.dir).ok());
        Ok(env.unwrap_or_default())
    }

    /// Returns what those get who run in an image of a result. Of one that was last used before this was kept, only the environment is
    /// known.
    pub fn image_settings(&self, id: &StepId) -> Result<ImageSettings, StoreError> {
        match self.core.settings.read(id) {
            Some(settings) => Ok(settings),
            None => self.image_env(id).map(ImageSettings::of_env),
        }
    }

    /// Returns the store, for what the builder has no part in: views of results, and the caches.
    pub fn store(&self) -> &Rc<dyn Store> {
        &self.core.parts.store
    }

    /// Runs a step whose program we bring ourselves, to see whether steps can be run here.
    pub async fn healthcheck(&self, within: Duration) -> Result<(), Unhealthy> {
        self.core.healthcheck(within).await
    }

    /// Runs a command, or a shell, on the terminal of this process in a copy of a result, which is then thrown away.
    ///
    /// It runs as root in `/`, with the environment of the base image and the machine's network.
    pub async fn shell(&self, id: &StepId, argv: Option<Vec<BString>>) -> Result<Exit, ShellError> {
        self.core.shell(*id, argv).await
    }
}
