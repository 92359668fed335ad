//! Errors in specs: the position, the problem, and the expected text.

use bstr::{BString, ByteSlice as _};

use crate::position::Position;
use crate::quote;
use crate::spec::Op;
use crate::syntax::SyntaxProblem;

/// How many characters of a line a report shows at most: one line of a terminal, not a whole minified file.
const SHOWN: usize = 100;

/// How many of them are before the position of the problem.
const SHOWN_BEFORE: usize = 60;

/// A text that is not a spec.
///
/// `Display` gives one line, as compilers do, for editors and logs; [`SpecError::report`] also shows the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{position}: {problem}")]
pub struct SpecError {
    /// The file, as named by the caller.
    pub file: String,
    /// The position in it.
    pub position: Position,
    /// The problem.
    pub problem: Box<Problem>,
    /// The line of the problem.
    line: BString,
}

/// A problem of a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not an S-expression.
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
    /// There is something other than a build before the base image.
    #[error("Invalid spec item: {found}: expected (build NAME SPEC) or (from BASE){}", hint(.suggestion))]
    NotAnItem {
        /// The text there.
        found: String,
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A build or a base image comes after the base image.
    #[error("({name} …) comes too late: expected it {place}")]
    TooLate {
        /// `build` or `from`.
        name: &'static str,
        /// Where it is permitted.
        place: &'static str,
    },
    /// There is a word, or a list that does not begin with a word, in the place of an op.
    #[error(
        "Invalid op: {found}: expected a list that begins with the name of an op: {}",
        one_of(Op::NAMES)
    )]
    NotAnOp {
        /// The text there.
        found: String,
    },
    /// There is no such op.
    #[error("unknown op {name}: expected {}{}", one_of(Op::NAMES), hint(.suggestion))]
    UnknownOp {
        /// Its name, in quotes.
        name: String,
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// An op or a field has too many words, or too few.
    #[error("wrong number of values for {name}: expected {shape}, found {}", count(*.found))]
    WrongCount {
        /// The op or field.
        name: &'static str,
        /// The correct form.
        shape: &'static str,
        /// How many values it has.
        found: usize,
    },
    /// There is a list in the place of a word.
    #[error("expected a word in {shape}, found the list {found}")]
    NotAWord {
        /// The correct form of the whole.
        shape: &'static str,
        /// The list.
        found: String,
    },
    /// There is something other than a field among the fields.
    #[error("invalid field {found} of {owner}: expected a list that begins with {}", one_of(.known))]
    NotAField {
        /// The owner of the fields.
        owner: &'static str,
        /// The text there.
        found: String,
        /// The known fields.
        known: &'static [&'static str],
    },
    /// There is no such field.
    #[error("unknown field {name} of {owner}: expected {}{}", one_of(.known), hint(.suggestion))]
    UnknownField {
        /// The owner of the fields.
        owner: &'static str,
        /// Its name, in quotes.
        name: String,
        /// The known fields.
        known: &'static [&'static str],
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A field is repeated.
    #[error("repeated field \"{name}\" of {owner}: expected it once, found it at {first} already")]
    RepeatedField {
        /// The owner of the fields.
        owner: &'static str,
        /// The field.
        name: &'static str,
        /// The position of the first.
        first: Position,
    },
    /// A required field is missing.
    #[error("missing field \"{name}\" of {owner}: expected {shape}")]
    MissingField {
        /// The owner of the fields.
        owner: &'static str,
        /// The field.
        name: &'static str,
        /// The correct form.
        shape: &'static str,
    },
    /// An item in a list of caches or secrets has another form.
    #[error("Invalid {kind}: {found}: expected (ID (target PATH))")]
    InvalidMount {
        /// `cache` or `secret`.
        kind: &'static str,
        /// The text there.
        found: String,
    },
    /// The options of a cache or a secret are not pairs of words.
    #[error("invalid buildkit_options: expected (buildkit_options ((KEY VALUE) …)), found {found}")]
    InvalidOptions {
        /// The text that is not a pair, or not a list of pairs.
        found: String,
    },
    /// The source of a `copy` is neither the context nor a build.
    #[error("Invalid data source: {found}: expected context or (build NAME)")]
    InvalidSource {
        /// The text there.
        found: String,
    },
    /// A user is neither two numbers nor a name.
    #[error("Invalid op: {found}: expected (user (uid NUMBER) (gid NUMBER)) or (user (name NAME))")]
    InvalidUser {
        /// The whole op.
        found: String,
    },
    /// It is not a number, or too large.
    #[error("invalid number {found}: expected {}", crate::number::EXPECTED)]
    InvalidNumber {
        /// The word.
        found: String,
    },
    /// A `copy` names a build that does not exist, is declared later, or is nested in another one.
    #[error("Unknown build {} in {op}.{}", quoted(.name), did_you_mean(.in_scope))]
    UnknownBuild {
        /// The name.
        name: BString,
        /// The whole op.
        op: String,
        /// The builds in scope, in order.
        in_scope: Vec<BString>,
    },
}

impl SpecError {
    /// Creates an error from the offset of the byte with the problem.
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

    /// Returns the text of `Display`, and below it the line of the problem, with a caret under its position.
    ///
    /// Control characters are shown as blanks, so that untrusted text cannot control a terminal.
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

/// Returns the reference's hint, which offers all names.
fn did_you_mean(names: &[BString]) -> String {
    let names: Vec<String> = names.iter().map(quoted).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!(" Did you mean {only} ?"),
        [first, second] => format!(" Did you mean either {first} or {second} ?"),
        [front @ .., last] => format!(" Did you mean one of {}, or {last} ?", front.join(", ")),
    }
}
