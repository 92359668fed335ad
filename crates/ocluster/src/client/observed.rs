//! What a client observes of its job: when it began, which worker has it, and both ends of its log.

use std::cell::{OnceCell, RefCell};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use cluster_api::TicketStatus;
use cluster_client::Attempt;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};
use tokio::sync::Notify;

use super::log_tail::LogTail;
use crate::json::client::Times;

/// How long to wait for the scheduler to report which worker has the job. The answer is not essential.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// What has been observed of a job so far.
#[derive(Debug)]
pub(super) struct Observed {
    submitted: Instant,
    /// When its log began, which is when a worker had taken it.
    begun: OnceCell<Instant>,
    has_begun: Notify,
    tail: RefCell<LogTail>,
    /// The number of its ticket, if the scheduler reports it.
    number: Shared<LocalBoxFuture<'static, Option<u64>>>,
    /// The worker that has it, if the scheduler has reported it. The name may be any text.
    worker: RefCell<Option<String>>,
}

impl Observed {
    /// Begins to watch a job that was just submitted. Must be called within a `LocalSet`.
    pub(super) fn new(attempt: &Attempt) -> Self {
        // Asked for at once, so that it is here when the job begins.
        let number = tokio::time::timeout(STATUS_TIMEOUT, attempt.number());
        Self::with_number(async { number.await.ok()?.ok() }.boxed_local())
    }

    /// Begins to watch a durable job that was just submitted, or is followed from now on. It has no number.
    pub(super) fn durable() -> Self {
        Self::with_number(std::future::ready(None).boxed_local())
    }

    fn with_number(number: LocalBoxFuture<'static, Option<u64>>) -> Self {
        Self {
            submitted: Instant::now(),
            begun: OnceCell::new(),
            has_begun: Notify::new(),
            tail: RefCell::default(),
            number: number.shared(),
            worker: RefCell::default(),
        }
    }

    /// Takes in the next piece of the log.
    pub(super) fn log(&self, piece: &[u8]) {
        if self.begun.set(Instant::now()).is_ok() {
            self.has_begun.notify_one();
        }
        self.tail.borrow_mut().push(piece);
    }

    /// Asks the scheduler for what only it knows, until the future is dropped. Upstream's does not answer.
    pub(super) async fn learn(&self, ask: impl AsyncFn() -> Option<TicketStatus>) -> Infallible {
        self.has_begun.notified().await;
        let status = tokio::time::timeout(STATUS_TIMEOUT, ask()).await;
        if let Ok(Some(TicketStatus::Running { worker })) = status {
            self.runs_on(worker);
        }
        std::future::pending().await
    }

    /// The scheduler has reported the worker.
    pub(super) fn runs_on(&self, worker: String) {
        self.worker.replace(Some(worker));
    }

    /// Returns the number of the ticket, if the scheduler reports it.
    pub(super) async fn ticket(&self) -> Option<u64> {
        self.number.clone().await
    }

    /// Returns the worker that has the job: as the scheduler reports, or else as the log does.
    pub(super) fn worker(&self) -> Option<String> {
        let reported = self.worker.borrow().clone();
        reported.or_else(|| self.tail.borrow().worker())
    }

    /// Returns the exit code of the command that failed the build, if the log has it.
    pub(super) fn command_exit_code(&self) -> Option<u8> {
        self.tail.borrow().command_exit_code()
    }

    /// Returns how long the job waited, and how long it has run since.
    pub(super) fn times(&self) -> Times {
        let now = Instant::now();
        let begun = self.begun.get().copied().unwrap_or(now);
        let seconds = |from: Instant, to: Instant| {
            let time = to.saturating_duration_since(from);
            (time.as_secs_f64() * 1000.0).round() / 1000.0
        };
        Times {
            waited_seconds: seconds(self.submitted, begun),
            ran_seconds: seconds(begun, now),
        }
    }
}
