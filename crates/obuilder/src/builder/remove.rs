//! Removes results: one with all results based on it, or those that were not used for long.

use std::collections::HashSet;
use std::rc::Rc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::claims::{Activity, Claim};
use super::core::Core;
use super::database::DatabaseError;
use crate::StepId;
use crate::store::StoreError;

/// How many removals may fail before the cause must be a common one, such as a read-only disk.
const MOST_FAILURES: usize = 100;

/// Why results were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// A running build needs it.
    #[error(
        "cannot remove the result \"{0}\": a running build uses it; retry once that has finished"
    )]
    InUse(StepId),
    /// The store could not remove it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The results that are based on it are not known.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store's code panicked.
    #[error("internal error: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

/// Why results cannot be claimed for their removal.
pub(super) enum RemovalConflict {
    /// A build needs this one.
    InUse(StepId),
    /// One of them is being removed already, until this fires.
    Removing(CancellationToken),
    Database(DatabaseError),
}

impl Core {
    /// Claims all results that are based on a result, in the order of their removal.
    pub(super) fn claim_descendants(&self, id: &StepId) -> Result<Vec<Claim>, RemovalConflict> {
        let mut order = Vec::new();
        let mut seen = HashSet::from([*id]);
        let mut ahead = vec![*id];
        while let Some(next) = ahead.pop() {
            for child in self
                .database
                .children(&next)
                .map_err(RemovalConflict::Database)?
            {
                if seen.insert(child) {
                    order.push(child);
                    ahead.push(child);
                }
            }
        }
        // A result comes after its base, and is removed before it.
        order.reverse();
        for id in &order {
            self.check_free(id)?;
        }
        Ok(order
            .into_iter()
            .map(|id| self.claims.removing(id))
            .collect())
    }

    fn check_free(&self, id: &StepId) -> Result<(), RemovalConflict> {
        match self.claims.activity(id) {
            Some(Activity::Removing(over)) => Err(RemovalConflict::Removing(over)),
            _ if self.claims.is_free(id) => Ok(()),
            _ => Err(RemovalConflict::InUse(*id)),
        }
    }

    /// Removes a claimed result. Once begun it completes, even if the future is dropped.
    pub(super) async fn remove(self: &Rc<Self>, claim: Claim) -> Result<(), RemoveError> {
        let core = Rc::clone(self);
        let removal = tokio::task::spawn_local(async move {
            core.parts.store.delete(&claim.id()).await?;
            core.database.removed(claim.id());
            core.usages.borrow_mut().remove(&claim.id());
            core.settings.forget(&claim.id());
            if let Some(shared) = core.shared.get() {
                shared.notes().forget(&claim.id());
            }
            Ok(())
        });
        removal.await?
    }

    pub(super) async fn delete(
        self: &Rc<Self>,
        id: &StepId,
        removed: &mut dyn FnMut(&StepId),
    ) -> Result<(), RemoveError> {
        if !self.database.has(id)? {
            tracing::warn!("ID \"{id}\" not in database!");
        }
        let claims = loop {
            let claimed = self
                .check_free(id)
                .and_then(|()| self.claim_descendants(id));
            match claimed {
                Ok(mut claims) => {
                    claims.push(self.claims.removing(*id));
                    break claims;
                }
                Err(RemovalConflict::Removing(over)) => over.cancelled().await,
                Err(RemovalConflict::InUse(id)) => return Err(RemoveError::InUse(id)),
                Err(RemovalConflict::Database(error)) => return Err(error.into()),
            }
        };
        for claim in claims {
            removed(&claim.id());
            self.remove(claim).await?;
        }
        Ok(())
    }

    pub(super) async fn prune(
        self: &Rc<Self>,
        before: Timestamp,
        limit: usize,
        removed: &mut dyn FnMut(&StepId),
    ) -> Result<usize, RemoveError> {
        self.database.correct_counts();
        // Results that were reported to the caller, removed or not.
        let mut reported = HashSet::new();
        let mut first_error = None;
        let mut count = 0;
        while count < limit && reported.len() - count < MOST_FAILURES {
            // Queried again each time: builds that run meanwhile use and make results.
            let may_go = |id: &StepId| self.claims.is_free(id) && !reported.contains(id);
            let Some(id) = self.database.oldest_leaf(before, may_go)? else {
                break;
            };
            if self.parts.store.result(&id)?.is_none() {
                // A row that outlived its result, for instance on a full disk.
                self.database.removed(id);
                continue;
            }
            removed(&id);
            reported.insert(id);
            match self.remove(self.claims.removing(id)).await {
                Ok(()) => count += 1,
                // As when a build uses it.
                Err(RemoveError::Store(error @ StoreError::BeingRead(_))) => {
                    tracing::debug!("{error}");
                }
                Err(error) => {
                    tracing::warn!("Cannot remove the result {id}: {error}");
                    first_error.get_or_insert(error);
                }
            }
        }
        self.parts.store.complete_deletes().await?;
        match first_error {
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }
}
