//! Finds, joins or starts a step, and shows its log to the builds that need it.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use redact::Redactor;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::claims::{Activity, Claim, Pin, Watch};
use super::context::{BuildLog, OpProgress};
use super::core::Core;
use super::env_file;
use super::error::BuildError;
use super::remove::RemovalConflict;
use super::step_log::{self, ReplayError};
use super::variant::{Recorded, Variant};
use super::work::Step;
use crate::StepId;
use crate::store::Finished;

/// A build that waits for a step.
#[derive(Clone, Copy)]
pub(super) struct Watcher<'a> {
    pub(super) cancel: &'a CancellationToken,
    pub(super) log: &'a dyn BuildLog,
    /// Keeps the build's secrets out of the logs of the steps that it starts.
    pub(super) redactor: &'a Redactor,
    /// How long to wait for a cancelled step to stop.
    pub(super) stop_limit: Duration,
}

/// The state in which a step was found.
enum Found {
    /// It has a result.
    Done(Finished),
    /// It is in progress, for other builds.
    InProgress(Watch),
    /// It is being stopped, because its last watcher left.
    Stopping(CancellationToken),
    /// Its result, or one that must be removed before it can be made again, is being removed.
    Removing(CancellationToken),
    /// It must run, after the removal of the results with these claims.
    Missing(Vec<Claim>),
}

impl Watcher<'_> {
    /// Waits for a future, or until the watcher is cancelled.
    pub(super) async fn wait<T>(self, what: impl Future<Output = T>) -> Result<T, BuildError> {
        let waited = self.cancel.run_until_cancelled(what).await;
        waited.ok_or(BuildError::Cancelled)
    }

    pub(super) fn note(self, text: &str) -> Result<(), BuildError> {
        self.log.note(text).map_err(BuildError::Log)
    }
}

impl Core {
    /// Makes sure that a step has a result, while showing the step's log to a watcher.
    ///
    /// Dropping the future is safe: it counts as a watcher that leaves. The caller holds a pin on the step's id,
    /// and one on its base.
    pub(super) async fn step(
        self: &Rc<Self>,
        step: Step,
        watcher: Watcher<'_>,
    ) -> Result<Finished, BuildError> {
        if watcher.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        loop {
            let (id, found) = self.find(&step)?;
            match found {
                Found::Done(finished) => {
                    // The log of a base image is about fetching it, which does not happen now.
                    let is_shown = !step.work.is_import();
                    return self.show_saved(finished, is_shown, watcher).await;
                }
                Found::InProgress(watch) => match self.show(id, watch, watcher).await {
                    // It copied from the source of another build, which removes its source when it is cancelled.
                    Err(BuildError::Failed(reason)) if step.work.is_copy() => {
                        tracing::debug!(
                            "Copying again: the build that copied first failed: {reason}"
                        );
                    }
                    shown => return shown,
                },
                Found::Stopping(over) => {
                    watcher.note("Waiting for previous build to finish cancelling")?;
                    watcher.wait(over.cancelled()).await?;
                }
                Found::Removing(over) => watcher.wait(over.cancelled()).await?,
                Found::Missing(in_the_way) => {
                    let watch = self.start(id, step, in_the_way, watcher.redactor);
                    return self.show(id, watch, watcher).await;
                }
            }
        }
    }

    /// Finds a step, and returns the id of its result: the reference's, unless another variant has that.
    fn find(&self, step: &Step) -> Result<(StepId, Found), BuildError> {
        let first = self.lookup(step.id, step, step.variant.as_ref())?;
        let first = match (first, &step.variant) {
            (Some(Found::Missing(claims)), Some(_)) => Some(claims),
            (Some(found), _) => return Ok((step.id, found)),
            (None, _) => None,
        };
        let other_id = step
            .variant
            .as_ref()
            .map_or(step.id, |variant| variant.id(step.id));
        match (self.lookup(other_id, step, None)?, first) {
            (Some(Found::Missing(_)), Some(claims)) => Ok((step.id, Found::Missing(claims))),
            (Some(found), _) => Ok((other_id, found)),
            // Nothing was compared.
            (None, _) => Err(BuildError::failed(format!(
                "internal error: two variants of {other_id}"
            ))),
        }
    }

    /// Returns the state of an id. `None` if it is of another variant than `wanted`.
    fn lookup(
        &self,
        id: StepId,
        step: &Step,
        wanted: Option<&Variant>,
    ) -> Result<Option<Found>, BuildError> {
        match self.claims.activity(&id) {
            Some(Activity::Removing(over)) => return Ok(Some(Found::Removing(over))),
            Some(Activity::Running(running)) if running.differs(wanted) => return Ok(None),
            Some(Activity::Running(running)) if running.is_abandoned() => {
                return Ok(Some(Found::Stopping(running.over())));
            }
            Some(Activity::Running(running)) => {
                return Ok(Some(Found::InProgress(Watch::new(&running))));
            }
            None => {}
        }
        let finished = self.parts.store.result(&id).map_err(BuildError::failed)?;
        let Some(finished) = finished else {
            return Ok(Some(Found::Missing(Vec::new())));
        };
        if let Some(wanted) = wanted {
            match wanted
                .compare(&finished.dir, id)
                .map_err(BuildError::failed)?
            {
                Recorded::Other => return Ok(None),
                Recorded::Unknown if wanted.is_newer_than(&finished.dir) => return Ok(None),
                // All builds with this id have used it so far. Refusing it now would rebuild everything in a store of
                // the reference, and the result can no longer change.
                Recorded::Same | Recorded::Unknown => {}
            }
        }
        if !step.work.is_import() {
            return Ok(Some(Found::Done(finished)));
        }
        match env_file::read(&finished.dir) {
            Ok(_) => Ok(Some(Found::Done(finished))),
            Err(error) if error.is_lasting() => self.import_again(&id, &error).map(Some),
            // For instance, too many files are open. That is no reason to remove a result that took hours to build.
            Err(error) => Err(BuildError::failed(error)),
        }
    }

    /// Prepares the replacement of a base image that cannot be used, and of all results based on it.
    fn import_again(&self, id: &StepId, reason: &env_file::EnvError) -> Result<Found, BuildError> {
        // One of the pins is our caller's.
        let conflict = if self.claims.pins(id) > 1 {
            RemovalConflict::InUse(*id)
        } else {
            match self.claim_descendants(id) {
                Ok(claims) => {
                    tracing::warn!("Importing the base image {id} again: {reason}");
                    return Ok(Found::Missing(claims));
                }
                Err(conflict) => conflict,
            }
        };
        match conflict {
            RemovalConflict::Removing(over) => Ok(Found::Removing(over)),
            RemovalConflict::InUse(used) => Err(BuildError::Failed(format!(
                "cannot import the base image again ({reason}): it must be replaced, but {used:?} is in use; \
                 retry once no other build is running"
            ))),
            RemovalConflict::Database(error) => Err(BuildError::failed(error)),
        }
    }

    /// Starts a step as a task of its own. Its result gets the id `id`.
    fn start(
        self: &Rc<Self>,
        id: StepId,
        step: Step,
        in_the_way: Vec<Claim>,
        redactor: &Redactor,
    ) -> Watch {
        self.misses.set(self.misses.get().saturating_add(1));
        let (claim, watch, progress) = self.claims.running(id, step.variant.clone());
        let pins: Vec<Pin> = step
            .base
            .into_iter()
            .chain([id])
            .map(|id| self.claims.pin(id))
            .collect();
        let attempt = Attempt::new(self, id, step, redactor.clone(), watch.cancel(), progress);
        tokio::task::spawn_local(attempt.run(in_the_way, claim, pins));
        watch
    }

    /// Shows a saved result's log to a watcher if `is_shown`.
    async fn show_saved(
        &self,
        finished: Finished,
        is_shown: bool,
        watcher: Watcher<'_>,
    ) -> Result<Finished, BuildError> {
        self.hits.set(self.hits.get().saturating_add(1));
        self.database.used(finished.id, finished.base, self.now());
        if is_shown {
            let log = finished.dir.join("log");
            watcher
                .wait(step_log::replay(&log, watcher.log))
                .await?
                .map_err(not_shown)?;
        }
        let reused = watcher.log.progress(OpProgress::Reused);
        reused.map_err(BuildError::Log)?;
        watcher.note(&format!("---> using \"{}\" from cache", finished.id))?;
        Ok(finished)
    }

    /// Waits until a step that its last watcher has left stops, and reports if it does not.
    async fn wait_for_stop(&self, id: StepId, watch: Watch, watcher: Watcher<'_>) {
        let Some(over) = watch.leave() else { return };
        let limit = watcher.stop_limit;
        if limit.is_zero() || tokio::time::timeout(limit, over.cancelled()).await.is_ok() {
            return;
        }
        self.not_stopped
            .set(self.not_stopped.get().saturating_add(1));
        let text = format!(
            "Cannot stop the step {id}: it still runs after {} s",
            limit.as_secs_f64()
        );
        tracing::error!("{text}");
        if let Err(error) = watcher.note(&text) {
            tracing::debug!("{error}");
        }
    }

    /// Shows the log of a result that was fetched to a watcher, and where it comes from.
    async fn show_fetched(
        &self,
        id: StepId,
        fetched: &str,
        watcher: Watcher<'_>,
    ) -> Result<Result<(), BuildError>, BuildError> {
        let finished = self.parts.store.result(&id).map_err(BuildError::failed)?;
        if let Some(finished) = finished {
            let log = finished.dir.join("log");
            let replayed = step_log::replay(&log, watcher.log).await;
            replayed.map_err(not_shown)?;
        }
        let reused = watcher.log.progress(OpProgress::Reused);
        reused.map_err(BuildError::Log)?;
        watcher.note(fetched)?;
        Ok(Ok(()))
    }

    /// Shows a step in progress to a watcher, to its end.
    async fn show(
        &self,
        id: StepId,
        watch: Watch,
        watcher: Watcher<'_>,
    ) -> Result<Finished, BuildError> {
        let shown = async {
            if let Some(log) = watch.log().await {
                log.follow(watcher.log).await.map_err(not_shown)?;
            }
            let outcome = watch.outcome().await.map_err(BuildError::from);
            if let Some(fetched) = watch.fetched() {
                return self.show_fetched(id, &fetched, watcher).await;
            }
            watcher.log.took(watch.elapsed()).map_err(BuildError::Log)?;
            Ok(outcome)
        };
        match watcher.wait(shown).await {
            Err(BuildError::Cancelled) => {
                self.wait_for_stop(id, watch, watcher).await;
                return Err(BuildError::Cancelled);
            }
            shown => shown???,
        }
        watcher.note(&format!("---> saved as \"{id}\""))?;
        let finished = self.parts.store.result(&id).map_err(BuildError::failed)?;
        finished.ok_or_else(|| {
            BuildError::Failed(format!(
                "cannot find the result {id:?}, which was just saved"
            ))
        })
    }
}

fn not_shown(error: ReplayError) -> BuildError {
    match error {
        ReplayError::Watcher(error) => BuildError::Log(error),
        ReplayError::Saved(error) => {
            BuildError::Failed(format!("cannot read the step's log: {error}"))
        }
    }
}
