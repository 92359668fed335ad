//! Waiting for workers, and telling the operator: in upstream's lines, on a terminal's status line, or as JSON.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::IsTerminal as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{Progress, RpcError, ServeProgress};

use crate::json::admin::WaitEvent;
use cli::error::CommandError;
use cli::human;
use cli::interrupt::Interrupt;
use cli::output::{self, Format};
use cli::print::print_line;
use cli::signals::Interrupts;
use cli::status_line::StatusLine;

/// How often the status line is renewed: it shows seconds.
const TICK: Duration = Duration::from_secs(1);

/// How the scheduler begins its reports about the jobs that a worker runs.
const RUNNING_JOBS: &str = "Running jobs: ";

/// What the scheduler reports when it has told a worker to restart.
const RESTARTING: &str = "Restarting";

/// What a command does to workers that takes its time.
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
    /// How many there were in the beginning.
    total: Cell<usize>,
    /// Those that are left, with what the scheduler last said about each: nothing yet, in the beginning.
    waiting: RefCell<BTreeMap<String, String>>,
    line: StatusLine,
    /// Whether a person sees the status line and the lines together, and needs no line for each number of jobs.
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

    /// Begins to wait for a worker, and returns where the scheduler is to report about it.
    pub(super) fn begin(self: &Rc<Self>, worker: &str) -> Progress {
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(worker.to_owned(), String::new());
        self.total.set(self.total.get() + 1);
        Progress::serve(Rc::new(Reports {
            watch: Rc::clone(self),
            worker: worker.to_owned(),
        }))
    }

    /// A worker need not be waited for any more.
    pub(super) fn done(&self, worker: &str) -> Result<(), CommandError> {
        self.waiting.borrow_mut().remove(worker);
        self.event(|| WaitEvent::Done {
            worker: worker.to_owned(),
        })
    }

    /// It did not work for one worker.
    pub(super) fn failed(&self, worker: &str, error: &RpcError) -> Result<(), CommandError> {
        self.waiting.borrow_mut().remove(worker);
        self.event(|| WaitEvent::Failed {
            worker: worker.to_owned(),
            message: error.reason.clone(),
        })
    }

    /// A worker was left out, because it is not connected.
    pub(super) fn skipped(&self, worker: &str) -> Result<(), CommandError> {
        self.event(|| WaitEvent::Skipped {
            worker: worker.to_owned(),
        })
    }

    /// Prints a line for people.
    pub(super) fn say(&self, text: impl std::fmt::Display) -> Result<(), CommandError> {
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

    /// Waits for `work`, telling how it is coming along, until somebody interrupts it.
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
        self.line.retire();
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

    /// Returns what is waited for, if anything.
    fn status(&self, passed: Duration) -> Option<String> {
        let doing = match self.task {
            Task::Drain => "draining",
            Task::Update => "updating",
        };
        let passed = human::duration(passed);
        let waiting = self.waiting.borrow();
        let mut each = waiting.iter().map(|(worker, report)| match report {
            report if report.is_empty() => worker.clone(),
            report => format!("{worker}: {}", described(report)),
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

    /// Returns the workers that are left, each with what it was doing when last heard of.
    pub(super) fn left(&self) -> Vec<Left> {
        let waiting = self.waiting.borrow();
        let left = waiting.iter().map(|(worker, report)| Left {
            worker: worker.clone(),
            running: running_jobs(report),
            restarting: report == RESTARTING,
        });
        left.collect()
    }

    fn reported(&self, worker: &str, report: String) -> Result<(), CommandError> {
        let running = running_jobs(&report);
        self.event(|| WaitEvent::Waiting {
            worker: worker.to_owned(),
            status: report.clone(),
            running_jobs: running,
        })?;
        let on_the_status_line = self.one_screen && running.is_some_and(|jobs| jobs > 0);
        if !on_the_status_line {
            self.say(format_args!("{worker}: {report}"))?;
        }
        if let Some(last) = self.waiting.borrow_mut().get_mut(worker) {
            *last = report;
        }
        Ok(())
    }
}

/// A worker that was still waited for.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) worker: String,
    /// How many jobs it ran, if we were told.
    pub(super) running: Option<u32>,
    /// Whether it has been told to restart.
    pub(super) restarting: bool,
}

fn running_jobs(report: &str) -> Option<u32> {
    report.strip_prefix(RUNNING_JOBS)?.parse().ok()
}

/// Returns a report in the words of a status line.
fn described(report: &str) -> String {
    match running_jobs(report) {
        Some(1) => "1 job running".to_owned(),
        Some(jobs) => format!("{jobs} jobs running"),
        None => report.to_lowercase(),
    }
}

/// Where the scheduler reports about one worker.
struct Reports {
    watch: Rc<Watch>,
    worker: String,
}

impl ServeProgress for Reports {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        // That nobody reads our output any more is no reason to stop what the operator asked for.
        drop(self.watch.reported(&self.worker, status));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_says_what_is_left() {
        let watch = Watch::new(Task::Drain, Format::Text);
        let status = |seconds| watch.status(Duration::from_secs(seconds));
        let reported = |worker: &str, report: &str| {
            let mut waiting = watch.waiting.borrow_mut();
            *waiting.get_mut(worker).unwrap() = report.to_owned();
        };
        assert_eq!(status(0), None);

        // One worker.
        watch
            .waiting
            .borrow_mut()
            .insert("w1".into(), String::new());
        watch.total.set(1);
        assert_eq!(status(3).unwrap(), "draining w1, 3s");
        reported("w1", "Running jobs: 3");
        assert_eq!(status(130).unwrap(), "draining w1: 3 jobs running, 2m10s");

        // Three, of which two are left.
        watch
            .waiting
            .borrow_mut()
            .insert("w2".into(), "Restarting".into());
        watch.total.set(3);
        assert_eq!(
            status(130).unwrap(),
            "draining: 2 of 3 workers left, 2m10s (w1: 3 jobs running; w2: restarting)"
        );
    }
}
