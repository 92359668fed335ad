//! When the parts of an attempt began and ended, and when its log was written.
//!
//! Nothing here reads a clock: all times are given, and count from the beginning of the attempt.

#[cfg(test)]
mod tests;

use std::time::Duration;

use cluster_api::{
    JobTimes, LogTime, MAX_KEPT_LOG_TIMES, MAX_LOG_TIMES, MAX_PHASE_NAME_BYTES, MAX_PHASES, Phase,
    PhaseKind,
};

/// How exact the times of a log are, until there are too many.
const LOG_TIME_INTERVAL: Duration = Duration::from_millis(100);

/// The phases and the log times of an attempt.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// Grows with each change of a phase.
    version: u64,
    phases: Vec<VersionedPhase>,
    log: Vec<LogTime>,
    /// The shortest time between two times of the log.
    interval: Duration,
    log_length: u64,
}

#[derive(Debug)]
struct VersionedPhase {
    phase: Phase,
    /// The version of its latest change.
    version: u64,
}

/// Identifies a phase of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PhaseId(usize);

/// What a line of the output of a build says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepEvent {
    /// A step begins, with the line at an offset. Its id is to be returned.
    Begin {
        kind: PhaseKind,
        name: String,
        offset: u64,
    },
    /// Its result was there already.
    Cached(PhaseId),
    End(PhaseId),
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            version: 0,
            phases: Vec::new(),
            log: Vec::new(),
            interval: LOG_TIME_INTERVAL,
            log_length: 0,
        }
    }
}

impl Timeline {
    /// A phase begins, whose output begins at an offset of the log. `None`: there are too many to record it.
    pub(crate) fn begin(
        &mut self,
        at: Duration,
        kind: PhaseKind,
        name: &str,
        log_offset: u64,
    ) -> Option<PhaseId> {
        if self.phases.len() >= MAX_PHASES {
            return None;
        }
        let id = PhaseId(self.phases.len());
        self.version += 1;
        self.phases.push(VersionedPhase {
            phase: Phase {
                kind,
                name: one_line(name),
                log_offset,
                started: at,
                ended: None,
                cached: false,
            },
            version: self.version,
        });
        Some(id)
    }

    /// Records what a line of the output says. Returns the id of a step that begins, unless it is not recorded.
    pub(crate) fn apply(&mut self, at: Duration, event: StepEvent) -> Option<PhaseId> {
        match event {
            StepEvent::Begin { kind, name, offset } => self.begin(at, kind, &name, offset),
            StepEvent::Cached(id) => {
                self.set_cached(id);
                None
            }
            StepEvent::End(id) => {
                self.end(at, id);
                None
            }
        }
    }

    /// The result of a phase was there already.
    pub(crate) fn set_cached(&mut self, id: PhaseId) {
        self.change(id, |phase| phase.cached = true);
    }

    /// A phase has ended, if it has not already.
    pub(crate) fn end(&mut self, at: Duration, id: PhaseId) {
        self.change(id, |phase| phase.ended = phase.ended.or(Some(at)));
    }

    /// The attempt has ended, and all its phases with it.
    pub(crate) fn end_all(&mut self, at: Duration) {
        for index in 0..self.phases.len() {
            self.end(at, PhaseId(index));
        }
    }

    fn change(&mut self, PhaseId(index): PhaseId, change: impl FnOnce(&mut Phase)) {
        let Some(versioned) = self.phases.get_mut(index) else {
            return;
        };
        let before = versioned.phase.clone();
        change(&mut versioned.phase);
        if versioned.phase != before {
            self.version += 1;
            versioned.version = self.version;
        }
    }

    /// The log got bytes at an offset, and has this length now.
    pub(crate) fn written(&mut self, at: Duration, offset: u64, length: u64) {
        self.log_length = length;
        let is_due = |last: &LogTime| at.saturating_sub(last.at) >= self.interval;
        if !self.log.last().is_none_or(is_due) {
            return;
        }
        if self.log.len() >= MAX_KEPT_LOG_TIMES {
            let mut index = 0;
            self.log.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.interval *= 2;
        }
        self.log.push(LogTime { offset, at });
    }

    /// Returns the phases that have changed after a version, and the times of the log from an offset on: as many as fit
    /// into an answer.
    pub(crate) fn since(&self, version: u64, offset: u64) -> JobTimes {
        let first = self.log.partition_point(|time| time.offset < offset);
        let rest = self.log.get(first..).unwrap_or_default();
        let log = rest.get(..MAX_LOG_TIMES).unwrap_or(rest);
        let following = rest.get(MAX_LOG_TIMES);
        JobTimes {
            log: log.to_vec(),
            log_length: following.map_or(self.log_length, |time| time.offset),
            ..self.changed_after(version)
        }
    }

    /// Returns all of it, to keep it.
    pub(crate) fn all(&self) -> JobTimes {
        JobTimes {
            log: self.log.clone(),
            log_length: self.log_length,
            ..self.changed_after(0)
        }
    }

    fn changed_after(&self, version: u64) -> JobTimes {
        let phases = (0..).zip(&self.phases);
        let changed = phases.filter(|(_, versioned)| versioned.version > version);
        JobTimes {
            version: self.version,
            phases: changed
                .map(|(number, versioned)| (number, versioned.phase.clone()))
                .collect(),
            log: Vec::new(),
            log_length: 0,
        }
    }

    /// Returns the timeline of an attempt of an earlier process, of whose log so much was kept.
    pub(crate) fn restored(kept: JobTimes, log_length: u64) -> Self {
        let JobTimes {
            version,
            phases,
            mut log,
            log_length: _,
        } = kept;
        log.retain(|time| time.offset < log_length);
        let phases = phases
            .into_iter()
            .map(|(_, phase)| VersionedPhase { phase, version });
        Self {
            version,
            phases: phases.collect(),
            log,
            interval: LOG_TIME_INTERVAL,
            log_length,
        }
    }
}

/// Returns a text as the name of a phase: its first line, and not all of a long one.
fn one_line(text: &str) -> String {
    const ELLIPSIS: usize = '…'.len_utf8();
    let text = text.trim();
    let (line, rest) = text.split_once(['\n', '\r']).unwrap_or((text, ""));
    let line = visible::shortened(line, MAX_PHASE_NAME_BYTES - 2 * ELLIPSIS);
    match rest.is_empty() {
        true => line.into_owned(),
        false => format!("{} …", line.trim_end_matches('…')),
    }
}
