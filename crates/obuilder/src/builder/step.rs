//! How a step is found, joined or started, and shown to those who want it.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use redact::Redactor;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::claims::{Claim, Doing, Pin, Watch};
use super::context::BuildLog;
use super::core::Core;
use super::env_file;
use super::error::BuildError;
use super::remove::Obstacle;
use super::step_log::{self, ReplayError};
use super::variant::{Recorded, Variant};
use super::work::Step;
use crate::StepId;
use crate::store::Finished;

/// Who wants it.
#[derive(Clone, Copy)]
pub(super) struct Watcher<'a> {
    pub(super) cancel: &'a CancellationToken,
    pub(super) log: &'a dyn BuildLog,
    /// What keeps the build's secrets out of the logs of the steps that it starts.
    pub(super) redactor: &'a Redactor,
    /// How long to wait for a step to stop that is no longer wanted.
    pub(super) stop_limit: Duration,
}

/// How a step was found.
enum Found {
    /// It is done.
    Done(Finished),
    /// It is in progress, for others.
    InProgress(Watch),
    /// It is being stopped, because nobody wanted it any more.
    Stopping(CancellationToken),
    /// Its result, or one that has to go before it can be made again, is being removed.
    Removing(CancellationToken),
    /// It has to be done, after the removal of what is claimed here.
    Missing(Vec<Claim>),
}

impl Watcher<'_> {
    /// Waits for something, or for the watcher to lose interest.
    pub(super) async fn wait<T>(self, what: impl Future<Output = T>) -> Result<T, BuildError> {
        let waited = self.cancel.run_until_cancelled(what).await;
        waited.ok_or(BuildError::Cancelled)
    }

    pub(super) fn note(self, text: &str) -> Result<(), BuildError> {
        self.log.note(text).map_err(BuildError::Log)
    }
}

impl Core {
    /// Makes sure that there is a result of a step, by whatever it takes, while showing the step's log to a watcher.
    ///
    /// Nothing is left behind when the future is dropped: that counts as a watcher who lost interest. The caller holds
    /// a pin on the step's id, and one on its base.
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
                    // What is said of a base image is about fetching it, which is not done now.
                    let is_shown = !step.work.is_import();
                    return self.show_saved(finished, is_shown, watcher).await;
                }
                Found::InProgress(watch) => match self.show(id, watch, watcher).await {
                    // It copied from the source of another build, which takes that away when it is cancelled.
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

    /// Finds a step, and returns the id that its result has, or is to get: the reference's, unless that is taken by another
    /// variant.
    fn find(&self, step: &Step) -> Result<(StepId, Found), BuildError> {
        let first = self.look(step.id, step, step.variant.as_ref())?;
        let first = match (first, &step.variant) {
            (Some(Found::Missing(claims)), Some(_)) => Some(claims),
            (Some(found), _) => return Ok((step.id, found)),
            (None, _) => None,
        };
        let other_id = step
            .variant
            .as_ref()
            .map_or(step.id, |variant| variant.id(step.id));
        match (self.look(other_id, step, None)?, first) {
            (Some(Found::Missing(_)), Some(claims)) => Ok((step.id, Found::Missing(claims))),
            (Some(found), _) => Ok((other_id, found)),
            // Nothing was compared.
            (None, _) => Err(BuildError::failed(format!(
                "internal error: two variants of {other_id}"
            ))),
        }
    }

    /// Looks what there is under an id. `None` if that is of another variant than `wanted`.
    fn look(
        &self,
        id: StepId,
        step: &Step,
        wanted: Option<&Variant>,
    ) -> Result<Option<Found>, BuildError> {
        match self.claims.doing(&id) {
            Some(Doing::Removing(over)) => return Ok(Some(Found::Removing(over))),
            Some(Doing::Running(running)) if running.differs(wanted) => return Ok(None),
            Some(Doing::Running(running)) if running.is_abandoned() => {
                return Ok(Some(Found::Stopping(running.over())));
            }
            Some(Doing::Running(running)) => {
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
                // Everybody with this id has used it so far. To refuse it now would mean to build everything again in a
                // store of the reference's, and it can no longer become anything else.
                Recorded::Same | Recorded::Unknown => {}
            }
        }
        if !step.work.is_import() {
            return Ok(Some(Found::Done(finished)));
        }
        match env_file::read(&finished.dir) {
            Ok(_) => Ok(Some(Found::Done(finished))),
            Err(error) if error.is_lasting() => self.import_again(&id, &error).map(Some),
            // Too many files are open, say. That is no reason to remove what took hours to build.
            Err(error) => Err(BuildError::failed(error)),
        }
    }

    /// Prepares to replace a base image that is of no use, and with it all that was made from it.
    fn import_again(&self, id: &StepId, reason: &env_file::EnvError) -> Result<Found, BuildError> {
        // One of the pins is our caller's.
        let obstacle = if self.claims.pins(id) > 1 {
            Obstacle::InUse(*id)
        } else {
            match self.claim_descendants(id) {
                Ok(claims) => {
                    tracing::warn!("Importing the base image {id} again: {reason}");
                    return Ok(Found::Missing(claims));
                }
                Err(obstacle) => obstacle,
            }
        };
        match obstacle {
            Obstacle::Removing(over) => Ok(Found::Removing(over)),
            Obstacle::InUse(used) => Err(BuildError::Failed(format!(
                "cannot import the base image again ({reason}): it must be replaced, but {used:?} is in use; retry once no other build is running"
            ))),
            Obstacle::Database(error) => Err(BuildError::failed(error)),
        }
    }

    /// Starts a step as a task of its own, whose result is to be called `id`.
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

    /// Shows a saved result's log to a watcher, if it is to be shown.
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
        watcher.note(&format!("---> using \"{}\" from cache", finished.id))?;
        Ok(finished)
    }

    /// Waits until a step that a watcher has lost interest in has stopped, unless others want it, and says if it does not.
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
            watcher.log.took(watch.elapsed()).map_err(BuildError::Log)?;
            outcome
        };
        match watcher.wait(shown).await {
            Err(BuildError::Cancelled) => {
                self.wait_for_stop(id, watch, watcher).await;
                return Err(BuildError::Cancelled);
            }
            shown => shown??,
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
