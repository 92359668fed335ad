//! Removes results: one with all that is based on it, or those that nobody has used for long.

use std::collections::HashSet;
use std::rc::Rc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Doing};
use super::core::Core;
use super::database::DatabaseError;
use crate::StepId;
use crate::store::StoreError;

/// How many results may fail to be removed before it is for a reason that is not theirs: a disk that is read-only, say.
const MOST_FAILURES: usize = 100;

/// Why results were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// A build that is running needs it.
    #[error(
        "cannot remove the result \"{0}\": a running build uses it; retry once that has finished"
    )]
    InUse(StepId),
    /// The store did not remove it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is based on it is not known.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store's code panicked.
    #[error("internal error: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

/// What keeps results from being claimed.
pub(super) enum Obstacle {
    /// Somebody needs this one.
    InUse(StepId),
    /// One of them is being removed by somebody else, until this fires.
    Removing(CancellationToken),
    Database(DatabaseError),
}

impl Core {
    /// Claims everything that is based on a result, to remove it in the order of the answer.
    pub(super) fn claim_descendants(&self, id: &StepId) -> Result<Vec<Claim>, Obstacle> {
        let mut order = Vec::new();
        let mut seen = HashSet::from([*id]);
        let mut ahead = vec![*id];
        while let Some(next) = ahead.pop() {
            for child in self.database.children(&next).map_err(Obstacle::Database)? {
                if seen.insert(child) {
                    order.push(child);
                    ahead.push(child);
                }
            }
        }
        // A result comes after what it is based on. Removed is what comes last.
        order.reverse();
        for id in &order {
            self.check_free(id)?;
        }
        Ok(order
            .into_iter()
            .map(|id| self.claims.removing(id))
            .collect())
    }

    fn check_free(&self, id: &StepId) -> Result<(), Obstacle> {
        match self.claims.doing(id) {
            Some(Doing::Removing(over)) => Err(Obstacle::Removing(over)),
            _ if self.claims.is_free(id) => Ok(()),
            _ => Err(Obstacle::InUse(*id)),
        }
    }

    /// Removes a result that is claimed. Once begun this comes to its end, even if nobody waits for it.
    pub(super) async fn remove(self: &Rc<Self>, claim: Claim) -> Result<(), RemoveError> {
        let core = Rc::clone(self);
        let removal = tokio::task::spawn_local(async move {
            core.parts.store.delete(&claim.id()).await?;
            core.database.removed(claim.id());
            core.usages.borrow_mut().remove(&claim.id());
            core.settings.forget(&claim.id());
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
                Err(Obstacle::Removing(over)) => over.cancelled().await,
                Err(Obstacle::InUse(id)) => return Err(RemoveError::InUse(id)),
                Err(Obstacle::Database(error)) => return Err(error.into()),
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
        self.database.mend_counts();
        // Those that the caller was told of, whatever came of it.
        let mut told = HashSet::new();
        let mut first_error = None;
        let mut count = 0;
        while count < limit && told.len() - count < MOST_FAILURES {
            // Asked again each time: the builds that go on meanwhile use and make results.
            let may_go = |id: &StepId| self.claims.is_free(id) && !told.contains(id);
            let Some(id) = self.database.oldest_leaf(before, may_go)? else {
                break;
            };
            if self.parts.store.result(&id)?.is_none() {
                // A row that outlived its result, on a disk that was full, say.
                self.database.removed(id);
                continue;
            }
            removed(&id);
            told.insert(id);
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
