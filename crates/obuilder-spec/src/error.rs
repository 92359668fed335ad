//! Why a text is not a spec: where, what is wrong there, and what was expected.

use bstr::{BString, ByteSlice as _};

use crate::position::Position;
use crate::quote;
use crate::spec::Op;
use crate::syntax::SyntaxProblem;

/// How many characters of a line a report shows at most: one line of a terminal, not a whole minified file.
const SHOWN: usize = 100;

/// How many of them stand before the place in question.
const SHOWN_BEFORE: usize = 60;

/// A text that is not a spec.
///
/// `Display` gives one line, as compilers do, for editors and logs; [`SpecError::report`] shows the place too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{position}: {problem}")]
pub struct SpecError {
    /// The file, as the caller named it.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// What is wrong there.
    pub problem: Box<Problem>,
    /// The line that it is in.
    line: BString,
}

/// What is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is no S-expression.
    #[error(transparent)]
    Syntax(#[from] SyntaxProblem),
    /// The spec, or that of a nested build, is a word.
    #[error("Invalid spec: {found}: expected a list, ((from BASE) OP…)")]
    NotASpec {
        /// The word.
        found: String,
    },
    /// There is no base image.
    #[error("Invalid spec: missing (from)")]
    MissingFrom,
    /// Something else than a build stands before the base image.
    #[error("Invalid spec item: {found}: expected (build NAME SPEC) or (from BASE){}", hint(.suggestion))]
    NotAnItem {
        /// What stands there.
        found: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// A build or a base image comes after the base image.
    #[error("({name} …) comes too late: expected it {place}")]
    TooLate {
        /// `build` or `from`.
        name: &'static str,
        /// Where it may stand.
        place: &'static str,
    },
    /// A word, or a list that does not begin with a word, stands where an op should.
    #[error(
        "Invalid op: {found}: expected a list that begins with the name of an op: {}",
        one_of(Op::NAMES)
    )]
    NotAnOp {
        /// What stands there.
        found: String,
    },
    /// There is no such op.
    #[error("unknown op {name}: expected {}{}", one_of(Op::NAMES), hint(.suggestion))]
    UnknownOp {
        /// Its name, in quotes.
        name: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// An op or a field has too many words, or too few.
    #[error("wrong number of values for {name}: expected {shape}, found {}", count(*.found))]
    WrongCount {
        /// The op or field.
        name: &'static str,
        /// How it should look.
        shape: &'static str,
        /// How many values it has.
        found: usize,
    },
    /// A list stands where a word should.
    #[error("expected a word in {shape}, found the list {found}")]
    NotAWord {
        /// How the whole should look.
        shape: &'static str,
        /// The list.
        found: String,
    },
    /// Something else than a field stands among the fields.
    #[error("invalid field {found} of {owner}: expected a list that begins with {}", one_of(.known))]
    NotAField {
        /// What has the fields.
        owner: &'static str,
        /// What stands there.
        found: String,
        /// The fields that there are.
        known: &'static [&'static str],
    },
    /// There is no such field.
    #[error("unknown field {name} of {owner}: expected {}{}", one_of(.known), hint(.suggestion))]
    UnknownField {
        /// What has the fields.
        owner: &'static str,
        /// Its name, in quotes.
        name: String,
        /// The fields that there are.
        known: &'static [&'static str],
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// A field is there twice.
    #[error("repeated field \"{name}\" of {owner}: expected it once, found it at {first} already")]
    RepeatedField {
        /// What has the fields.
        owner: &'static str,
        /// The field.
        name: &'static str,
        /// Where it is the first time.
        first: Position,
    },
    /// A field is not there that has to be.
    #[error("missing field \"{name}\" of {owner}: expected {shape}")]
    MissingField {
        /// What has the fields.
        owner: &'static str,
        /// The field.
        name: &'static str,
        /// How it should look.
        shape: &'static str,
    },
    /// Something in a list of caches or secrets is none.
    #[error("Invalid {kind}: {found}: expected (ID (target PATH))")]
    InvalidMount {
        /// `cache` or `secret`.
        kind: &'static str,
        /// What stands there.
        found: String,
    },
    /// The options of a cache or a secret are not pairs of words.
    #[error("invalid buildkit_options: expected (buildkit_options ((KEY VALUE) …)), found {found}")]
    InvalidOptions {
        /// What is no pair, or no list of pairs.
        found: String,
    },
    /// What a `copy` copies from is neither.
    #[error("Invalid data source: {found}: expected context or (build NAME)")]
    InvalidSource {
        /// What stands there.
        found: String,
    },
    /// A user is neither two numbers nor a name.
    #[error("Invalid op: {found}: expected (user (uid NUMBER) (gid NUMBER)) or (user (name NAME))")]
    InvalidUser {
        /// The whole op.
        found: String,
    },
    /// It is no number, or too large a one.
    #[error("invalid number {found}: expected {}", crate::number::EXPECTED)]
    InvalidNumber {
        /// The word.
        found: String,
    },
    /// A `copy` names a build that is not there, or comes later, or is inside another one.
    #[error("Unknown build {} in {op}.{}", quoted(.name), did_you_mean(.in_scope))]
    UnknownBuild {
        /// The name.
        name: BString,
        /// The whole op.
        op: String,
        /// The builds that may be named there, in order.
        in_scope: Vec<BString>,
    },
}

impl SpecError {
    /// Makes it from the offset of the byte where the problem is.
    pub(crate) fn new(text: &[u8], file: &str, at: usize, problem: Problem) -> Self {
        let position = Position::of(text, at);
        let line = text.split_str("\n").nth(position.line - 1);
        Self {
            file: file.to_owned(),
            position,
            problem: Box::new(problem),
            line: line.unwrap_or_default().into(),
        }
    }

    /// Returns what `Display` gives, and below it the line in question, with a caret under the place.
    ///
    /// Control characters are shown as blanks, so that a terminal is not made to do anything by a stranger's text.
    pub fn report(&self) -> String {
        let skipped = self.position.column.saturating_sub(SHOWN_BEFORE + 1);
        let line = self.line.chars().map(printable).skip(skipped);
        let line: String = line.take(SHOWN).collect();
        let caret = " ".repeat(self.position.column.saturating_sub(skipped + 1)) + "^";
        let number = self.position.line.to_string();
        let margin = " ".repeat(number.len());
        let line = format!(" {number} | {line}");
        format!("{self}\n{}\n {margin} | {caret}", line.trim_end())
    }
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// Returns `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [front @ .., last] => format!("{} or {last}", front.join(", ")),
    }
}

fn hint(suggestion: &Option<&str>) -> String {
    suggestion.map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"))
}

fn count(values: usize) -> String {
    match values {
        0 => "none".to_owned(),
        values => values.to_string(),
    }
}

fn quoted(name: &BString) -> String {
    quote::quoted(name).to_string()
}

/// Returns the reference's hint, which offers every name there is.
fn did_you_mean(names: &[BString]) -> String {
    let names: Vec<String> = names.iter().map(quoted).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!(" Did you mean {only} ?"),
        [first, second] => format!(" Did you mean either {first} or {second} ?"),
        [front @ .., last] => format!(" Did you mean one of {}, or {last} ?", front.join(", ")),
    }
}
