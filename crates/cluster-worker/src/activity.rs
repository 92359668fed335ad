//! Whether the worker is active or paused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use cluster_api::{PauseReason, Queue, RpcError, RpcErrorKind};
use tokio::sync::watch;
use visible::counted;

use crate::executor::Pruned;

/// How many cache hints one report has.
const HINTS_AT_ONCE: usize = 100;

/// The worker's pauses, as the scheduler knows them. There may be several at once.
pub(crate) struct Activity<'a> {
    pub(crate) queue: &'a Queue,
    reasons: RefCell<BTreeMap<PauseId, PauseReason>>,
    next: Cell<u64>,
    /// Whether the scheduler knows of a pause.
    is_paused: &'a watch::Sender<bool>,
}

/// Identifies one of the current pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PauseId(u64);

impl<'a> Activity<'a> {
    /// A worker that has just registered is active. `is_paused` is kept up to date.
    pub(crate) fn new(queue: &'a Queue, is_paused: &'a watch::Sender<bool>) -> Self {
        is_paused.send_replace(false);
        Self {
            queue,
            reasons: RefCell::default(),
            next: Cell::new(0),
            is_paused,
        }
    }

    /// Pauses the worker until all pauses have been ended by [`Activity::resume`]. When this returns, all jobs that the
    /// scheduler sent before the pause have arrived.
    pub(crate) async fn pause(&self, reason: PauseReason) -> Result<PauseId, RpcError> {
        let id = PauseId(self.next.get());
        self.next.set(id.0 + 1);
        self.reasons.borrow_mut().insert(id, reason);
        // Also for a second pause: the scheduler may not have answered to the first yet.
        self.report().await?;
        self.is_paused.send_replace(true);
        Ok(id)
    }

    /// Changes the reason of a pause.
    pub(crate) async fn change(&self, id: PauseId, reason: PauseReason) -> Result<(), RpcError> {
        self.reasons.borrow_mut().insert(id, reason);
        self.report().await
    }

    /// Reports for which cache hints nothing is cached any more, so that the worker is preferred for no job on account
    /// of them. Returns whether the scheduler knows now, or never will.
    pub(crate) async fn pruned(&self, pruned: &Pruned) -> bool {
        let pieces: Vec<&[String]> = match pruned {
            // On the wire, no hints means all.
            Pruned::All => vec![&[]],
            Pruned::Hints(hints) => hints.chunks(HINTS_AT_ONCE).collect(),
        };
        for hints in pieces {
            let answer = match self.queue.pruned(hints) {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => {}
                Err(error) if error.kind == RpcErrorKind::Disconnected => return false,
                Err(error) => {
                    tracing::debug!("The scheduler does not forget what was pruned: {error}");
                    return true;
                }
            }
        }
        match pruned {
            Pruned::All => tracing::info!("Reported that nothing is cached any more"),
            Pruned::Hints(hints) => tracing::info!(
                "Reported that nothing is cached any more for {}",
                counted(hints.len(), "cache hint")
            ),
        }
        true
    }

    pub(crate) async fn resume(&self, id: PauseId) -> Result<(), RpcError> {
        self.reasons.borrow_mut().remove(&id);
        if self.reasons.borrow().is_empty() {
            self.is_paused.send_replace(false);
        }
        self.report().await
    }

    async fn report(&self) -> Result<(), RpcError> {
        let reasons: Vec<PauseReason> = self.reasons.borrow().values().cloned().collect();
        // Both are sent now, in this order. An OCaml scheduler does not implement the first.
        let explained = self.queue.set_pause_reasons(&reasons);
        let set = self.queue.set_active(reasons.is_empty());
        let (explained, set) = futures::join!(explained, set);
        if let Err(error) = explained {
            tracing::debug!("The scheduler does not accept pause reasons: {error}");
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use cluster_api::{EncodedDescription, Job, ServeQueue};
    use futures::future::FutureExt as _;
    use tokio::sync::watch;

    use super::*;
    use crate::testing::local;

    /// The scheduler's side, which answers when the test allows it.
    #[derive(Default)]
    struct SlowQueue {
        answers: watch::Sender<bool>,
        is_active: Cell<Option<bool>>,
        kinds: RefCell<Vec<String>>,
    }

    impl ServeQueue for SlowQueue {
        async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
            Err(RpcError::failed("none"))
        }

        async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
            self.is_active.set(Some(active));
            let mut answers = self.answers.subscribe();
            answers.wait_for(|answers| *answers).await.unwrap();
            Ok(())
        }

        async fn set_pause_reasons(
            self: Rc<Self>,
            reasons: Vec<PauseReason>,
        ) -> Result<(), RpcError> {
            *self.kinds.borrow_mut() = reasons.into_iter().map(|reason| reason.kind).collect();
            // As an OCaml scheduler does. The worker continues.
            Err(RpcError::unimplemented("Unknown interface"))
        }

        fn released(&self) {}
    }

    fn reason(kind: &str) -> PauseReason {
        PauseReason::new(kind, "", "")
    }

    #[test]
    fn a_second_reason_waits_for_an_answer_too() {
        local(async {
            let scheduler = Rc::new(SlowQueue::default());
            let queue = Queue::serve(Rc::clone(&scheduler));
            let is_paused = watch::Sender::new(true);
            let activity = Activity::new(&queue, &is_paused);
            let mut first = activity.pause(reason("a")).boxed_local();
            assert!((&mut first).now_or_never().is_none());
            let mut second = activity.pause(reason("b")).boxed_local();
            assert!((&mut second).now_or_never().is_none());
            assert!(!*is_paused.borrow());
            scheduler.answers.send_replace(true);
            let (first, second) = (first.await.unwrap(), second.await.unwrap());
            assert!(*is_paused.borrow());
            assert_eq!(*scheduler.kinds.borrow(), ["a", "b"]);
            activity.change(first, reason("c")).await.unwrap();
            assert_eq!(*scheduler.kinds.borrow(), ["c", "b"]);
            activity.resume(first).await.unwrap();
            assert_eq!(scheduler.is_active.get(), Some(false));
            assert_eq!(*scheduler.kinds.borrow(), ["b"]);
            assert!(*is_paused.borrow());
            activity.resume(second).await.unwrap();
            assert_eq!(scheduler.is_active.get(), Some(true));
            assert!(scheduler.kinds.borrow().is_empty() && !*is_paused.borrow());
        });
    }
}
