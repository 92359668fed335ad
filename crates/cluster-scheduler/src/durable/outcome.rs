//! How an attempt has ended, as its worker reports it.

use cluster_api::{Job, Outcome};
use futures::future::join;

/// Waits until an attempt has ended, and returns how. `is_kept`: by its worker, until it is told to forget it.
pub(super) async fn of(job: &Job, is_kept: bool) -> Outcome {
    if !is_kept {
        return match job.result().await {
            Ok(output) => Outcome::Succeeded(output),
            Err(error) => job.explain(error).await,
        };
    }
    // Both at once: a worker that shuts down may leave as soon as it has answered the first.
    match join(job.result(), job.outcome()).await {
        (Ok(output), _) => Outcome::Succeeded(output),
        // The job succeeded while it was being stopped, or the connection was lost. The error counts.
        (Err(error), Ok(Outcome::Succeeded(_)) | Err(_)) => Outcome::of_error(&error),
        (Err(_), Ok(outcome)) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use cluster_api::{LogChunk, RpcError, RpcErrorKind, ServeJob};

    use super::*;

    /// A job that has failed. Its worker leaves when it has answered.
    struct LastJob {
        has_left: Cell<bool>,
    }

    impl ServeJob for LastJob {
        async fn log(self: Rc<Self>, _start: i64) -> Result<LogChunk, RpcError> {
            unreachable!("nobody asks for the log")
        }

        async fn result(self: Rc<Self>) -> Result<String, RpcError> {
            tokio::task::yield_now().await;
            self.has_left.set(true);
            Err(RpcError::failed("Build failed"))
        }

        async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
            match self.has_left.get() {
                true => Err(RpcError {
                    kind: RpcErrorKind::Disconnected,
                    reason: "the worker has left".to_owned(),
                }),
                false => Ok(FAILED),
            }
        }

        async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
            unreachable!("nobody cancels it")
        }

        fn released(&self) {}
    }

    const FAILED: Outcome = Outcome::Failed {
        detail: String::new(),
        exit_code: Some(3),
    };

    #[tokio::test]
    async fn an_outcome_is_known_although_its_worker_leaves_with_the_last_answer() {
        let job = Job::serve(Rc::new(LastJob {
            has_left: Cell::new(false),
        }));
        let local = tokio::task::LocalSet::new();
        assert_eq!(local.run_until(of(&job, true)).await, FAILED);
    }
}
