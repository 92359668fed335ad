//! A log in a page.

use schemars::JsonSchema;
use serde::Serialize;

use super::frame::time;
use super::log_line::{LineOptions, LogLine, write_lines};
use super::log_mark::LogMark;
use crate::log::{Fold, Line, Match, Severity, StepMark, failure, fold};

/// A log with more steps, or more lines, than these begins folded.
const OPEN_STEPS: usize = 2;
/// See [`OPEN_STEPS`].
const OPEN_LINES: usize = 60;

/// How many lines a page shows.
const MAX_LINES: usize = 20_000;
/// How far back the link to the lines before leads, in bytes.
const EARLIER: u64 = 256 << 10;

/// What a page shows of a log, besides its lines.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The id of the job.
    pub job: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// Where the shown part begins, in bytes.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// How long the log is so far.
    pub length: u64,
    /// Whether nothing more will be written.
    pub is_complete: bool,
    /// Whether the job has failed, so that the page begins at the failure.
    pub has_failed: bool,
    /// Whether the visitor wants all steps unfolded.
    pub is_unfolded: bool,
    /// The numbers of the first and the last line that were asked for; `None` if no lines were.
    pub marked: Option<(u64, u64)>,
    /// The address of the part before; `None` if there is none.
    pub earlier: Option<String>,
    /// The address of the part after; `None` if there is none.
    pub later: Option<String>,
    /// Where the stream of new lines is; `None` if there will be none, or this is not the end of the log.
    pub follow: Option<String>,
}

/// A log, or a part of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogView {
    /// The number of the attempt.
    pub attempt: u32,
    /// Where the part begins, in bytes.
    pub from: u64,
    /// Where it ends, in bytes.
    pub to: u64,
    /// How long the log is so far, in bytes.
    pub length: u64,
    /// Whether nothing more will be written.
    pub is_complete: bool,
    /// The lines, by build steps.
    pub steps: Vec<LogFold>,
    /// The line that the failure begins with; null if there is none.
    pub failure: Option<String>,
    /// What was searched for; null for nothing. Then `steps` is empty.
    pub search: Option<LogSearch>,
    #[serde(skip)]
    pub(super) options: LogOptions,
}

/// The lines of a build step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogFold {
    /// What the step does; null for lines before the first step.
    pub title: Option<String>,
    /// How long it took; null while it runs, and if that is not known.
    pub seconds: Option<f64>,
    /// Whether its result was already there.
    pub cached: bool,
    /// Whether a line of it is an error.
    pub has_errors: bool,
    /// Its lines.
    pub lines: Vec<LogLine>,
    #[serde(skip)]
    pub(super) is_open: bool,
    #[serde(skip)]
    query: String,
}

/// The lines of a log that have a text.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogSearch {
    /// The text.
    pub query: String,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether there may be more such lines.
    pub more: bool,
    #[serde(skip)]
    base: String,
}

impl LogView {
    /// Returns the view of some lines.
    pub fn new(
        mut options: LogOptions,
        mut lines: Vec<Line>,
        steps: &[StepMark],
        marks: &[LogMark],
    ) -> Self {
        // Nothing follows the end of the last line.
        lines.pop_if(|line| line.runs.is_empty());
        options.limit(&mut lines);
        let failed = options.has_failed.then(|| failure(&lines)).flatten();
        let failed = failed
            .and_then(|index| lines.get(index))
            .map(|line| line.offset);
        let count = lines.len();
        let folds = fold(lines, steps);
        let is_small = folds.len() <= OPEN_STEPS || count <= OPEN_LINES;
        let query = line_query(&options);
        let last = folds.len().saturating_sub(1);
        let has_failure = |fold: &Fold| fold.lines.iter().any(|line| Some(line.offset) == failed);
        let is_marked = |number: Option<u64>| {
            let range = options.marked.zip(number);
            range.is_some_and(|((first, last), number)| (first..=last).contains(&number))
        };
        let has_marked = |fold: &Fold| fold.lines.iter().any(|line| is_marked(line.number));
        let steps = folds.into_iter().enumerate().map(|(index, fold)| {
            let is_open = options.is_unfolded
                || is_small
                || fold.step.is_none()
                || has_failure(&fold)
                || has_marked(&fold)
                || index == last && (!options.is_complete || failed.is_some());
            LogFold::of(fold, marks, is_open, &query)
        });
        let mut steps: Vec<LogFold> = steps.collect();
        for line in steps.iter_mut().flat_map(|step| &mut step.lines) {
            line.is_marked = is_marked(line.number);
            let first = options.marked.map(|(first, _)| first);
            line.is_first = line.is_marked && line.number == first;
        }
        let lines = steps.iter().flat_map(|step| &step.lines);
        let failure = lines.into_iter().find(|line| Some(line.offset) == failed);
        Self {
            attempt: options.attempt,
            from: options.from,
            to: options.to,
            length: options.length,
            is_complete: options.is_complete,
            failure: failure.map(LogLine::id),
            steps,
            search: None,
            options,
        }
    }

    /// Returns the view of what was found.
    pub fn found(
        options: LogOptions,
        query: &str,
        found: (Vec<Match>, bool),
        marks: &[LogMark],
    ) -> Self {
        let (matches, more) = found;
        let lines = matches
            .into_iter()
            .map(|found| LogLine::of(found.line, marks));
        let search = LogSearch {
            query: query.to_owned(),
            lines: lines.collect(),
            more,
            base: format!("?attempt={}&", options.attempt),
        };
        Self {
            search: Some(search),
            ..Self::new(options, Vec::new(), &[], marks)
        }
    }

    /// Returns the HTML of all lines.
    pub fn lines_html(&self) -> String {
        let steps = self.steps.iter().map(LogFold::lines_html);
        steps.collect()
    }

    /// Returns whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.steps
            .iter()
            .all(|step| step.lines.iter().all(LogLine::is_empty))
    }

    pub(super) fn query_text(&self) -> &str {
        self.search.as_ref().map_or("", |search| &search.query)
    }

    /// Returns whether the page has times of lines, or gets some while it follows the log.
    pub(super) fn has_times(&self) -> bool {
        let mut lines = self.steps.iter().flat_map(|step| &step.lines);
        self.options.follow.is_some() || lines.any(|line| line.at_seconds.is_some())
    }

    pub(super) fn has_folds(&self) -> bool {
        self.steps.len() > 1
    }

    pub(super) fn size(&self) -> String {
        visible::Size(self.length).to_string()
    }

    /// Returns how much of the log is shown, if that is not all.
    pub(super) fn part(&self) -> Option<String> {
        let is_part = self.options.earlier.is_some() || self.options.later.is_some();
        let (shown, all) = (self.to.saturating_sub(self.from), self.length);
        is_part.then(|| format!("{} of {} shown", visible::Size(shown), visible::Size(all)))
    }
}

impl LogOptions {
    /// Leaves out lines if there are too many: those before the end of the log, or else those at the end of the part.
    fn limit(&mut self, lines: &mut Vec<Line>) {
        let excess = lines.len().saturating_sub(MAX_LINES);
        if excess == 0 {
            return;
        }
        let part = |from: u64| format!("?attempt={}&from={from}#log", self.attempt);
        if self.later.is_none() {
            lines.drain(..excess);
            self.from = lines.first().map_or(self.from, |line| line.offset);
            self.earlier = Some(part(self.from.saturating_sub(EARLIER)));
        } else if let Some(next) = lines.get(MAX_LINES).map(|line| line.offset) {
            lines.truncate(MAX_LINES);
            self.to = next;
            self.later = Some(part(next));
        }
    }
}

impl LogFold {
    fn of(fold: Fold, marks: &[LogMark], is_open: bool, query: &str) -> Self {
        let Fold {
            step,
            lines,
            severities,
            severity,
        } = fold;
        let lines = lines.into_iter().zip(severities);
        let lines = lines.map(|(line, severity)| LogLine::with(line, severity, marks));
        let took = step.as_ref().and_then(|step| step.took);
        Self {
            title: step.as_ref().map(|step| step.title.clone()),
            seconds: took.map(|took| took.as_secs_f64()),
            cached: step.as_ref().is_some_and(|step| step.cached),
            has_errors: severity >= Severity::Consequence,
            lines: lines.collect(),
            is_open,
            query: query.to_owned(),
        }
    }

    pub(super) fn lines_html(&self) -> String {
        elements(&self.lines, &self.query, None)
    }

    pub(super) fn took(&self) -> String {
        self.seconds.map(time).unwrap_or_default()
    }
}

impl LogSearch {
    pub(super) fn lines_html(&self) -> String {
        elements(&self.lines, &self.base, Some(&self.query))
    }
}

/// How much HTML a line has about, besides its text.
const BYTES_OF_LINE: usize = 160;

fn elements(lines: &[LogLine], query: &str, marked: Option<&str>) -> String {
    let mut html = String::with_capacity(BYTES_OF_LINE * lines.len());
    write_lines(lines, &LineOptions { query, marked }, &mut html);
    html
}

/// Returns what stands before the `#` in links to lines: nothing if the page has all of the latest attempt's log.
fn line_query(options: &LogOptions) -> String {
    match options.earlier.is_none() && options.later.is_none() {
        true => String::new(),
        false => format!("?attempt={}&", options.attempt),
    }
}
