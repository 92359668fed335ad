//! Waits for workers, and shows the progress: in upstream's lines, in a terminal's status line, or as JSON.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::IsTerminal as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{Progress, ProgressStatus, RpcError, ServeProgress};

use crate::json::admin::WaitEvent;
use cli::error::CommandError;
use cli::interrupt::Interrupt;
use cli::output::{self, Format};
use cli::print::print_line;
use cli::signals::Interrupts;
use cli::status_line::StatusLine;
use visible::CompactElapsed;

/// How often the status line is redrawn: it shows seconds.
const TICK: Duration = Duration::from_secs(1);

/// A long operation on workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Drain,
    Update,
}

/// The workers that a command waits for.
pub(super) struct Watch {
    task: Task,
    format: Format,
    started: Instant,
    /// How many there were at the start.
    total: Cell<usize>,
    /// Those that are not done, each with the last status that the scheduler reported; `None` before the first.
    waiting: RefCell<BTreeMap<String, Option<ProgressStatus>>>,
    line: StatusLine,
    /// Whether there is a status line beside the lines, so that changes in the number of jobs need no lines.
    one_screen: bool,
}

impl Watch {
    pub(super) fn new(task: Task, format: Format) -> Rc<Self> {
        Rc::new(Self {
            task,
            format,
            started: Instant::now(),
            total: Cell::new(0),
            waiting: RefCell::default(),
            line: StatusLine::on_terminal(),
            one_screen: std::io::stdout().is_terminal() && std::io::stderr().is_terminal(),
        })
    }

    /// Begins to wait for a worker, and returns the receiver of the scheduler's reports about it.
    pub(super) fn begin(self: &Rc<Self>, worker: &str) -> Progress {
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(worker.to_owned(), None);
        self.total.set(self.total.get() + 1);
        Progress::serve(Rc::new(Reports {
            watch: Rc::clone(self),
            worker: worker.to_owned(),
        }))
    }

    /// Records that a worker is done.
    pub(super) fn done(&self, worker: &str) -> Result<(), CommandError> {
        self.waiting.borrow_mut().remove(worker);
        self.event(|| WaitEvent::Done {
            worker: worker.to_owned(),
        })
    }

    /// Records that a worker failed.
    pub(super) fn failed(&self, worker: &str, error: &RpcError) -> Result<(), CommandError> {
        self.waiting.borrow_mut().remove(worker);
        self.event(|| WaitEvent::Failed {
            worker: worker.to_owned(),
            message: error.reason.clone(),
        })
    }

    /// Records that a worker was skipped, as it is not connected.
    pub(super) fn skipped(&self, worker: &str) -> Result<(), CommandError> {
        self.event(|| WaitEvent::Skipped {
            worker: worker.to_owned(),
        })
    }

    /// Prints a line for people.
    pub(super) fn print_text(&self, text: impl std::fmt::Display) -> Result<(), CommandError> {
        match self.format {
            Format::Text => {
                self.line.clear();
                print_line(text)
            }
            Format::Json => Ok(()),
        }
    }

    fn event(&self, event: impl FnOnce() -> WaitEvent) -> Result<(), CommandError> {
        match self.format {
            Format::Text => Ok(()),
            Format::Json => {
                self.line.clear();
                output::print_event(&event())
            }
        }
    }

    /// Waits for `work`, showing its progress, until it is interrupted.
    pub(super) async fn until<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<Result<T, CommandError>, Interrupt> {
        let mut interrupts = match Interrupts::listen() {
            Ok(interrupts) => interrupts,
            Err(error) => return Ok(Err(error)),
        };
        let ended = tokio::select! {
            ended = work => Ok(ended),
            interrupt = interrupts.next() => Err(interrupt),
            never = self.keep_line() => match never {},
        };
        self.line.disable();
        ended
    }

    async fn keep_line(&self) -> Infallible {
        while self.line.is_enabled() {
            tokio::time::sleep(TICK).await;
            if let Some(text) = self.status(self.started.elapsed()) {
                self.line.show(&text);
            }
        }
        std::future::pending().await
    }

    /// Returns the status line, if anything is waited for.
    fn status(&self, passed: Duration) -> Option<String> {
        let doing = match self.task {
            Task::Drain => "draining",
            Task::Update => "updating",
        };
        let passed = CompactElapsed(passed);
        let waiting = self.waiting.borrow();
        let mut each = waiting.iter().map(|(worker, status)| match status {
            None => worker.clone(),
            Some(status) => format!("{worker}: {}", described(status)),
        });
        match (waiting.len(), self.total.get()) {
            (0, _) => None,
            (1, 1) => each.next().map(|one| format!("{doing} {one}, {passed}")),
            (left, total) => Some(format!(
                "{doing}: {left} of {total} workers left, {passed} ({})",
                each.collect::<Vec<_>>().join("; ")
            )),
        }
    }

    /// Returns the workers that are not done, each with its last report.
    pub(super) fn remaining(&self) -> Vec<RemainingWorker> {
        let waiting = self.waiting.borrow();
        let left = waiting.iter().map(|(worker, status)| RemainingWorker {
            worker: worker.clone(),
            running: status.as_ref().and_then(running_jobs),
            restarting: status.as_ref() == Some(&ProgressStatus::Restarting),
        });
        left.collect()
    }

    fn reported(&self, worker: &str, status: ProgressStatus) -> Result<(), CommandError> {
        let running = running_jobs(&status);
        self.event(|| WaitEvent::Waiting {
            worker: worker.to_owned(),
            status: status.to_string(),
            running_jobs: running,
        })?;
        let on_the_status_line = self.one_screen && running.is_some_and(|jobs| jobs > 0);
        if !on_the_status_line {
            self.print_text(format_args!("{worker}: {status}"))?;
        }
        if let Some(last) = self.waiting.borrow_mut().get_mut(worker) {
            *last = Some(status);
        }
        Ok(())
    }
}

/// A worker that is not done.
#[derive(Debug)]
pub(super) struct RemainingWorker {
    pub(super) worker: String,
    /// How many jobs it ran, if reported.
    pub(super) running: Option<u32>,
    /// Whether it is restarting.
    pub(super) restarting: bool,
}

fn running_jobs(status: &ProgressStatus) -> Option<u32> {
    match status {
        ProgressStatus::RunningJobs(jobs) => Some(*jobs),
        ProgressStatus::Restarting | ProgressStatus::NotConnected | ProgressStatus::Other(_) => {
            None
        }
    }
}

/// Returns a status as shown in the status line.
fn described(status: &ProgressStatus) -> String {
    match running_jobs(status) {
        Some(1) => "1 job running".to_owned(),
        Some(jobs) => format!("{jobs} jobs running"),
        None => status.to_string().to_lowercase(),
    }
}

/// Receives the scheduler's reports about one worker.
struct Reports {
    watch: Rc<Watch>,
    worker: String,
}

impl ServeProgress for Reports {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        self.report_status(status.into()).await
    }

    async fn report_status(self: Rc<Self>, status: ProgressStatus) -> Result<(), RpcError> {
        // The operation goes on even if our output has no reader any more.
        drop(self.watch.reported(&self.worker, status));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_has_the_remaining_workers() {
        let watch = Watch::new(Task::Drain, Format::Text);
        let status = |seconds| watch.status(Duration::from_secs(seconds));
        let reported = |worker: &str, report: &str| {
            let mut waiting = watch.waiting.borrow_mut();
            *waiting.get_mut(worker).unwrap() = Some(report.to_owned().into());
        };
        assert_eq!(status(0), None);

        // One worker.
        watch.waiting.borrow_mut().insert("w1".into(), None);
        watch.total.set(1);
        assert_eq!(status(3).unwrap(), "draining w1, 3s");
        reported("w1", "Running jobs: 3");
        assert_eq!(status(130).unwrap(), "draining w1: 3 jobs running, 2m10s");

        // Three, of which two are left.
        watch
            .waiting
            .borrow_mut()
            .insert("w2".into(), Some(ProgressStatus::Restarting));
        watch.total.set(3);
        assert_eq!(
            status(130).unwrap(),
            "draining: 2 of 3 workers left, 2m10s (w1: 3 jobs running; w2: restarting)"
        );
    }
}
