//! A job whose log is in memory, and which builds nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cluster_api::{
    Action, CancelledBy, CustomJob, Description, Dockerfile, LogChunk, Outcome, RpcError, ServeJob,
};
use tokio::sync::Notify;

use crate::description::spec_in;
use crate::mock_builder::{BuildOutcome, MockBuilder};

/// A job of a [`MockWorker`](crate::MockWorker).
pub(crate) struct MockJob {
    builder: Rc<MockBuilder>,
    log: RefCell<Vec<u8>>,
    result: RefCell<Option<Result<String, RpcError>>>,
    changed: Notify,
    cancelled: Notify,
    is_cancelled_by_operator: Cell<bool>,
}

impl MockJob {
    pub(crate) fn new(builder: &Rc<MockBuilder>) -> Self {
        Self {
            builder: Rc::clone(builder),
            log: RefCell::default(),
            result: RefCell::default(),
            changed: Notify::new(),
            cancelled: Notify::new(),
            is_cancelled_by_operator: Cell::default(),
        }
    }

    /// Runs it to its end.
    pub(crate) async fn build(&self, worker: &str, description: &Description) {
        let builder = &self.builder;
        let name = self.announce(worker, description);
        // Lines of 100 bytes.
        let filling = (0..builder.log_filling.get()).map(|place| match place % 100 {
            50 => b'\n',
            _ => b'.',
        });
        self.log.borrow_mut().extend(filling);
        builder.record_start(worker, &name);
        let (last_line, result) = tokio::select! {
            outcome = builder.outcome(&name) => match outcome {
                BuildOutcome::Succeeded(output) => ("Job succeeded", Ok(output.to_owned())),
                BuildOutcome::Failed(line) => (line, Err("Build failed")),
                BuildOutcome::Stopped => ("Job cancelled", Err("Build cancelled")),
            },
            () = self.cancelled.notified() => {
                builder.record_cancellation(worker, &name);
                ("Job cancelled", Err("Build cancelled"))
            }
        };
        builder.record_end();
        self.print(last_line);
        self.result.replace(Some(result.map_err(RpcError::failed)));
        self.changed.notify_waiters();
    }

    pub(crate) fn cancel_by_operator(&self) {
        self.is_cancelled_by_operator.set(true);
        self.cancelled.notify_one();
    }

    /// Logs what is being built, and returns the name by which the test knows it.
    fn announce(&self, worker: &str, description: &Description) -> String {
        self.print(&format!("Building on {worker}"));
        match &description.action {
            Action::Docker(build) => {
                let Dockerfile::Contents(name) = &build.dockerfile else {
                    panic!("no Dockerfile was given")
                };
                self.print(&format!("Building {name}"));
                name.clone()
            }
            Action::Custom(CustomJob { kind, payload }) => {
                let spec = spec_in(payload);
                self.print(&format!("Building job {kind}\nGot spec {spec}"));
                spec
            }
            Action::OBuilder(_) => panic!("no test builds specs"),
        }
    }

    fn print(&self, line: &str) {
        if !self.builder.is_quiet.get() {
            self.log.borrow_mut().extend(format!("{line}\n").bytes());
        }
        self.changed.notify_waiters();
    }
}

impl ServeJob for MockJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        if start >= 0 {
            let requests = &self.builder.log_requests;
            requests.set(requests.get() + 1);
        }
        let length = i64::try_from(self.log.borrow().len()).unwrap();
        let from_end = if start < 0 { length } else { 0 };
        let start = usize::try_from((from_end + start).max(0)).unwrap();
        let most = self.builder.max_piece();
        loop {
            let changed = self.changed.notified();
            let bytes: Vec<u8> = {
                let log = self.log.borrow();
                log.iter().skip(start).take(most).copied().collect()
            };
            if !bytes.is_empty() || self.result.borrow().is_some() {
                let next = i64::try_from(start + bytes.len()).unwrap();
                return Ok(LogChunk { bytes, next });
            }
            changed.await;
        }
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        loop {
            let changed = self.changed.notified();
            let result = self.result.borrow().clone();
            if let Some(result) = result {
                return result;
            }
            changed.await;
        }
    }

    /// Reports what the result does not show: that an operator cancelled it. Otherwise it is like a job of upstream's
    /// worker.
    async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
        if self.is_cancelled_by_operator.get() {
            Ok(Outcome::Cancelled(CancelledBy::Operator))
        } else {
            Err(RpcError::unimplemented("Unknown interface 1UL"))
        }
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.cancelled.notify_one();
        Ok(())
    }

    fn released(&self) {
        self.cancelled.notify_one();
    }
}
