//! How the builds of mock workers end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;

/// The most bytes that one answer has of a log that [`MockBuilder::fill_logs`] has filled, like a worker of ours.
pub const PIECE: usize = 256 * 1024;

/// How a build ends, unless it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildOutcome {
    /// It succeeds, with this output.
    Succeeded(&'static str),
    /// It fails, with this as the last line of its log.
    Failed(&'static str),
    /// The worker stops it without being asked to.
    Stopped,
}

/// Decides how builds end, and records them.
///
/// A build is known by its Dockerfile, or by the spec of its payload.
#[derive(Default)]
pub struct MockBuilder {
    /// Whether builds may have the same name.
    allows_repeats: bool,
    outcomes: RefCell<HashMap<String, BuildOutcome>>,
    /// In order, as "worker name".
    started: RefCell<Vec<String>>,
    /// In order, as "worker name".
    cancelled: RefCell<Vec<String>>,
    running: Cell<usize>,
    /// How many more bytes each log has before its last line.
    pub(crate) log_filling: Cell<usize>,
    /// Whether its jobs write nothing to their logs.
    pub(crate) is_quiet: Cell<bool>,
    /// How often a piece of a log was requested.
    pub log_requests: Cell<usize>,
    changed: Notify,
}

impl MockBuilder {
    /// Returns a builder that builds each name once.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Returns a builder that builds a name as often as it is asked to, always with the same outcome.
    pub fn allowing_repeats() -> Rc<Self> {
        Rc::new(Self {
            allows_repeats: true,
            ..Self::default()
        })
    }

    /// Ends the build of `name`, now or when it starts.
    ///
    /// # Panics
    /// When its outcome was decided before, or it was cancelled.
    pub fn end(&self, name: &str, outcome: BuildOutcome) {
        assert!(
            self.allows_repeats || !contains(&self.cancelled, name),
            "the build of {name:?} was cancelled"
        );
        let old = self.outcomes.borrow_mut().insert(name.to_owned(), outcome);
        assert!(
            self.allows_repeats || old.is_none(),
            "the outcome of {name:?} was decided twice"
        );
        self.changed.notify_waiters();
    }

    /// Adds this many bytes to each log before its last line, and lets no answer have more than [`PIECE`] bytes of it.
    pub fn fill_logs(&self, size: usize) {
        self.log_filling.set(size);
    }

    /// Has jobs write nothing to their logs.
    pub fn print_nothing(&self) {
        self.is_quiet.set(true);
    }

    /// Returns the most bytes of a log that one answer has.
    pub(crate) fn max_piece(&self) -> usize {
        if self.log_filling.get() > 0 {
            PIECE
        } else {
            usize::MAX
        }
    }

    /// Returns which builds have started, in order, as "worker name".
    pub fn started(&self) -> Vec<String> {
        self.started.borrow().clone()
    }

    /// Returns how many builds are running.
    pub fn running(&self) -> usize {
        self.running.get()
    }

    /// Waits until a build has started, by its name or as "worker name".
    pub async fn starts(&self, build: &str) {
        crate::until(&format!("{build} starts"), async || {
            contains(&self.started, build)
        })
        .await;
    }

    /// Waits until a build was cancelled, by its name or as "worker name".
    pub async fn is_cancelled(&self, build: &str) {
        crate::until(&format!("{build} is cancelled"), async || {
            contains(&self.cancelled, build)
        })
        .await;
    }

    pub(crate) fn record_start(&self, worker: &str, name: &str) {
        assert!(
            self.allows_repeats || !contains(&self.started, name),
            "{name:?} is built twice"
        );
        self.started.borrow_mut().push(format!("{worker} {name}"));
        self.running.set(self.running.get() + 1);
    }

    pub(crate) fn record_cancellation(&self, worker: &str, name: &str) {
        self.cancelled.borrow_mut().push(format!("{worker} {name}"));
    }

    pub(crate) fn record_end(&self) {
        self.running.set(self.running.get() - 1);
    }

    /// Waits until the outcome of `name` is decided.
    pub(crate) async fn outcome(&self, name: &str) -> BuildOutcome {
        loop {
            let changed = self.changed.notified();
            if let Some(outcome) = self.outcomes.borrow().get(name) {
                return *outcome;
            }
            changed.await;
        }
    }
}

/// Returns whether a list has a build, by its name or as "worker name".
fn contains(list: &RefCell<Vec<String>>, build: &str) -> bool {
    let suffix = format!(" {build}");
    let list = list.borrow();
    list.iter()
        .any(|other| other == build || other.ends_with(&suffix))
}
