//! Whether the scheduler may give us jobs: when nothing speaks against it.

use std::cell::Cell;

use cluster_api::{Queue, RpcError};

/// What the scheduler knows of our wish for jobs. Several things may speak against them at once.
pub(crate) struct Activity<'a> {
    pub(crate) queue: &'a Queue,
    pauses: Cell<u32>,
}

impl<'a> Activity<'a> {
    /// A worker that has just registered is active.
    pub(crate) fn new(queue: &'a Queue) -> Self {
        Self {
            queue,
            pauses: Cell::new(0),
        }
    }

    /// Asks for no more jobs, until [`Activity::resume`] was called as often. What was sent before the answer has arrived then.
    pub(crate) async fn pause(&self) -> Result<(), RpcError> {
        self.pauses.set(self.pauses.get() + 1);
        // Also if it has been asked before, as there may be no answer to that yet.
        self.queue.set_active(false).await
    }

    pub(crate) async fn resume(&self) -> Result<(), RpcError> {
        let after = self.pauses.get().saturating_sub(1);
        self.pauses.set(after);
        if after > 0 {
            return Ok(());
        }
        self.queue.set_active(true).await
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

    /// The scheduler's side, which answers when it is told to.
    #[derive(Default)]
    struct SlowQueue {
        answers: watch::Sender<bool>,
        is_active: Cell<Option<bool>>,
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

        fn released(&self) {}
    }

    #[test]
    fn a_second_reason_waits_for_an_answer_too() {
        local(async {
            let scheduler = Rc::new(SlowQueue::default());
            let queue = Queue::serve(Rc::clone(&scheduler));
            let activity = Activity::new(&queue);
            let mut first = activity.pause().boxed_local();
            assert_eq!((&mut first).now_or_never(), None);
            let mut second = activity.pause().boxed_local();
            assert_eq!((&mut second).now_or_never(), None);
            scheduler.answers.send_replace(true);
            first.await.unwrap();
            second.await.unwrap();
            activity.resume().await.unwrap();
            assert_eq!(scheduler.is_active.get(), Some(false));
            activity.resume().await.unwrap();
            assert_eq!(scheduler.is_active.get(), Some(true));
        });
    }
}
