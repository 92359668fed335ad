//! Who is doing what with which result: steps in progress, results being removed, and results that must stay.
//!
//! An id has one claim at a time, so a step runs once, and nobody uses a result that is half gone. A pin says that a build
//! needs a result, or is about to make it: nobody removes that.

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

/// All claims and pins of a builder. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Claims(Rc<Tables>);

#[derive(Default)]
struct Tables {
    claimed: RefCell<HashMap<StepId, Doing>>,
    pinned: RefCell<HashMap<StepId, usize>>,
}

/// What is being done with an id.
#[derive(Clone)]
pub(super) enum Doing {
    /// Its step is in progress.
    Running(Rc<Running>),
    /// Its result is being removed. The token fires when it is gone.
    Removing(CancellationToken),
}

impl Doing {
    /// Returns what fires when it is over.
    fn over(&self) -> CancellationToken {
        match self {
            Self::Running(running) => running.over(),
            Self::Removing(over) => over.clone(),
        }
    }
}

impl Claims {
    /// Returns what is being done with an id.
    pub(super) fn doing(&self, id: &StepId) -> Option<Doing> {
        self.0.claimed.borrow().get(id).cloned()
    }

    /// Waits until nothing is being done with any id.
    pub(super) async fn idle(&self) {
        loop {
            let over = self.0.claimed.borrow().values().next().map(Doing::over);
            match over {
                Some(over) => over.cancelled().await,
                None => return,
            }
        }
    }

    /// Returns whether a result may be removed: nobody needs it, and nothing is being done with it.
    pub(super) fn is_free(&self, id: &StepId) -> bool {
        !self.0.claimed.borrow().contains_key(id) && self.pins(id) == 0
    }

    /// Returns how many need a result.
    pub(super) fn pins(&self, id: &StepId) -> usize {
        self.0.pinned.borrow().get(id).copied().unwrap_or(0)
    }

    /// Keeps a result from being removed for as long as the pin lives.
    pub(super) fn pin(&self, id: StepId) -> Pin {
        *self.0.pinned.borrow_mut().entry(id).or_default() += 1;
        Pin {
            claims: self.clone(),
            id,
        }
    }

    /// Claims an id for its removal. The caller has seen that it is free.
    pub(super) fn removing(&self, id: StepId) -> Claim {
        let over = CancellationToken::new();
        self.claim(id, Doing::Removing(over.clone()), over)
    }

    /// Claims an id for its step, for which `watch` is the first to wait. The caller has seen that nobody else has a claim.
    pub(super) fn running(
        &self,
        id: StepId,
        variant: Option<Variant>,
    ) -> (Claim, Watch, watch::Sender<Progress>) {
        let (sender, progress) = watch::channel(Progress::default());
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
        (self.claim(id, Doing::Running(running), over), watch, sender)
    }

    fn claim(&self, id: StepId, doing: Doing, over: CancellationToken) -> Claim {
        let before = self.0.claimed.borrow_mut().insert(id, doing);
        debug_assert!(before.is_none(), "two claims of {id}");
        Claim {
            claims: self.clone(),
            id,
            over,
        }
    }
}

/// A claim of an id. Ends when it is dropped, however that comes about.
pub(super) struct Claim {
    claims: Claims,
    id: StepId,
    over: CancellationToken,
}

impl Claim {
    /// Returns what is claimed.
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

/// Keeps a result from being removed for as long as it lives.
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

/// A step in progress, as those see it who wait for it.
pub(super) struct Running {
    watchers: Cell<usize>,
    since: Instant,
    /// Fires when the last watcher has gone.
    cancel: CancellationToken,
    /// Fires when the claim ends.
    over: CancellationToken,
    progress: watch::Receiver<Progress>,
    /// What its id does not say. `None` for a base image.
    variant: Option<Variant>,
}

impl Running {
    /// Returns whether nobody waits for it any more, so that it is being stopped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.watchers.get() == 0
    }

    /// Returns whether what it makes differs from what is wanted in something that its id does not say.
    pub(super) fn differs(&self, wanted: Option<&Variant>) -> bool {
        wanted.is_some_and(|wanted| self.variant.as_ref() != Some(wanted))
    }

    /// Returns what fires when its id is free again.
    pub(super) fn over(&self) -> CancellationToken {
        self.over.clone()
    }
}

/// How far a step is.
#[derive(Default)]
pub(super) struct Progress {
    /// What it prints, once it has begun.
    pub(super) log: Option<Rc<StepLog>>,
    /// How it ended.
    pub(super) outcome: Option<Result<(), StepFailure>>,
}

/// How a step ends that has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepFailure {
    /// For this reason.
    Failed(String),
    /// Its command failed.
    CommandFailed { reason: String, exit: Exit },
    /// It had reached a limit.
    LimitReached(LimitReached),
    /// Nobody wanted it any more.
    Cancelled,
}

/// Somebody who waits for a step. When the last of them is dropped, the step is stopped.
pub(super) struct Watch(Rc<Running>);

impl Watch {
    /// Attaches to a step that is not abandoned.
    pub(super) fn new(running: &Rc<Running>) -> Self {
        running.watchers.set(running.watchers.get() + 1);
        Self(Rc::clone(running))
    }

    /// Returns what fires when the step is no longer wanted.
    pub(super) fn cancel(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    /// Loses interest. Returns what fires when the step has ended, if nobody else wants it: then it is being stopped.
    pub(super) fn leave(self) -> Option<CancellationToken> {
        let running = Rc::clone(&self.0);
        drop(self);
        running.is_abandoned().then(|| running.over())
    }

    /// Returns how long it is in progress.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// Returns the step's log when there is one. `None` if the step ends without.
    pub(super) async fn log(&self) -> Option<Rc<StepLog>> {
        let mut progress = self.0.progress.clone();
        let begun = progress.wait_for(|step| step.log.is_some() || step.outcome.is_some());
        begun.await.ok().and_then(|step| step.log.clone())
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
