//! The named points of our programs at which they kill themselves.

/// A named point of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) of_worker: bool,
    pub(crate) name: &'static str,
}

const fn scheduler(name: &'static str) -> Point {
    Point {
        of_worker: false,
        name,
    }
}

/// The points of our programs. Each must have been reached after all rounds.
pub(crate) const POINTS: [Point; 15] = [
    scheduler("before-commit/submission"),
    scheduler("after-commit/submission"),
    scheduler("before-commit/assignment"),
    scheduler("after-commit/assignment"),
    scheduler("before-commit/end"),
    scheduler("after-commit/end"),
    scheduler("before-commit/retry"),
    scheduler("after-commit/retry"),
    scheduler("before-archive-rename"),
    scheduler("after-archive-rename"),
    scheduler("after-upload"),
    scheduler("after-upload-noted"),
    scheduler(DURING_PRUNING),
    scheduler(AFTER_PRUNING),
    Point {
        of_worker: true,
        name: "before-outcome",
    },
];

const DURING_PRUNING: &str = "during-pruning";
pub(crate) const AFTER_PRUNING: &str = "after-pruning";

/// How many rounds in a row have different targets: each point, and some without one.
pub(crate) const CYCLE: u64 = POINTS.len() as u64 + 5;
