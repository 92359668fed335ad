//! Reads one S-expression, with the position of each part.

use bstr::BString;

use crate::lexer::{Lexer, Located, TokenKind};
use crate::syntax::SyntaxProblem;

/// How deeply lists may be nested. A build within a build takes two levels. Functions that walk a tree recurse once for
/// each level, and untrusted input must not exhaust the stack.
const MAX_DEPTH: usize = 256;

/// An S-expression and its position.
pub(crate) struct Node {
    /// The offset of its first byte.
    pub(crate) at: usize,
    pub(crate) tree: Tree,
}

pub(crate) enum Tree {
    Atom(BString),
    List(Vec<Node>),
}

/// A list whose end has not been seen.
struct OpenList {
    at: usize,
    items: Vec<Node>,
    /// The offsets of the `#;` whose turn has not come.
    comments: Vec<usize>,
}

impl OpenList {
    fn new(at: usize) -> Self {
        Self {
            at,
            items: Vec::new(),
            comments: Vec::new(),
        }
    }

    /// Appends an item, unless it is commented out.
    fn push(&mut self, node: Node) {
        if self.comments.pop().is_none() {
            self.items.push(node);
        }
    }

    /// Returns the items at the end of the list.
    fn close(self) -> Result<Vec<Node>, Located> {
        match self.comments.last() {
            Some(&at) => Err((at, SyntaxProblem::NothingCommentedOut)),
            None => Ok(self.items),
        }
    }
}

/// Reads the one S-expression that a text holds.
pub(crate) fn read(text: &[u8]) -> Result<Node, Located> {
    let mut lexer = Lexer::new(text);
    let mut top = OpenList::new(0);
    let mut open: Vec<OpenList> = Vec::new();
    while let Some(token) = lexer.next()? {
        let node = match token.kind {
            TokenKind::Open if open.len() == MAX_DEPTH => {
                return Err((token.start, SyntaxProblem::TooDeep(MAX_DEPTH)));
            }
            TokenKind::Open => {
                open.push(OpenList::new(token.start));
                continue;
            }
            TokenKind::CommentNext => {
                open.last_mut()
                    .unwrap_or(&mut top)
                    .comments
                    .push(token.start);
                continue;
            }
            TokenKind::Close => {
                let list = open
                    .pop()
                    .ok_or((token.start, SyntaxProblem::UnexpectedClose))?;
                Node {
                    at: list.at,
                    tree: Tree::List(list.close()?),
                }
            }
            TokenKind::Atom(word) => Node {
                at: token.start,
                tree: Tree::Atom(word),
            },
        };
        open.last_mut().unwrap_or(&mut top).push(node);
    }
    match open.pop() {
        Some(list) => Err((list.at, SyntaxProblem::UnclosedList)),
        None => only(top.close()?, text),
    }
}

/// Returns the only one of the nodes.
fn only(nodes: Vec<Node>, text: &[u8]) -> Result<Node, Located> {
    let mut nodes = nodes.into_iter();
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => Ok(node),
        (Some(_), Some(second)) => Err((second.at, SyntaxProblem::MoreThanOne)),
        (None, _) => Err((text.len(), SyntaxProblem::Empty)),
    }
}
