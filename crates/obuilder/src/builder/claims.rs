//! Claims and pins of results: steps in progress, results being removed, and results that must stay.
//!
//! An id has one claim at a time, so a step runs once, and no build uses a result that is partly removed. A pin means
//! that a build needs a result, or is about to make it, so that it must not be removed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::step_log::StepLog;
use super::variant::Variant;
use crate::StepId;
use crate::sandbox::{Exit, LimitReached};

/// All claims and pins of a builder. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Claims(Rc<Tables>);

#[derive(Default)]
struct Tables {
    claimed: RefCell<HashMap<StepId, Activity>>,
    pinned: RefCell<HashMap<StepId, usize>>,
}

/// The activity that has claimed an id.
#[derive(Clone)]
pub(super) enum Activity {
    /// Its step is in progress.
    Running(Rc<Running>),
    /// Its result is being removed. The token fires at the end.
    Removing(CancellationToken),
}

impl Activity {
    /// Returns the token that fires at its end.
    fn over(&self) -> CancellationToken {
        match self {
            Self::Running(running) => running.over(),
            Self::Removing(over) => over.clone(),
        }
    }
}

impl Claims {
    /// Returns the activity that has claimed an id.
    pub(super) fn activity(&self, id: &StepId) -> Option<Activity> {
        self.0.claimed.borrow().get(id).cloned()
    }

    /// Waits until no id is claimed.
    pub(super) async fn idle(&self) {
        loop {
            let over = self.0.claimed.borrow().values().next().map(Activity::over);
            match over {
                Some(over) => over.cancelled().await,
                None => return,
            }
        }
    }

    /// Returns whether a result may be removed: it has neither a claim nor a pin.
    pub(super) fn is_free(&self, id: &StepId) -> bool {
        !self.0.claimed.borrow().contains_key(id) && self.pins(id) == 0
    }

    /// Returns the number of pins of a result.
    pub(super) fn pins(&self, id: &StepId) -> usize {
        self.0.pinned.borrow().get(id).copied().unwrap_or(0)
    }

    /// Prevents the removal of a result while the pin exists.
    pub(super) fn pin(&self, id: StepId) -> Pin {
        *self.0.pinned.borrow_mut().entry(id).or_default() += 1;
        Pin {
            claims: self.clone(),
            id,
        }
    }

    /// Claims an id for its removal. The caller has checked that it is free.
    pub(super) fn removing(&self, id: StepId) -> Claim {
        let over = CancellationToken::new();
        self.claim(id, Activity::Removing(over.clone()), over)
    }

    /// Claims an id for its step, and returns the first watcher too. The caller has checked that there is no claim.
    pub(super) fn running(
        &self,
        id: StepId,
        variant: Option<Variant>,
    ) -> (Claim, Watch, watch::Sender<StepProgress>) {
        let (sender, progress) = watch::channel(StepProgress::default());
        let over = CancellationToken::new();
        let running = Rc::new(Running {
            watchers: Cell::new(0),
            since: Instant::now(),
            cancel: CancellationToken::new(),
            over: over.clone(),
            progress,
            variant,
        });
        let watch = Watch::new(&running);
        (
            self.claim(id, Activity::Running(running), over),
            watch,
            sender,
        )
    }

    fn claim(&self, id: StepId, activity: Activity, over: CancellationToken) -> Claim {
        let before = self.0.claimed.borrow_mut().insert(id, activity);
        debug_assert!(before.is_none(), "two claims of {id}");
        Claim {
            claims: self.clone(),
            id,
            over,
        }
    }
}

/// A claim of an id. Ends when it is dropped, even by a panic.
pub(super) struct Claim {
    claims: Claims,
    id: StepId,
    over: CancellationToken,
}

impl Claim {
    /// Returns the claimed id.
    pub(super) fn id(&self) -> StepId {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.claimed.borrow_mut().remove(&self.id);
        self.over.cancel();
    }
}

/// Prevents the removal of a result while it exists.
pub(super) struct Pin {
    claims: Claims,
    id: StepId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.claims.0.pinned.borrow_mut();
        if let Some(pins) = pinned.get_mut(&self.id) {
            *pins -= 1;
            if *pins == 0 {
                pinned.remove(&self.id);
            }
        }
    }
}

/// A step in progress, as its watchers see it.
pub(super) struct Running {
    watchers: Cell<usize>,
    since: Instant,
    /// Fires when the last watcher leaves.
    cancel: CancellationToken,
    /// Fires when the claim ends.
    over: CancellationToken,
    progress: watch::Receiver<StepProgress>,
    /// Inputs that its id does not include. `None` for a base image.
    variant: Option<Variant>,
}

impl Running {
    /// Returns whether it has no watcher left, so that it is being stopped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.watchers.get() == 0
    }

    /// Returns whether its variant is another one than `wanted`.
    pub(super) fn differs(&self, wanted: Option<&Variant>) -> bool {
        wanted.is_some_and(|wanted| self.variant.as_ref() != Some(wanted))
    }

    /// Returns the token that fires when its id is free again.
    pub(super) fn over(&self) -> CancellationToken {
        self.over.clone()
    }
}

/// The progress of a step.
#[derive(Default)]
pub(super) struct StepProgress {
    /// Its output, once it has begun.
    pub(super) log: Option<Rc<StepLog>>,
    /// What is said about it if it was fetched rather than run.
    pub(super) fetched: Option<String>,
    /// How it ended.
    pub(super) outcome: Option<Result<(), StepFailure>>,
}

/// Why a step has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepFailure {
    /// It failed for this reason.
    Failed(String),
    /// Its command failed.
    CommandFailed { reason: String, exit: Exit },
    /// It reached a limit.
    LimitReached(LimitReached),
    /// It was cancelled: its last watcher left.
    Cancelled,
}

/// A watcher of a step. The step stops when its last watcher is dropped.
pub(super) struct Watch(Rc<Running>);

impl Watch {
    /// Attaches to a step that is not abandoned.
    pub(super) fn new(running: &Rc<Running>) -> Self {
        running.watchers.set(running.watchers.get() + 1);
        Self(Rc::clone(running))
    }

    /// Returns the token that fires when the step is cancelled.
    pub(super) fn cancel(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    /// Stops watching. If this was the last watcher, the step is being stopped: returns the token that fires at its
    /// end.
    pub(super) fn leave(self) -> Option<CancellationToken> {
        let running = Rc::clone(&self.0);
        drop(self);
        running.is_abandoned().then(|| running.over())
    }

    /// Returns for how long the step has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// Returns the step's log when there is one. `None` if the step ends without.
    pub(super) async fn log(&self) -> Option<Rc<StepLog>> {
        let mut progress = self.0.progress.clone();
        let begun = progress.wait_for(|step| step.log.is_some() || step.outcome.is_some());
        begun.await.ok().and_then(|step| step.log.clone())
    }

    /// Returns what is said about the step if it was fetched rather than run.
    pub(super) fn fetched(&self) -> Option<String> {
        self.0.progress.borrow().fetched.clone()
    }

    /// Waits for the step's end.
    pub(super) async fn outcome(&self) -> Result<(), StepFailure> {
        let mut progress = self.0.progress.clone();
        let ended = progress.wait_for(|step| step.outcome.is_some());
        let outcome = ended.await.ok().and_then(|step| step.outcome.clone());
        outcome.unwrap_or_else(|| {
            let text = "internal error: the step was dropped before it ended";
            Err(StepFailure::Failed(text.to_owned()))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let left = self.0.watchers.get().saturating_sub(1);
        self.0.watchers.set(left);
        if left == 0 {
            self.0.cancel.cancel();
        }
    }
}
