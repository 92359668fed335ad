//! One attempt at a step: from a draft to a result, or to a failure.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use futures::FutureExt as _;
use obuilder_spec::User;
use oci::Image;
use oci::fetch::FetchError;
use redact::Redactor;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Pin, StepFailure, StepProgress};
use super::core::Core;
use super::env_file;
use super::exit;
use super::label;
use super::room::is_used_up;
use super::step_log::StepLog;
use super::variant::Variant;
use super::work::{Step, Work};
use crate::StepId;
use crate::copy::{self, Manifest};
use crate::sandbox::{Command, Exit, Mount, SandboxError};
use crate::store::{CacheCopy, CacheName, Draft};

/// A step in progress.
pub(super) struct Attempt {
    core: Rc<Core>,
    id: StepId,
    base: Option<StepId>,
    variant: Option<Variant>,
    /// The step with its variant, under which it is shared. `None` if it is not.
    shared_step: Option<StepId>,
    op: String,
    work: Work,
    /// Keeps the secrets of the build out of the log.
    redactor: Redactor,
    cancel: CancellationToken,
    progress: watch::Sender<StepProgress>,
}

impl Attempt {
    /// Prepares a step whose result gets the id `id`.
    pub(super) fn new(
        core: &Rc<Core>,
        id: StepId,
        step: Step,
        redactor: Redactor,
        cancel: CancellationToken,
        progress: watch::Sender<StepProgress>,
    ) -> Self {
        let Step {
            id: step_id,
            base,
            variant,
            op,
            work,
        } = step;
        // Base images come from where they are for everybody, and a healthcheck, which has no op, is to run.
        let is_shared = base.is_some() && !op.is_empty();
        let shared_step = variant.as_ref().filter(|_| is_shared);
        let shared_step = shared_step.map(|variant| variant.id(step_id));
        Self {
            core: Rc::clone(core),
            id,
            base,
            variant,
            shared_step,
            op,
            work,
            redactor,
            cancel,
            progress,
        }
    }

    /// Runs the step, after removing results that are in its way, and reports the outcome to its watchers.
    ///
    /// The only place where a step ends: its id is free, its result is recorded and its sources are released before its
    /// watchers learn of the outcome.
    pub(super) async fn run(self, in_the_way: Vec<Claim>, claim: Claim, pins: Vec<Pin>) {
        let attempted = AssertUnwindSafe(self.attempt(in_the_way)).catch_unwind();
        let outcome = attempted
            .await
            .unwrap_or_else(|panic| Err(crashed(&*panic)));
        let Self { progress, work, .. } = self;
        drop((work, claim));
        progress.send_modify(|progress| progress.outcome = Some(outcome));
        drop(pins);
    }

    async fn attempt(&self, in_the_way: Vec<Claim>) -> Result<(), StepFailure> {
        for claim in in_the_way {
            self.core.remove(claim).await.map_err(failed)?;
        }
        let store = &self.core.parts.store;
        if self.work.is_import() && store.result(&self.id).map_err(failed)?.is_some() {
            store.delete(&self.id).await.map_err(failed)?;
            self.core.database.removed(self.id);
        }
        if let Some(shared) = self.core.shared.get() {
            shared.notes().forget(&self.id);
            if let Some(step) = self.shared_step
                && (shared.takes_secrets()
                    || !self.work.has_secrets() && !self.core.is_secret(shared, self.base))
                && let Some(fetched) = self.fetch(shared, step).await
            {
                return fetched;
            }
        }
        let begun = Instant::now();
        let draft = store.begin(&self.id, self.base.as_ref()).await;
        let mut draft = draft.map_err(failed)?;
        draft.is_exposed = self.work.is_exposed();
        let made = AssertUnwindSafe(self.make(&draft)).catch_unwind().await;
        let made = made.unwrap_or_else(|panic| Err(crashed(&*panic)));
        match made {
            Ok(()) if !self.cancel.is_cancelled() => {
                self.publish(draft, self.base).await?;
                if let (Some(shared), Some(step)) = (self.core.shared.get(), self.shared_step) {
                    let has_secrets = self.work.has_secrets();
                    self.core.made(
                        shared,
                        self.id,
                        self.base,
                        step,
                        begun.elapsed(),
                        has_secrets,
                    );
                }
                Ok(())
            }
            made => {
                if let Err(error) = store.discard(draft).await {
                    tracing::warn!("Cannot remove the draft of step {}: {error}", self.id);
                }
                // Whatever the cause: the step was cancelled.
                if self.cancel.is_cancelled() {
                    return Err(StepFailure::Cancelled);
                }
                made
            }
        }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) fn id(&self) -> StepId {
        self.id
    }

    pub(super) fn base(&self) -> Option<StepId> {
        self.base
    }

    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Records that the result was fetched, for the watchers.
    pub(super) fn was_fetched(&self, note: String) {
        self.progress
            .send_modify(|progress| progress.fetched = Some(note));
    }

    pub(super) async fn publish(
        &self,
        draft: Draft,
        base: Option<StepId>,
    ) -> Result<(), StepFailure> {
        let database = &self.core.database;
        database.publishing();
        match self.core.parts.store.publish(draft).await {
            Ok(_) => {
                database.published(self.id, base, self.core.now());
                Ok(())
            }
            Err(error) => {
                database.not_published();
                Err(failed(error))
            }
        }
    }

    async fn make(&self, draft: &Draft) -> Result<(), StepFailure> {
        let path = draft.dir.join("log");
        let log = StepLog::create(&path, &self.redactor)
            .map_err(|error| failed(format!("cannot create {}: {error}", path.display())))?;
        let log = Rc::new(log);
        self.progress
            .send_modify(|progress| progress.log = Some(Rc::clone(&log)));
        let finished = FinishedLog(&log);
        self.describe(draft)?;
        match &self.work {
            Work::Import(image) => self.import(image, draft, &log).await?,
            Work::Prepare(program) => {
                program.install(&draft.rootfs).map_err(failed)?;
                write_env(draft, &Image::default())?;
            }
            Work::Run(command, caches) => self.run_command(command, caches, draft, &log).await?,
            Work::Copy {
                manifest, owner, ..
            } => self.copy_files(manifest, owner, draft).await?,
        }
        // First, because the end of the output may have been held back until now.
        drop(finished);
        log.check().map_err(log_broken)
    }

    /// Writes what is kept beside a result, besides its log.
    pub(super) fn describe(&self, draft: &Draft) -> Result<(), StepFailure> {
        if let Some(variant) = &self.variant {
            variant.write(&draft.dir, self.id).map_err(failed)?;
        }
        if !self.op.is_empty() {
            label::write(&draft.dir, self.id, &self.op).map_err(failed)?;
        }
        Ok(())
    }

    async fn import(
        &self,
        image: &BString,
        draft: &Draft,
        log: &StepLog,
    ) -> Result<(), StepFailure> {
        let name = image.to_str().map_err(|_| {
            failed(format!(
                "cannot fetch the base image {image:?}: its name is not valid UTF-8"
            ))
        })?;
        let fetcher = &self.core.parts.fetcher;
        let fetched = fetcher.fetch(name, &draft.rootfs, log, &self.cancel).await;
        let image = fetched.map_err(|error| match error {
            FetchError::Cancelled => StepFailure::Cancelled,
            error => failed(error),
        })?;
        write_env(draft, &image)
    }

    /// Runs a command with its own copies of the caches, which are released however it ends.
    async fn run_command(
        &self,
        command: &Command,
        caches: &[(CacheName, BString)],
        draft: &Draft,
        log: &StepLog,
    ) -> Result<(), StepFailure> {
        let mut copies = Vec::with_capacity(caches.len());
        let running = self.run_with_caches(command, caches, &mut copies, draft, log);
        let ended = AssertUnwindSafe(running).catch_unwind().await;
        let ended = ended.unwrap_or_else(|panic| Err(crashed(&*panic)));
        // Files that fill the disk must not stay, or every later step fails.
        let store = &*self.core.parts.store;
        let is_used_up = !copies.is_empty() && is_used_up(store, &draft.dir);
        while let Some(copy) = copies.pop() {
            let name = copy.name.clone();
            let released = if is_used_up {
                tracing::warn!(
                    "Discarding a step's changes to the cache {:?}: the disk is full",
                    name.0
                );
                store.discard_cache(copy).await
            } else {
                store.release_cache(copy).await
            };
            if let Err(error) = released {
                tracing::warn!("Cannot release the cache {:?}: {error}", name.0);
            }
        }
        match ended {
            Err(StepFailure::Failed(reason) | StepFailure::CommandFailed { reason, .. })
                if is_used_up =>
            {
                Err(failed(format!(
                    "{reason}: the disk of the store is full; the changes of this step to its cache mounts were \
                     discarded"
                )))
            }
            ended => ended,
        }
    }

    async fn run_with_caches(
        &self,
        command: &Command,
        caches: &[(CacheName, BString)],
        copies: &mut Vec<CacheCopy>,
        draft: &Draft,
        log: &StepLog,
    ) -> Result<(), StepFailure> {
        let mut command = command.clone();
        for (name, target) in caches {
            if self.cancel.is_cancelled() {
                return Err(StepFailure::Cancelled);
            }
            let taken = self
                .core
                .parts
                .store
                .acquire_cache(name, &command.user)
                .await;
            let copy = taken.map_err(failed)?;
            command.mounts.push(Mount {
                source: copy.path.clone(),
                target: target.clone(),
            });
            copies.push(copy);
        }
        let sandbox = &self.core.parts.sandbox;
        let exit = sandbox
            .run(&draft.rootfs, &command, log, &self.cancel)
            .await;
        match exit {
            Ok(Exit::Status(0)) => Ok(()),
            Ok(exit) => Err(StepFailure::CommandFailed {
                reason: exit::text(&command.argv, exit).to_string(),
                exit,
            }),
            Err(SandboxError::OutOfMemory { exit, kill }) => Err(StepFailure::CommandFailed {
                reason: format!("{}: {kill}", exit::text(&command.argv, exit)),
                exit,
            }),
            Err(SandboxError::Cancelled) => Err(StepFailure::Cancelled),
            Err(SandboxError::LimitReached(limit)) => Err(StepFailure::LimitReached(limit)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn copy_files(
        &self,
        manifest: &Arc<Manifest>,
        owner: &User,
        draft: &Draft,
    ) -> Result<(), StepFailure> {
        let (manifest, owner, rootfs) = (Arc::clone(manifest), owner.clone(), draft.rootfs.clone());
        let cancel = self.cancel.clone();
        let copying =
            tokio::task::spawn_blocking(move || copy::write(&manifest, &rootfs, &owner, &cancel));
        match copying.await {
            Ok(copied) => copied.map_err(failed),
            Err(error) => Err(failed(format!("internal error: {error}"))),
        }
    }
}

fn write_env(draft: &Draft, image: &Image) -> Result<(), StepFailure> {
    env_file::write(&draft.dir, &image.env).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> StepFailure {
    StepFailure::Failed(error.to_string())
}

fn log_broken(error: io::Error) -> StepFailure {
    failed(SandboxError::Log(error))
}

/// Returns the failure of a step whose code panicked.
fn crashed(panic: &(dyn Any + Send)) -> StepFailure {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic");
    failed(format!("internal error: {text}"))
}

/// Ends a log for its followers when the step's work ends, however it ends.
struct FinishedLog<'a>(&'a StepLog);

impl Drop for FinishedLog<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
