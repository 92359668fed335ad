//! A job, and all that its client has seen of it. Nothing of that may turn out to be wrong later.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use cluster_api::{DurableOutcome, Outcome};

use crate::plan::{JobPlan, Work};

/// How many bytes of a log to show where it has changed.
const EXCERPT: usize = 60;

/// What a client has seen of a job.
pub(crate) struct SeenJob {
    pub(crate) plan: JobPlan,
    id: RefCell<Option<String>>,
    /// The client was told that it is cancelled.
    is_cancelled: Cell<bool>,
    /// The client has asked for that, and may have got no answer.
    pub(crate) may_be_cancelled: Cell<bool>,
    /// The logs of its attempts, from the beginning.
    logs: RefCell<BTreeMap<u32, Vec<u8>>>,
    end: RefCell<Option<(u32, DurableOutcome)>>,
    /// What its client is doing, for reports.
    pub(crate) doing: Cell<&'static str>,
}

impl SeenJob {
    pub(crate) fn new(plan: JobPlan) -> Self {
        Self {
            plan,
            id: RefCell::default(),
            is_cancelled: Cell::default(),
            may_be_cancelled: Cell::default(),
            logs: RefCell::default(),
            end: RefCell::default(),
            doing: Cell::new("nothing"),
        }
    }

    /// Returns its id; empty before it has one.
    pub(crate) fn id(&self) -> String {
        self.id.borrow().clone().unwrap_or_default()
    }

    /// Returns what is known of it, in a line.
    pub(crate) fn describe(&self) -> String {
        let logs = self.logs.borrow();
        let lengths: Vec<_> = logs
            .iter()
            .map(|(attempt, log)| format!("{attempt}: {} bytes", log.len()))
            .collect();
        format!(
            "job {} ({:?}, id {:?}, {}): logs [{}], end {:?}",
            self.plan.name,
            self.plan.work,
            self.id(),
            self.doing.get(),
            lengths.join(", "),
            self.end.borrow(),
        )
    }

    fn fail(&self, expected: &str, found: &str) -> String {
        format!("expected {expected}, found {found}\n{}", self.describe())
    }

    /// The scheduler has accepted it.
    pub(crate) fn is_accepted_as(&self, id: String) -> Result<(), String> {
        let known = self.id.borrow().clone();
        match known {
            Some(known) if self.plan.has_key && known != id => {
                Err(self.fail("the same job for the same key", &id))
            }
            _ => {
                *self.id.borrow_mut() = Some(id);
                Ok(())
            }
        }
    }

    /// The client was told that it is cancelled.
    pub(crate) fn is_reported_as_cancelled(&self) {
        self.is_cancelled.set(true);
    }

    /// Returns how many of its own lines the client has.
    pub(crate) fn lines(&self) -> usize {
        let logs = self.logs.borrow();
        logs.values()
            .map(|log| count_lines(log, &self.plan.name))
            .sum()
    }

    /// Returns its end, and the logs of its attempts in their order.
    pub(crate) fn seen(&self) -> Option<(DurableOutcome, Vec<Vec<u8>>)> {
        let (attempts, outcome) = self.end.borrow().clone()?;
        let logs = self.logs.borrow();
        let log = |attempt| logs.get(&attempt).cloned().unwrap_or_default();
        Some((outcome, (1..=attempts).map(log).collect()))
    }

    /// Returns how much of all logs the client has.
    pub(crate) fn logs_length(&self) -> usize {
        self.logs.borrow().values().map(Vec::len).sum()
    }

    /// Returns how much of an attempt's log the client has.
    pub(crate) fn log_length(&self, attempt: u32) -> u64 {
        let logs = self.logs.borrow();
        logs.get(&attempt).map_or(0, |log| log.len() as u64)
    }

    /// The client has read a part of an attempt's log. What it has read before must be the same.
    pub(crate) fn shows(&self, attempt: u32, start: u64, bytes: &[u8]) -> Result<(), String> {
        let mut logs = self.logs.borrow_mut();
        let log = logs.entry(attempt).or_default();
        let start = usize::try_from(start).expect("a short log");
        let known = log.get(start..).unwrap_or_default();
        let is_gap = start > log.len();
        let common = known.len().min(bytes.len());
        let differing = known.iter().zip(bytes).position(|(was, now)| was != now);
        if let Some(at) = differing.or(is_gap.then_some(0)) {
            let excerpt = |bytes: &[u8]| {
                let excerpt: Vec<u8> = bytes.iter().skip(at).take(EXCERPT).copied().collect();
                String::from_utf8_lossy(&excerpt).into_owned()
            };
            let expected = format!("{:?} in log {attempt} at {}", excerpt(known), start + at);
            let found = format!("{:?}", excerpt(bytes));
            drop(logs);
            return Err(self.fail(&expected, &found));
        }
        log.extend_from_slice(&bytes[common..]);
        Ok(())
    }

    /// An attempt's log has ended after so many bytes.
    pub(crate) fn log_ends_at(&self, attempt: u32, length: u64) -> Result<(), String> {
        match self.log_length(attempt) {
            known if known > length && !self.plan.loses_log => {
                let expected = format!("{known} bytes of log {attempt}");
                Err(self.fail(&expected, &format!("{length}")))
            }
            _ => Ok(()),
        }
    }

    /// The client has seen its end.
    pub(crate) fn has_ended(&self, attempt: u32, outcome: DurableOutcome) -> Result<(), String> {
        let known = self.end.borrow().clone();
        let now = (attempt, outcome);
        match known {
            Some(known) if known != now => {
                Err(self.fail(&format!("the same end {known:?}"), &format!("{now:?}")))
            }
            _ => {
                *self.end.borrow_mut() = Some(now);
                Ok(())
            }
        }
    }

    /// Returns the number of its latest attempt; 0 before its end is known.
    pub(crate) fn attempts(&self) -> u32 {
        self.end
            .borrow()
            .as_ref()
            .map_or(0, |(attempt, _)| *attempt)
    }

    /// Returns how often it was run.
    pub(crate) fn runs(&self, folder: &Path) -> u32 {
        count(&folder.join("begun"), &self.plan.name)
    }

    /// Returns how often it has printed all its lines.
    pub(crate) fn whole_runs(&self, folder: &Path) -> u32 {
        count(&folder.join("done"), &self.plan.name)
    }

    /// Checks its end, and what it left in the folder of side effects. `kills` is how often something was killed, and
    /// `kills_of_workers` how often a worker was.
    pub(crate) fn check(
        &self,
        folder: &Path,
        kills: u32,
        kills_of_workers: u32,
    ) -> Result<(), String> {
        let Some((attempts, outcome)) = self.end.borrow().clone() else {
            return Err(self.fail("an outcome", "none"));
        };
        let allowed = u32::from(self.plan.attempts.get()) + kills;
        if attempts > allowed {
            return Err(self.fail(
                &format!("at most {allowed} attempts"),
                &attempts.to_string(),
            ));
        }
        let runs = self.runs(folder);
        let whole_runs = self.whole_runs(folder);
        // Without a key, a submission that was not answered has made another job of this name.
        let leaves_marks = self.plan.work.leaves_marks();
        let has_marks = self.plan.has_key && leaves_marks;
        if has_marks && runs > attempts {
            return Err(self.fail(&format!("{attempts} runs"), &runs.to_string()));
        }
        // The jobs of a living worker continue while its connection is broken.
        if has_marks && kills_of_workers == 0 && runs > 1 {
            return Err(self.fail("one run", &runs.to_string()));
        }
        let expected_exit = self.plan.work.exit_code();
        let is_well = match &outcome {
            _ if self.is_cancelled.get() => outcome == DurableOutcome::CancelledByClient,
            DurableOutcome::CancelledByClient => self.may_be_cancelled.get(),
            DurableOutcome::Done(Outcome::Succeeded(_)) => {
                expected_exit == 0 && (!leaves_marks || whole_runs > 0)
            }
            DurableOutcome::Done(Outcome::Failed { exit_code, .. }) => {
                expected_exit != 0 && *exit_code == Some(expected_exit) && whole_runs > 0
            }
            // No round kills as often.
            _ => false,
        };
        if !is_well {
            let runs = format!("{outcome:?} after {whole_runs} whole runs");
            return Err(self.fail("an end that fits", &runs));
        }
        match outcome {
            DurableOutcome::Done(_) if !self.plan.loses_log => self.check_log(attempts),
            _ => Ok(()),
        }
    }

    /// Returns the numbers that an attempt has printed, as far as the client has its log.
    fn numbers(&self, attempt: u32) -> Vec<u32> {
        let logs = self.logs.borrow();
        let log = logs.get(&attempt).map(Vec::as_slice).unwrap_or_default();
        let begin = format!("{}: ", self.plan.name);
        // The last line may be cut off.
        let lines = String::from_utf8_lossy(log);
        let lines = lines
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .filter_map(|line| line.trim_end().strip_prefix(&begin)?.parse().ok())
            .collect()
    }

    /// Checks that the log of an attempt that has ended by itself is whole.
    fn check_log(&self, attempt: u32) -> Result<(), String> {
        let (lines, _) = self.plan.work.lines();
        let wrong = self
            .numbers(attempt)
            .into_iter()
            .map(Some)
            .chain([None])
            .zip((0..lines).map(Some).chain([None]))
            .find(|(found, expected)| found != expected);
        let logs = self.logs.borrow();
        let log = logs.get(&attempt).map(Vec::as_slice).unwrap_or_default();
        let log = String::from_utf8_lossy(log);
        // What an earlier attempt has built is not built again.
        if self.plan.work == Work::Docker && attempt > 1 && log.contains("\n ---> Using cache\n") {
            return Ok(());
        }
        let last = log.lines().last().unwrap_or_default();
        let is_closed = last == "Job succeeded" || self.plan.work.exit_code() != 0;
        match wrong {
            None if is_closed => Ok(()),
            wrong => {
                let found = format!("{wrong:?} and the last line {last:?}");
                drop(logs);
                Err(self.fail(&format!("{lines} lines in log {attempt}"), &found))
            }
        }
    }

    /// Checks the log of an attempt that was given up: it is a part of a whole one, from its beginning.
    pub(crate) fn check_beginning(&self, attempt: u32) -> Result<(), String> {
        let numbers = self.numbers(attempt);
        let wrong = numbers
            .iter()
            .copied()
            .zip(0..)
            .find(|(found, line)| found != line);
        match wrong {
            None if !numbers.is_empty() => Ok(()),
            wrong => {
                let found = format!("{wrong:?} among {} lines", numbers.len());
                Err(self.fail(&format!("the beginning of log {attempt}"), &found))
            }
        }
    }
}

/// Returns how often a job has left a mark in this file.
fn count(file: &Path, name: &str) -> u32 {
    let marks = std::fs::read_to_string(file).unwrap_or_default();
    let count = marks.lines().filter(|line| *line == name).count();
    u32::try_from(count).expect("a few")
}

/// Returns how many of a job's own lines are in this output.
pub(crate) fn count_lines(output: &[u8], name: &str) -> usize {
    let begin = format!("{name}: ");
    let lines = output.split(|byte| *byte == b'\n');
    lines
        .filter(|line| line.starts_with(begin.as_bytes()))
        .count()
}
