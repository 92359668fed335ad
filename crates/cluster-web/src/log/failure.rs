//! Finds where a build went wrong.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::line::Line;

/// How much of a line is searched, in bytes.
const MAX_SEARCHED: usize = 300;
/// Errors with that many other lines between them belong together.
const MAX_GAP: usize = 8;
/// How many lines before the last error the first one may be.
const MAX_HEIGHT: usize = 60;

/// How bad it is what a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is known to be wrong.
    Plain,
    /// A warning.
    Warning,
    /// That something has failed, for reasons that other lines give.
    Consequence,
    /// An error.
    Error,
}

/// What a line of an error begins with, in lower case.
const ERROR_STARTS: &[&str] = &[
    "error:",
    "error[",
    "error ",
    "fatal:",
    "fatal error",
    "panic:",
    "traceback (most recent",
    "npm err!",
    "e: ",
    "not ok ",
    "failure:",
    "failures:",
    "--- fail",
    "fail:",
    "[error]",
    "err: ",
];

/// What an error has in it, in lower case.
const ERROR_PARTS: &[&str] = &[
    ": error:",
    ": fatal error:",
    " error: ",
    "panicked at",
    ": command not found",
    ": not found",
    "no such file or directory",
    "permission denied",
    "segmentation fault",
    "undefined reference to",
    "*** [",
    "test result: failed",
    "assertion failed",
    "out of memory",
    "no space left on device",
    "could not resolve",
    "unhandled exception",
    ": cannot ",
    "exception: ",
];

/// What says that something has failed, and not why, in lower case.
const CONSEQUENCES: &[&str] = &[
    "job failed",
    "returned a non-zero code",
    "did not complete successfully",
    "exit code:",
    "exit status",
    "build failed",
    "failed with exit code",
    "executor failed running",
    "process completed with exit code",
    "could not compile",
    "recipe for target",
    "aborting due to",
    "failed to solve",
];

/// What a warning has in it.
const WARNINGS: &[&str] = &["warning:", "warning["];

/// Finds what a line has in it, of all these at once, in any case of letters.
struct Words {
    matcher: AhoCorasick,
    severities: Vec<Severity>,
}

static WORDS: LazyLock<Option<Words>> = LazyLock::new(|| {
    let kinds = [
        (WARNINGS, Severity::Warning),
        (CONSEQUENCES, Severity::Consequence),
        (ERROR_PARTS, Severity::Error),
    ];
    let words = kinds
        .iter()
        .flat_map(|(words, kind)| words.iter().map(move |word| (*word, *kind)));
    let (words, severities): (Vec<&str>, Vec<Severity>) = words.unzip();
    let matcher = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words);
    // It fails only for more words than there is memory for.
    let matcher = matcher.ok()?;
    Some(Words {
        matcher,
        severities,
    })
});

impl Severity {
    /// Returns how bad it is what a line says, as far as its words show.
    pub fn of(line: &str) -> Self {
        let text = match line.len() > MAX_SEARCHED {
            true => line.get(..line.floor_char_boundary(MAX_SEARCHED)),
            false => Some(line),
        };
        let text = text.unwrap_or_default();
        let text = without_prefix(text);
        let first = text.bytes().next().map(|first| first.to_ascii_lowercase());
        let begins = |word: &&str| {
            let beginning = || text.get(..word.len());
            // Hardly a line gets further than this.
            first == word.bytes().next()
                && beginning().is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
        };
        let found = WORDS
            .as_ref()
            .map(|words| words.found(text))
            .unwrap_or_default();
        // A warning may be about an error, and what follows from an error often repeats it.
        match found {
            _ if begins(&"warning") => Self::Warning,
            [true, _, _] => Self::Warning,
            [_, true, _] => Self::Consequence,
            [_, _, true] => Self::Error,
            _ if ERROR_STARTS.iter().any(begins) => Self::Error,
            _ => Self::Plain,
        }
    }
}

impl Words {
    /// Returns whether a text has words of a warning, a consequence and an error.
    fn found(&self, text: &str) -> [bool; 3] {
        let mut found = [false; 3];
        for word in self.matcher.find_overlapping_iter(text) {
            match self.severities.get(word.pattern().as_usize()) {
                Some(Severity::Warning) => found[0] = true,
                Some(Severity::Consequence) => found[1] = true,
                Some(Severity::Error) => found[2] = true,
                Some(Severity::Plain) | None => {}
            }
        }
        found
    }
}

/// Removes what BuildKit puts before a line: `#12 3.456 `.
fn without_prefix(line: &str) -> &str {
    let line = line.trim_start();
    let Some(rest) = line.strip_prefix('#') else {
        return line;
    };
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
    match rest.starts_with(|c: char| c.is_ascii_digit()) {
        true => rest.trim_start_matches(is_number),
        false => line,
    }
}

/// Returns the index of the line to begin with when a job has failed: the first of the last errors that belong
/// together. Without an error it is the line that says that something has failed.
pub fn failure(lines: &[Line]) -> Option<usize> {
    let severities: Vec<Severity> = lines
        .iter()
        .map(|line| Severity::of(&line.text()))
        .collect();
    failure_among(&severities)
}

/// Returns the same, of lines of which these are known.
pub fn failure_among(severities: &[Severity]) -> Option<usize> {
    let is_error = |severity: &Severity| *severity == Severity::Error;
    let Some(last) = severities.iter().rposition(is_error) else {
        return severities
            .iter()
            .rposition(|severity| *severity == Severity::Consequence);
    };
    let mut first = last;
    let errors = severities.iter().enumerate().take(last).rev();
    for (index, severity) in errors.take(MAX_HEIGHT) {
        if first - index > MAX_GAP {
            break;
        }
        if is_error(severity) {
            first = index;
        }
    }
    Some(first)
}
