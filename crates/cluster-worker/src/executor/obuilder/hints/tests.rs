//! Hints of builds, in a store of which the test says what it has.

use std::cell::RefCell;
use std::collections::HashSet;

use super::*;

/// A worker with a store.
struct Worker {
    directory: tempfile::TempDir,
    results: RefCell<HashSet<StepId>>,
    hints: BuiltHints,
}

fn result(hint: &str) -> StepId {
    StepId::of(hint.as_bytes())
}

fn hints(hints: &[&str]) -> Option<Pruned> {
    Some(Pruned::Hints(
        hints.iter().map(|&hint| hint.to_owned()).collect(),
    ))
}

impl Worker {
    /// Returns a new one, whose scheduler knows that nothing is cached.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut worker = Self {
            hints: BuiltHints::open(&directory.path().join("hints"), true),
            directory,
            results: RefCell::default(),
        };
        assert_eq!(worker.hints.unreported(), Some(Pruned::All));
        worker.hints.reported(&Pruned::All);
        assert_eq!(worker.hints.unreported(), None);
        worker
    }

    fn build(&mut self, hint: &str) {
        self.hints.begin(hint);
        self.results.get_mut().insert(result(hint));
        self.hints.end(hint, Some(result(hint)));
    }

    fn fail(&mut self, hint: &str) {
        self.hints.begin(hint);
        self.hints.end(hint, None);
    }

    fn prune(&mut self, hint: &str) {
        self.results.get_mut().remove(&result(hint));
        self.check(true);
    }

    fn check(&mut self, is_pruned: bool) {
        let results = self.results.borrow();
        self.hints.check(is_pruned, |id| results.contains(id));
    }

    fn restart(&mut self) {
        let is_empty = self.results.borrow().is_empty();
        self.hints = BuiltHints::open(&self.directory.path().join("hints"), is_empty);
        self.check(false);
    }

    fn reported(&mut self) {
        let unreported = self.hints.unreported().unwrap();
        self.hints.reported(&unreported);
        assert_eq!(self.hints.unreported(), None);
    }
}

#[test]
fn a_hint_is_lost_with_its_result_and_found_with_its_next_build() {
    let mut worker = Worker::new();
    for hint in ["a", "b", "c", ""] {
        worker.build(hint);
    }
    assert_eq!(worker.hints.unreported(), None);
    worker.prune("b");
    worker.prune("");
    assert_eq!(worker.hints.unreported(), hints(&["b"]));
    worker.prune("c");
    assert_eq!(worker.hints.unreported(), hints(&["b", "c"]));
    worker.build("b");
    assert_eq!(worker.hints.unreported(), hints(&["c"]));
    worker.reported();
    // A failed build leaves the result of the one before.
    worker.fail("a");
    worker.prune("c");
    assert_eq!(worker.hints.unreported(), None);
    worker.prune("a");
    assert_eq!(worker.hints.unreported(), hints(&["a"]));
}

#[test]
fn what_is_being_built_is_lost_at_its_end_or_not_at_all() {
    let mut worker = Worker::new();
    worker.build("a");
    worker.build("b");
    worker.hints.begin("a");
    worker.hints.begin("b");
    worker.prune("a");
    worker.prune("b");
    assert_eq!(worker.hints.unreported(), None);
    worker.results.get_mut().insert(result("a"));
    worker.hints.end("a", Some(result("a")));
    // One that fails has cached some of its steps again.
    worker.hints.end("b", None);
    assert_eq!(worker.hints.unreported(), None);
}

#[test]
fn the_steps_of_what_has_only_failed_may_be_gone_with_any_result() {
    let mut worker = Worker::new();
    worker.build("a");
    worker.fail("b");
    worker.check(false);
    assert_eq!(worker.hints.unreported(), None);
    worker.prune("a");
    assert_eq!(worker.hints.unreported(), hints(&["a", "b"]));
}

#[test]
fn a_restarted_worker_knows_what_it_had_and_what_it_has_not_told() {
    let mut worker = Worker::new();
    for hint in ["a", "b", "c", "d"] {
        worker.build(hint);
    }
    worker.prune("a");
    worker.reported();
    worker.prune("b");
    // While it was stopped, its operator has pruned the store.
    worker.results.get_mut().remove(&result("c"));
    worker.restart();
    assert_eq!(worker.hints.unreported(), hints(&["b", "c"]));
    worker.restart();
    assert_eq!(worker.hints.unreported(), hints(&["b", "c"]));
    worker.reported();
    worker.restart();
    assert_eq!(worker.hints.unreported(), None);
    worker.prune("d");
    assert_eq!(worker.hints.unreported(), hints(&["d"]));
}

#[test]
fn a_worker_that_cannot_know_what_it_had_claims_nothing_once_results_are_gone() {
    let mut worker = Worker::new();
    worker.build("a");
    let path = worker.directory.path().join("hints");
    // As one that was updated from a version without the file.
    std::fs::remove_file(&path).unwrap();
    worker.restart();
    worker.build("b");
    worker.restart();
    assert_eq!(worker.hints.unreported(), None);
    worker.prune("a");
    assert_eq!(worker.hints.unreported(), Some(Pruned::All));
    worker.restart();
    worker.prune("a");
    assert_eq!(worker.hints.unreported(), Some(Pruned::All));
    worker.reported();
    worker.restart();
    worker.prune("b");
    assert_eq!(worker.hints.unreported(), hints(&["b"]));
    // As one that was killed while it wrote.
    worker.build("c");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    worker.restart();
    worker.prune("c");
    assert_eq!(worker.hints.unreported(), Some(Pruned::All));
}

#[test]
fn what_was_built_longest_ago_is_forgotten_and_counts_as_lost() {
    let mut worker = Worker::new();
    for number in 0..MAX_HINTS {
        worker.build(&number.to_string());
    }
    worker.build("0");
    assert_eq!(worker.hints.unreported(), None);
    worker.build("new");
    assert_eq!(worker.hints.unreported(), hints(&["1"]));
    worker.reported();
    let long = "x".repeat(MAX_HINT_BYTES);
    worker.build(&long);
    worker.build(&format!("{long}x"));
    assert_eq!(worker.hints.unreported(), hints(&["2"]));
    for number in 0..MAX_BYTES / MAX_HINT_BYTES {
        worker.build(&format!("{number}{}", &long[10..]));
    }
    assert!(worker.hints.known.bytes <= MAX_BYTES);
    // Too many to be named.
    for number in 0..2 * MAX_HINTS {
        worker.build(&format!("more {number}"));
    }
    assert_eq!(worker.hints.unreported(), Some(Pruned::All));
    let length = std::fs::metadata(worker.directory.path().join("hints"));
    assert!(length.unwrap().len() < 32 << 20);
}

#[test]
fn a_worker_whose_disk_refuses_the_file_goes_on_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/hints");
    let mut hints = BuiltHints::open(&path, false);
    hints.begin("a");
    hints.end("a", Some(result("a")));
    hints.check(true, |_| false);
    assert_eq!(hints.unreported(), Some(Pruned::All));
}
