//! Finds the steps of a Docker build in its output.
//!
//! A job writes most of that output, so what is found here is shown to people, and decides nothing. Lines are read up
//! to a limit, and there is a limit for the steps.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cluster_api::{MAX_PHASES, PhaseKind};

use crate::timeline::{PhaseId, StepEvent};

/// How much of a line is read, in bytes.
const MAX_LINE_BYTES: usize = 1024;

/// What writes the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepFormat {
    /// BuildKit, with `--progress=plain`.
    BuildKit,
    /// The classic builder.
    Classic,
}

/// Reads the output of one build.
#[derive(Debug)]
pub(crate) struct StepReader {
    format: StepFormat,
    /// The beginning of the line that is not complete.
    line: Vec<u8>,
    line_offset: u64,
    /// The steps by number. One without a phase was one too many, or is not shown.
    steps: BTreeMap<u32, Option<PhaseId>>,
    /// Those that have not ended.
    open: Vec<PhaseId>,
}

impl StepReader {
    pub(crate) fn new(format: StepFormat) -> Self {
        Self {
            format,
            line: Vec::new(),
            line_offset: 0,
            steps: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// Returns the phases that have not ended.
    pub(crate) fn open_phases(&self) -> impl Iterator<Item = PhaseId> + '_ {
        self.open.iter().copied()
    }

    /// Reads more output, which is at an offset of the log. `event` returns the id of a step that begins, unless it is
    /// not recorded.
    pub(crate) fn push(
        &mut self,
        offset: u64,
        bytes: &[u8],
        mut event: impl FnMut(StepEvent) -> Option<PhaseId>,
    ) {
        let mut at = offset;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.is_empty() {
                self.line_offset = at;
            }
            let room = MAX_LINE_BYTES - self.line.len();
            self.line.extend(piece.iter().take(room));
            at += piece.len() as u64;
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let text = String::from_utf8_lossy(&line);
                match self.format {
                    StepFormat::BuildKit => self.buildkit_line(text.trim_end(), &mut event),
                    StepFormat::Classic => self.classic_line(text.trim_end(), &mut event),
                }
            }
        }
    }

    fn begin(
        &mut self,
        number: u32,
        kind: PhaseKind,
        name: String,
        event: &mut impl FnMut(StepEvent) -> Option<PhaseId>,
    ) {
        if self.steps.len() >= MAX_PHASES || self.steps.contains_key(&number) {
            return;
        }
        let offset = self.line_offset;
        let id = event(StepEvent::Begin { kind, name, offset });
        self.steps.insert(number, id);
        self.open.extend(id);
    }

    fn cached(&self, number: u32, event: &mut impl FnMut(StepEvent) -> Option<PhaseId>) {
        if let Some(Some(id)) = self.steps.get(&number) {
            event(StepEvent::Cached(*id));
        }
    }

    fn end(&mut self, number: u32, event: &mut impl FnMut(StepEvent) -> Option<PhaseId>) {
        if let Some(Some(id)) = self.steps.get(&number) {
            self.open.retain(|open| open != id);
            event(StepEvent::End(*id));
        }
    }

    /// Reads `#7 [build 2/5] RUN make`, and what follows of number 7.
    fn buildkit_line(&mut self, line: &str, event: &mut impl FnMut(StepEvent) -> Option<PhaseId>) {
        let Some((number, text)) = numbered(line) else {
            return;
        };
        if text == "CACHED" {
            self.cached(number, event);
            self.end(number, event);
        } else if text.starts_with("DONE ") || text.starts_with("ERROR: ") || text == "CANCELED" {
            self.end(number, event);
        } else if let Some((kind, name)) = buildkit_step(text) {
            self.begin(number, kind, name, event);
        }
    }

    /// Reads `Step 2/5 : RUN make`, which ends the step before.
    fn classic_line(&mut self, line: &str, event: &mut impl FnMut(StepEvent) -> Option<PhaseId>) {
        let current = self.steps.last_key_value().map_or(0, |(number, _)| *number);
        if line == " ---> Using cache" {
            self.cached(current, event);
        } else if line.starts_with("Successfully built ") {
            self.end(current, event);
        } else if let Some((number, name)) = classic_step(line)
            // The output of a step may look like this, too.
            && number == current.saturating_add(1)
        {
            self.end(current, event);
            let kind = kind_of(name.split_once(' ').map_or("", |(_, op)| op));
            self.begin(number, kind, name, event);
        }
    }
}

/// Reads the number before a line of BuildKit's.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, text) = line.strip_prefix('#')?.split_once(' ')?;
    Some((number.parse().ok()?, text))
}

/// Returns the step that a line of BuildKit's begins, if it is one to show.
fn buildkit_step(text: &str) -> Option<(PhaseKind, String)> {
    if text.starts_with("exporting to ") {
        return Some((PhaseKind::Step, text.to_owned()));
    }
    let (label, op) = text.strip_prefix('[')?.split_once("] ")?;
    if label == "internal" {
        let image = op.strip_prefix("load metadata for ")?;
        return Some((PhaseKind::Image, image.to_owned()));
    }
    // Numbers are aligned: "[build  2/10]".
    let mut words: Vec<&str> = label.split_whitespace().collect();
    let (nth, of) = words.last()?.split_once('/')?;
    let _: (u32, u32) = (nth.parse().ok()?, of.parse().ok()?);
    words.push(op);
    Some((kind_of(op), words.join(" ")))
}

/// Returns the number and the name of the step that a line of the classic builder begins.
fn classic_step(line: &str) -> Option<(u32, String)> {
    let (count, op) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (nth, of) = count.split_once('/')?;
    let (nth, of): (u32, u32) = (nth.parse().ok()?, of.parse().ok()?);
    (nth <= of).then(|| (nth, format!("{count} {op}")))
}

/// Returns the kind of the phase of an instruction.
fn kind_of(op: &str) -> PhaseKind {
    let is_from = op
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case("FROM "));
    if is_from {
        PhaseKind::Image
    } else {
        PhaseKind::Step
    }
}
