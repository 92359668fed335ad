//! Reads which paths of its own crate a file names: in `use`, in code and in the arguments of macros.

use std::collections::BTreeSet;
use std::iter::Peekable;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::ModulePath;

/// What was read of a crate.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) references: Vec<Reference>,
    /// The modules that exist in tests only.
    pub(super) tests: BTreeSet<ModulePath>,
}

/// A path that a file names.
#[derive(Debug)]
pub(super) struct Reference {
    /// The file's module.
    pub(super) from: ModulePath,
    pub(super) line: usize,
    /// The whole path, from the crate's root.
    pub(super) to: ModulePath,
}

type Tokens = Peekable<IntoIter>;

impl Reader {
    /// Reads the file that is this module.
    pub(super) fn read(&mut self, file: &ModulePath, tokens: TokenStream) {
        self.read_module(file, file, tokens);
    }

    /// Reads what is in `module`, which may be one within the file.
    fn read_module(&mut self, file: &ModulePath, module: &ModulePath, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        // Whether the item that comes next exists in tests only.
        let mut is_test = false;
        // A path's later segments may be called `self`; and `a::super` is none of ours.
        let mut is_continued = false;
        while let Some(token) = tokens.next() {
            let line = token.span().start().line;
            match token {
                TokenTree::Ident(word) if word == "mod" => {
                    self.read_inner(file, module, &mut tokens, is_test);
                    is_test = false;
                }
                TokenTree::Ident(word) if word == "use" && is_test => {
                    tokens.by_ref().find(|token| is_punct(token, ';'));
                    is_test = false;
                }
                TokenTree::Ident(word) if !is_continued => {
                    if let Some(base) = base(&word.to_string(), module) {
                        self.read_path(file, line, base, &mut tokens);
                    }
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    is_test |= is_test_attribute(group.stream());
                    self.read_module(file, module, group.stream());
                }
                TokenTree::Group(group) => {
                    self.read_module(file, module, group.stream());
                    is_test &= group.delimiter() != Delimiter::Brace;
                }
                TokenTree::Punct(punct) => {
                    is_test &= punct.as_char() != ';';
                    is_continued = punct.as_char() == ':';
                    continue;
                }
                TokenTree::Ident(_) | TokenTree::Literal(_) => {}
            }
            is_continued = false;
        }
    }

    /// Reads what follows `mod`.
    fn read_inner(
        &mut self,
        file: &ModulePath,
        module: &ModulePath,
        tokens: &mut Tokens,
        is_test: bool,
    ) {
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return;
        };
        let mut inner = module.clone();
        inner.push(name.to_string());
        match tokens.next() {
            Some(TokenTree::Group(body)) if !is_test => {
                self.read_module(file, &inner, body.stream());
            }
            Some(TokenTree::Punct(_)) if is_test => {
                self.tests.insert(inner);
            }
            _ => {}
        }
    }

    /// Reads what follows the beginning of a path: more segments, or a group of paths in braces.
    fn read_path(
        &mut self,
        file: &ModulePath,
        line: usize,
        mut path: ModulePath,
        tokens: &mut Tokens,
    ) {
        loop {
            if tokens.next_if(|token| is_punct(token, ':')).is_none() {
                break;
            }
            tokens.next_if(|token| is_punct(token, ':'));
            match tokens.peek() {
                Some(TokenTree::Ident(word)) if word == "super" => {
                    path.pop();
                }
                Some(TokenTree::Ident(word)) if word == "self" => {}
                Some(TokenTree::Ident(word)) => path.push(word.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.read_group(file, &path, group.stream());
                    tokens.next();
                    return;
                }
                _ => break,
            }
            tokens.next();
        }
        self.references.push(Reference {
            from: file.clone(),
            line,
            to: path,
        });
    }

    fn read_group(&mut self, file: &ModulePath, prefix: &ModulePath, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let line = token.span().start().line;
            let TokenTree::Ident(word) = token else {
                continue;
            };
            let mut path = prefix.clone();
            if word != "self" {
                path.push(word.to_string());
            }
            self.read_path(file, line, path, &mut tokens);
            // `as name`
            while tokens.next_if(|token| !is_punct(token, ',')).is_some() {}
        }
    }
}

/// Returns where a path that begins with `word` begins, if it is one of this crate.
fn base(word: &str, module: &ModulePath) -> Option<ModulePath> {
    let mut base = module.clone();
    match word {
        "crate" => base.clear(),
        "super" => drop(base.pop()),
        "self" => {}
        _ => return None,
    }
    Some(base)
}

/// Returns whether this is in the brackets of an attribute such as `#[cfg(test)]`.
fn is_test_attribute(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter();
    let is_cfg = matches!(tokens.next(), Some(TokenTree::Ident(word)) if word == "cfg");
    is_cfg && tokens.next().is_some_and(names_test)
}

fn names_test(condition: TokenTree) -> bool {
    match condition {
        TokenTree::Ident(word) => word == "test",
        TokenTree::Group(group) => {
            let mut inside = group.stream().into_iter().peekable();
            let is_not = matches!(inside.peek(), Some(TokenTree::Ident(word)) if word == "not");
            !is_not && inside.any(names_test)
        }
        _ => false,
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
