//! Why a worker takes no jobs.

use std::fmt;
use std::time::Duration;

use cluster_api::{InactiveReason, Pause, PauseReason};
use visible::{CompactElapsed, Shown, counted};

use crate::details;

/// How many of the problems of a worker are in a text.
const MAX_PROBLEMS: usize = 3;

/// An operator's pause, with what is known about it.
pub(super) type OperatorPause = Option<Pause>;

/// Why a worker takes no jobs.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// It paused itself, for these reasons.
    Itself(Vec<PauseReason>),
    /// An operator paused it.
    Operator(OperatorPause),
    /// An operator paused it until it reconnects.
    UntilReconnect(OperatorPause),
    /// It is about to be updated.
    Updating,
    /// It has not answered for so long.
    Unresponsive(Duration),
}

impl Cause {
    /// Returns the reason by itself.
    pub(super) fn reason(&self) -> InactiveReason {
        match self {
            Self::Itself(_) => InactiveReason::WorkerPause,
            Self::Operator(_) => InactiveReason::AdminPause,
            Self::UntilReconnect(_) => InactiveReason::TemporaryPause,
            Self::Updating => InactiveReason::ShuttingDown,
            Self::Unresponsive(_) => InactiveReason::NotAnswering,
        }
    }

    /// Returns whether `ocluster-admin unpause` ends it.
    pub(super) fn is_by_operator(&self) -> bool {
        matches!(self, Self::Operator(_) | Self::UntilReconnect(_))
    }
}

/// Returns the word for some causes: that of them all, or a general one.
pub(super) fn kind_of<'a>(causes: impl IntoIterator<Item = &'a Cause>) -> &'static str {
    let mut words = causes
        .into_iter()
        .map(|cause| details::word(cause.reason()));
    let first = words.next().unwrap_or("paused");
    match words.all(|word| word == first) {
        true => first,
        false => "paused",
    }
}

/// Causes in a list.
pub(super) struct Causes<'a>(pub(super) &'a [Cause]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, cause) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { ", " };
            write!(f, "{separator}{cause}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself(reasons) if reasons.is_empty() => {
                f.write_str("paused by itself (see its log)")
            }
            Self::Itself(reasons) => write_problems(f, reasons),
            Self::Operator(pause) => write_pause(f, pause.as_ref(), ""),
            Self::UntilReconnect(pause) => write_pause(f, pause.as_ref(), ", until it reconnects"),
            Self::Updating => f.write_str("about to be updated"),
            Self::Unresponsive(time) => write!(
                f,
                "has not answered for {} (check the machine and its network)",
                CompactElapsed(*time)
            ),
        }
    }
}

fn write_problems(f: &mut fmt::Formatter<'_>, reasons: &[PauseReason]) -> fmt::Result {
    for (nth, reason) in reasons.iter().take(MAX_PROBLEMS).enumerate() {
        let separator = if nth == 0 { "" } else { ", " };
        write!(f, "{separator}{}", Shown(&reason.problem))?;
        if !reason.advice.is_empty() {
            write!(f, " ({})", Shown(&reason.advice))?;
        }
    }
    match reasons.len().saturating_sub(MAX_PROBLEMS) {
        0 => Ok(()),
        more => write!(f, ", and {}", counted(more, "other problem")),
    }
}

fn write_pause(f: &mut fmt::Formatter<'_>, pause: Option<&Pause>, until: &str) -> fmt::Result {
    let Some(Pause { lasting, by, note }) = pause else {
        return write!(f, "paused by an operator{until}");
    };
    match by.as_str() {
        "" => f.write_str("paused by an operator")?,
        by => write!(f, "paused by {}", Shown(by))?,
    }
    write!(f, " {} ago{until}", CompactElapsed(*lasting))?;
    match note.as_str() {
        "" => Ok(()),
        note => write!(f, ": \"{}\"", Shown(note)),
    }
}
