//! Why a job waits, and until when.

use std::time::Duration;

use cluster_api::Explanation;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::time;

/// Why a job waits, and when it is expected to start.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Waiting {
    /// The reason, as a word for programs.
    pub kind: String,
    /// The reason for people, in one line.
    pub text: String,
    /// How many jobs are ahead of it.
    pub ahead: u32,
    /// How many of those are urgent.
    pub urgent_ahead: u32,
    /// How many of those are of the same client.
    pub own_ahead: u32,
    /// When it is expected to start; null if that is not known.
    pub start: Option<Range>,
    /// When it is expected to end; null if that is not known.
    pub end: Option<Range>,
}

/// A range of times from now on, in which four of five such events are.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Range {
    /// The earliest.
    pub from_seconds: f64,
    /// The latest.
    pub to_seconds: f64,
}

impl Waiting {
    /// Returns an explanation as a page has it.
    pub fn of(explanation: &Explanation) -> Self {
        let Explanation {
            kind,
            text,
            ahead,
            urgent_ahead,
            own_ahead,
            forecast,
        } = explanation;
        Self {
            kind: kind.clone(),
            text: text.clone(),
            ahead: *ahead,
            urgent_ahead: *urgent_ahead,
            own_ahead: *own_ahead,
            start: forecast.map(|forecast| Range::of(forecast.start)),
            end: forecast.map(|forecast| Range::of(forecast.end)),
        }
    }
}

impl Range {
    fn of((from, to): (Duration, Duration)) -> Self {
        Self {
            from_seconds: from.as_secs_f64(),
            to_seconds: to.as_secs_f64(),
        }
    }

    /// Returns the range for people: `in 2m00s–5m00s`, or `within 5m00s` if it begins now.
    pub fn text(&self) -> String {
        let (from, to) = (time(self.from_seconds), time(self.to_seconds));
        match self.from_seconds < 1.0 {
            true => format!("within {to}"),
            false if from == to => format!("in {to}"),
            false => format!("in {from}–{to}"),
        }
    }
}
