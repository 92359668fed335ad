//! What a rule has to say about one place in the tree.

use std::fmt;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(super) rule: Rule,
    /// The file, from the root of the project.
    pub(super) path: String,
    /// The line, counted from 1; `None` when the rule is about the whole file.
    pub(super) line: Option<usize>,
    /// What in that file breaks the rule, in words that stay the same when lines move; "" where the file is enough.
    pub(super) subject: String,
    /// What is wrong, and what to do about it.
    pub(super) message: String,
}

/// Which rule was broken. The name of one that may have exceptions is what the list of exceptions calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Has no exceptions.
    Strict,
    LongLine,
    LongFunction,
    Circle,
    ErrorsSection,
    RetiredWord,
    Cannot,
    Program,
}

impl Rule {
    /// The rules that may have exceptions.
    pub(super) const RATCHETED: [Self; 7] = [
        Self::LongLine,
        Self::LongFunction,
        Self::Circle,
        Self::ErrorsSection,
        Self::RetiredWord,
        Self::Cannot,
        Self::Program,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::LongLine => "long-line",
            Self::LongFunction => "long-function",
            Self::Circle => "circle",
            Self::ErrorsSection => "errors-section",
            Self::RetiredWord => "retired-word",
            Self::Cannot => "cannot",
            Self::Program => "program",
        }
    }
}

impl Finding {
    /// Returns a finding of a rule without exceptions.
    pub(super) fn strict(path: &str, line: impl Into<Option<usize>>, message: String) -> Self {
        Self {
            rule: Rule::Strict,
            path: path.to_owned(),
            line: line.into(),
            subject: String::new(),
            message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}
