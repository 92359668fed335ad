//! S-expressions: the syntax of specs, of step ids' inputs and of small files in a store.

use bstr::{BStr, BString};

use crate::layout::{self, Breaks, Doc};
use crate::position::Position;
use crate::quote;
use crate::reader::{self, Node, Tree};
use crate::syntax::SyntaxProblem;

/// A word, or a list of S-expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sexp {
    /// A word: any bytes.
    Atom(BString),
    /// What stands between parentheses.
    List(Vec<Self>),
}

/// Why a text is not an S-expression, and where the mistake is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {problem}")]
pub struct SexpError {
    /// Position of the mistake.
    pub position: Position,
    /// What is wrong there.
    pub problem: SyntaxProblem,
}

impl Sexp {
    /// Returns a word.
    pub fn atom(word: impl Into<BString>) -> Self {
        Self::Atom(word.into())
    }

    /// Returns a list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Returns a list of words.
    pub fn atoms(words: impl IntoIterator<Item = impl Into<BString>>) -> Self {
        Self::list(words.into_iter().map(Self::atom))
    }

    /// Returns `(name value)`.
    pub fn field(name: &str, value: Self) -> Self {
        Self::List(vec![Self::atom(name), value])
    }

    /// Returns the word, unless it is a list.
    pub fn as_atom(&self) -> Option<&BStr> {
        match self {
            Self::Atom(word) => Some(word.as_ref()),
            Self::List(_) => None,
        }
    }

    /// Returns the items, unless it is a word.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::Atom(_) => None,
            Self::List(items) => Some(items),
        }
    }

    /// Reads exactly one S-expression. White space and comments may stand around it.
    ///
    /// # Errors
    /// If the text is not one S-expression.
    pub fn parse(text: &[u8]) -> Result<Self, SexpError> {
        match reader::read(text) {
            Ok(node) => Ok(node.into()),
            Err((at, problem)) => Err(SexpError {
                position: Position::of(text, at),
                problem,
            }),
        }
    }

    /// Returns the machine form: on one line, with spaces only where two bare words would run together.
    ///
    /// Step ids are digests of it. Change a byte, and every store starts from nothing.
    pub fn to_machine(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.write_machine(&mut text, false);
        text
    }

    /// Appends the machine form, and returns whether it ends with a bare word. `after_bare` says that `text` does.
    fn write_machine(&self, text: &mut Vec<u8>, after_bare: bool) -> bool {
        match self {
            Self::Atom(word) => {
                let bare = !quote::needs_quotes(word);
                if bare && after_bare {
                    text.push(b' ');
                }
                text.extend_from_slice(&quote::atom(word));
                bare
            }
            Self::List(items) => {
                text.push(b'(');
                let mut after_bare = false;
                for item in items {
                    after_bare = item.write_machine(text, after_bare);
                }
                text.push(b')');
                false
            }
        }
    }

    /// Returns a form for people and small files: a list that is too long for a line has a line for each item.
    pub fn to_human(&self) -> BString {
        layout::render(&self.human_doc())
    }

    fn human_doc(&self) -> Doc {
        match self {
            Self::Atom(word) => Doc::text(quote::atom(word)),
            Self::List(items) => {
                let mut parts = vec![Doc::text("(")];
                parts.extend(Doc::separated(items.iter().map(Self::human_doc), || {
                    Doc::Space
                }));
                parts.push(Doc::text(")"));
                Doc::Group(Breaks::IfLong, 1, parts)
            }
        }
    }
}

impl From<Node> for Sexp {
    fn from(node: Node) -> Self {
        match node.tree {
            Tree::Atom(word) => Self::Atom(word),
            Tree::List(items) => Self::list(items.into_iter().map(Self::from)),
        }
    }
}

#[cfg(test)]
#[path = "sexp_tests.rs"]
mod tests;
