//! Shares the results of steps that ran here, one after the other, while builds go on.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use crate::StepId;
use crate::shared::{Chain, NotShared, Note, Own, Shared};

/// How many results may wait to be shared. The others are shared when a step that is based on them is.
const MOST_WAITING: usize = 1000;

/// Results that are to be shared.
struct Unshared {
    /// The result that others are to use, and those it is based on: the last one first.
    todo: Vec<Own>,
    /// The chain of their base.
    chain: Chain,
    /// The base image.
    image: StepId,
}

impl Core {
    /// Notes how a result was made, and has it shared later.
    pub(super) fn made(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        id: StepId,
        base: Option<StepId>,
        step: StepId,
        took: Duration,
        has_secrets: bool,
    ) {
        let has_secrets = has_secrets || self.is_secret(shared, base);
        let note = Note::Own {
            step: step.to_string(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            made: self.now().as_second(),
            has_secrets,
        };
        shared.notes().keep(&id, &note);
        if !shared.writes() || has_secrets && !shared.takes_secrets() {
            return;
        }
        let mut queue = self.to_share.borrow_mut();
        if queue.len() >= MOST_WAITING {
            return;
        }
        queue.push_back(id);
        shared.waiting(queue.len());
        if !self.is_sharing.replace(true) {
            self.sharing_changed.send_replace(true);
            tokio::task::spawn_local(Rc::clone(self).share_all(Rc::clone(shared)));
        }
    }

    /// Returns whether a result may contain secrets of builds: it, or one that it is based on, was made with some.
    pub(super) fn is_secret(&self, shared: &Shared, id: Option<StepId>) -> bool {
        let note = id.and_then(|id| shared.notes().read(&id));
        matches!(
            note,
            Some(Note::Own {
                has_secrets: true,
                ..
            })
        )
    }

    /// Waits until no result waits to be shared.
    pub(super) async fn shared(&self) {
        let mut sharing = self.sharing_changed.subscribe();
        // The sender is ours, so no wait can fail.
        drop(sharing.wait_for(|is_sharing| !is_sharing).await);
    }

    async fn share_all(self: Rc<Self>, shared: Rc<Shared>) {
        loop {
            let next = self.to_share.borrow().front().copied();
            let Some(id) = next else { break };
            // While the repository does not answer they are left: a later step brings its base along.
            if shared.is_sharing()
                && let Err(error) = self.share(&shared, id).await
            {
                shared.not_shared(id, &error);
            }
            let mut queue = self.to_share.borrow_mut();
            queue.pop_front();
            shared.waiting(queue.len());
        }
        self.is_sharing.set(false);
        self.sharing_changed.send_replace(false);
    }

    /// Shares a result, after those it is based on.
    async fn share(&self, shared: &Shared, id: StepId) -> Result<(), NotShared> {
        // First it is kept, then it is looked at.
        let _pin = self.claims.pin(id);
        let Some(Unshared {
            todo,
            mut chain,
            image,
        }) = self.unshared(shared, id)?
        else {
            return Ok(());
        };
        let Some(step) = todo.first().map(|own| own.step) else {
            return Ok(());
        };
        if !chain.has_room_for(todo.len()) || shared.has(step).await? {
            return Ok(());
        }
        let failed = |error: crate::store::StoreError| NotShared::Internal(error.to_string());
        let store = &self.parts.store;
        let image = self.image_content(shared, image).await.map_err(failed)?;
        for own in todo.into_iter().rev() {
            let base = store.view(&own.base).await.map_err(failed)?;
            let result = store.view(&own.id).await.map_err(failed)?;
            let finished = store.result(&own.id).map_err(failed)?;
            let Some(finished) = finished else {
                return Ok(());
            };
            let log = finished.dir.join("log");
            let layer = shared.layer(base.rootfs(), result.rootfs(), &log).await?;
            drop((base, result));
            chain = shared.add(&own, image, chain, layer).await?;
            shared.notes().keep(&own.id, &Note::Shared(chain.clone()));
        }
        shared.put(step, &chain).await
    }

    /// Returns the results to share so that others can use `id`. `None` if it cannot be shared.
    fn unshared(&self, shared: &Shared, id: StepId) -> Result<Option<Unshared>, NotShared> {
        let failed = |error: crate::store::StoreError| NotShared::Internal(error.to_string());
        let mut todo = Vec::new();
        let mut chain = None;
        let mut at = id;
        loop {
            let Some(finished) = self.parts.store.result(&at).map_err(failed)? else {
                return Ok(None);
            };
            let Some(base) = finished.base else {
                return Ok(Some(Unshared {
                    todo,
                    chain: chain.unwrap_or_default(),
                    image: at,
                }));
            };
            if chain.is_none() {
                match shared.notes().read(&at) {
                    Some(Note::Shared(found)) => chain = Some(found),
                    Some(Note::Own {
                        step,
                        took_ms,
                        made,
                        has_secrets,
                    }) if !has_secrets || shared.takes_secrets() => {
                        let Ok(step) = step.parse() else {
                            return Ok(None);
                        };
                        todo.push(Own {
                            id: at,
                            base,
                            step,
                            took_ms,
                            made,
                        });
                    }
                    // Of a step with secrets, or made before results were shared.
                    _ => return Ok(None),
                }
            }
            at = base;
        }
    }
}
