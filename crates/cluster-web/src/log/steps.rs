//! Groups the lines of a log by build steps.

use std::time::Duration;

use cluster_api::{Phase, PhaseKind};

use super::failure::Severity;
use super::line::Line;

/// How long a step's title may be.
const MAX_TITLE: usize = 160;

/// A step of a build, as its worker has recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMark {
    /// Where its part of the log begins, in bytes.
    pub offset: u64,
    /// What it does.
    pub title: String,
    /// How long it took; `None` while it runs, and if that is not known.
    pub took: Option<Duration>,
    /// Whether its result was already there.
    pub cached: bool,
    /// Whether it is a step of a build, and not what comes before and after, such as fetching the source.
    pub is_step: bool,
}

/// The lines of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The step; `None` for lines before the first one.
    pub step: Option<StepMark>,
    /// Its lines. They may be few if the log is not shown from its beginning.
    pub lines: Vec<Line>,
    /// How bad it is what each of them says.
    pub severities: Vec<Severity>,
    /// The worst that they say.
    pub severity: Severity,
}

impl StepMark {
    /// Returns the mark of a phase.
    pub fn of(phase: &Phase) -> Self {
        let kind = phase.kind;
        let title = match (kind, phase.name.as_str()) {
            (PhaseKind::Step, name) if !name.is_empty() => name.to_owned(),
            (kind, "") => kind.to_string(),
            (kind, name) => format!("{kind} {name}"),
        };
        Self {
            offset: phase.log_offset,
            title,
            took: phase.took(),
            cached: phase.cached,
            is_step: kind == PhaseKind::Step,
        }
    }
}

impl Fold {
    fn new(step: Option<StepMark>) -> Self {
        Self {
            step,
            lines: Vec::new(),
            severities: Vec::new(),
            severity: Severity::Plain,
        }
    }
}

/// Groups lines by steps: those of the worker, and those that the lines tell if it has recorded no step of a build.
///
/// The steps are in the order of their offsets. One whose lines are not among `lines` is left out.
pub fn fold(lines: Vec<Line>, steps: &[StepMark]) -> Vec<Fold> {
    let mut folds: Vec<Fold> = Vec::new();
    let mut next = steps.iter().peekable();
    let mut last_title = String::new();
    let are_told = !steps.iter().any(|step| step.is_step);
    for line in lines {
        let text = line.text();
        let mut begins = None;
        while let Some(step) = next.next_if(|step| step.offset <= line.offset) {
            begins = Some(step.clone());
        }
        if are_told
            && let Some(title) = step_title(&text)
            && title != last_title
        {
            title.clone_into(&mut last_title);
            begins = Some(StepMark {
                offset: line.offset,
                title: title.to_owned(),
                took: None,
                cached: false,
                is_step: true,
            });
        }
        if begins.is_some() || folds.is_empty() {
            folds.push(Fold::new(begins));
        }
        if let Some(fold) = folds.last_mut() {
            let severity = Severity::of(&text);
            fold.severity = fold.severity.max(severity);
            fold.severities.push(severity);
            fold.lines.push(line);
        }
    }
    folds
}

/// Returns the title of the build step that begins with this line, if one does.
///
/// The forms are those of Docker (`Step 2/7 : RUN make`), BuildKit (`#8 [2/5] RUN make`) and OBuilder
/// (`/src: (run (shell make))`).
pub fn step_title(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let title = docker_step(line)
        .or_else(|| buildkit_step(line))
        .or_else(|| obuilder_step(line))?;
    let end = title.char_indices().nth(MAX_TITLE).map(|(end, _)| end);
    title.get(..end.unwrap_or(title.len()))
}

fn docker_step(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("Step ")?;
    let (number, _) = rest.split_once(" : ")?;
    let (step, steps) = number.split_once('/')?;
    (is_number(step) && is_number(steps)).then_some(line)
}

fn buildkit_step(line: &str) -> Option<&str> {
    let (number, title) = line.strip_prefix('#')?.split_once(' ')?;
    let (stage, _) = title.strip_prefix('[')?.split_once("] ")?;
    let step = stage.rsplit(' ').next()?;
    let is_step = match step.split_once('/') {
        Some((step, steps)) => is_number(step) && is_number(steps),
        None => step == "internal",
    };
    (is_number(number) && is_step).then_some(title)
}

fn obuilder_step(line: &str) -> Option<&str> {
    const OPS: [&str; 2] = ["(run ", "(copy "];
    if line.starts_with("(from ") {
        return Some(line);
    }
    if !line.starts_with('/') {
        return None;
    }
    let (_, op) = line.split_once(": ")?;
    let is_op = OPS.iter().any(|begin| op.starts_with(begin)) || op == "(run";
    is_op.then_some(line)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}
