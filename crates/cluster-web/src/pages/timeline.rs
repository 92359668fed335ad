//! What a job did when.

use std::fmt::Write as _;

use cluster_api::Phase;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::{percent, time};

/// What a job did when, from its submission on.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Timeline {
    /// The parts, in their order.
    pub parts: Vec<Part>,
}

/// A part of what a job did.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Part {
    /// What kind it is: `queued`, `source`, `image`, `step`, `push` or `run`.
    pub kind: String,
    /// What was done, such as the step; empty for nothing more than its kind.
    pub name: String,
    /// When it began, after the submission of the job.
    pub started_seconds: f64,
    /// How long it took, or takes so far.
    pub seconds: f64,
    /// Whether it has not ended.
    pub is_running: bool,
    /// Whether its result was already there.
    pub cached: bool,
}

/// An attempt, as far as a timeline needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct AttemptTimes {
    /// When it began, after the submission of the job.
    pub started_seconds: f64,
    /// How long it took, or takes so far.
    pub ran_seconds: f64,
    /// Whether it has not ended.
    pub is_running: bool,
}

impl Part {
    /// Returns the part for a phase of an attempt.
    pub fn of(phase: &Phase, attempt: AttemptTimes) -> Self {
        let Phase {
            kind,
            name,
            log_offset: _,
            started,
            ended,
            cached,
        } = phase;
        let started = started.as_secs_f64();
        // A phase without an end ended with its attempt, at the latest.
        let end = ended.map_or(attempt.ran_seconds, |ended| ended.as_secs_f64());
        Self {
            kind: kind.to_string(),
            name: name.clone(),
            started_seconds: attempt.started_seconds + started,
            seconds: (end - started).max(0.0),
            is_running: attempt.is_running && ended.is_none(),
            cached: *cached,
        }
    }

    fn title(&self) -> String {
        let Self {
            kind,
            name,
            is_running,
            cached,
            ..
        } = self;
        let took = time(self.seconds);
        let remark = match (is_running, cached) {
            (true, _) => " so far",
            (false, true) => " (cached)",
            (false, false) => "",
        };
        let space = if name.is_empty() { "" } else { " " };
        format!("{kind}{space}{name}: {took}{remark}")
    }

    pub(super) fn took(&self) -> String {
        time(self.seconds)
    }
}

impl Timeline {
    /// Returns the timeline as SVG.
    pub(super) fn svg(&self) -> String {
        let ends = self
            .parts
            .iter()
            .map(|part| part.started_seconds + part.seconds);
        let end = ends.fold(0.0, f64::max);
        let mut svg = String::from("<svg class=\"timeline\" role=\"img\" aria-label=\"Timeline\">");
        for part in &self.parts {
            let x = percent(part.started_seconds, end);
            // What is short can be seen, too.
            let width = percent(part.seconds, end).max(0.3);
            let kind = crate::log::escaped(&part.kind);
            let running = if part.is_running { " now" } else { "" };
            let title = crate::log::escaped(&visible::Shown(&part.title()).to_string());
            write!(
                svg,
                "<rect class=\"p-{kind}{running}\" x=\"{x:.2}%\" width=\"{width:.2}%\" height=\"100%\">\
                 <title>{title}</title></rect>"
            )
            .unwrap_or_default();
        }
        svg.push_str("</svg>");
        svg
    }

    /// Returns whether there is more to see than one part.
    pub(super) fn is_worth_showing(&self) -> bool {
        self.parts.len() > 1
    }
}
