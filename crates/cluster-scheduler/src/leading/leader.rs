//! The lease of a scheduler that leads, for operators.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{LeaderStatus, RpcError, Standby};
use leadership::StepDownError;

use super::{Keeper, LeaseState};

/// What a scheduler that leads knows of its lease, and how it gives that up.
pub(crate) struct Leader {
    name: String,
    address: String,
    /// `None` if its state is in files: then no other scheduler can lead.
    keeper: Option<Rc<Keeper>>,
}

impl Leader {
    pub(crate) fn new(name: String, address: String, keeper: Option<Rc<Keeper>>) -> Self {
        Self {
            name,
            address,
            keeper,
        }
    }

    /// Returns what is known of the lease; `None` if no other scheduler can lead.
    pub(crate) fn lease_state(&self) -> Option<LeaseState> {
        let keeper = self.keeper.as_ref()?;
        Some(keeper.lease_state().borrow().clone())
    }

    /// Returns what operators are told.
    pub(crate) fn status(&self) -> LeaderStatus {
        let lease_state = self.lease_state();
        let standbys = lease_state
            .iter()
            .flat_map(|lease_state| &lease_state.others);
        let since = lease_state
            .as_ref()
            .map_or(Duration::ZERO, LeaseState::since_answer);
        LeaderStatus {
            name: self.name.clone(),
            address: self.address.clone(),
            lease: lease_state
                .as_ref()
                .map_or(0, |lease_state| lease_state.number),
            confirmed: since,
            standbys: standbys
                .map(|peer| Standby {
                    name: peer.name.clone(),
                    address: peer.address.clone(),
                    pages: peer.pages.clone(),
                    looked: Duration::try_from_secs_f64(peer.age).unwrap_or_default() + since,
                    reaches_leader: peer.reaches_leader,
                })
                .collect(),
        }
    }

    /// Tells whether a standby would lead.
    pub(crate) fn may_step_down(&self) -> Result<(), RpcError> {
        match self.lease_state() {
            None => Err(RpcError::failed(
                "cannot step down: the state of this scheduler is in files, which no other one can read; start the \
                 schedulers with --store=postgres://...",
            )),
            Some(lease_state) if lease_state.standbys().next().is_none() => {
                Err(refused(StepDownError::NoStandby))
            }
            Some(_) => Ok(()),
        }
    }

    /// Has a standby lead.
    pub(crate) async fn step_down(&self) -> Result<(), RpcError> {
        match &self.keeper {
            Some(keeper) => keeper.step_down().await.map_err(refused),
            None => self.may_step_down(),
        }
    }
}

fn refused(error: StepDownError) -> RpcError {
    RpcError::failed(format!("cannot step down: {error}"))
}
