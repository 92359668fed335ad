//! Kills this process at a named point, so that tests can show that nothing is lost by that. Debug builds only.
//!
//! The points are events of the target `crash-point`, with the name in the field `point`, and in `of` what it is about:
//!
//! ```text
//! tracing::trace!(target: "crash-point", point = "before-commit", of = "submission");
//! ```
//!
//! The variable `CRASH_POINT` names one and how often it is passed before that: `before-commit/submission:3`. A release
//! build does not read it, and has nothing that listens to these events.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The target of the events.
pub(super) const TARGET: &str = "crash-point";

const VARIABLE: &str = "CRASH_POINT";

/// Where to kill this process.
#[derive(Debug)]
pub(super) struct CrashPoint {
    name: String,
    /// How often it is passed before.
    left: AtomicU32,
}

impl CrashPoint {
    /// Returns the point that the environment names; in a release build, none.
    pub(super) fn from_env() -> Option<Self> {
        if !cfg!(debug_assertions) {
            return None;
        }
        Self::parse(&std::env::var(VARIABLE).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, left) = text.split_once(':').unwrap_or((text, "0"));
        Some(Self {
            name: name.to_owned(),
            left: AtomicU32::new(left.parse().ok()?),
        })
    }

    /// Returns whether the process is to end here.
    fn is_reached(&self, point: &str) -> bool {
        let passes = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        point == self.name && self.left.fetch_update(order, order, passes).is_err()
    }
}

impl<S: Subscriber> Layer<S> for CrashPoint {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut point = Point::default();
        event.record(&mut point);
        if self.is_reached(&point.0) {
            // No process is forbidden to kill itself.
            let _: Result<(), _> = kill_process(getpid(), Signal::KILL);
        }
    }
}

/// The name of an event's point: the values of its fields.
#[derive(Default)]
struct Point(String);

impl Visit for Point {
    fn record_str(&mut self, _: &Field, value: &str) {
        if !self.0.is_empty() {
            self.0.push('/');
        }
        self.0.push_str(value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_reached_after_it_was_passed_so_often() {
        let crash = CrashPoint::parse("before-commit/end:2").unwrap();
        let points = ["before-commit/end", "after-commit/end"].repeat(3);
        let reached: Vec<bool> = points.iter().map(|point| crash.is_reached(point)).collect();
        assert_eq!(reached, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_point_without_a_number_is_reached_at_once() {
        assert!(
            CrashPoint::parse("during-pruning")
                .unwrap()
                .is_reached("during-pruning")
        );
        assert!(CrashPoint::parse("during-pruning:often").is_none());
    }
}
