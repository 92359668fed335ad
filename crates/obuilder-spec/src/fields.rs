//! Reads the fields of `run`, `copy`, caches and secrets.

use bstr::{BStr, BString, ByteSlice as _};

use crate::error::Problem;
use crate::position::Position;
use crate::quote;
use crate::reader::{Node, Tree};
use crate::suggest;

/// How much of a wrong text is quoted in an error.
const MAX_SHOWN: usize = 70;

/// A problem, and the offset of its byte.
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: Problem,
}

impl Fault {
    pub(crate) fn new(at: usize, problem: Problem) -> Self {
        Self { at, problem }
    }
}

/// The result of reading a part of a spec.
pub(crate) type Parsed<T> = Result<T, Fault>;

impl Node {
    /// Returns the word, if it is one.
    pub(crate) fn word(&self) -> Option<&BStr> {
        match &self.tree {
            Tree::Atom(word) => Some(word.as_bstr()),
            Tree::List(_) => None,
        }
    }

    /// Returns the items, if it is a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match &self.tree {
            Tree::Atom(_) => None,
            Tree::List(items) => Some(items),
        }
    }

    /// Returns the first word and the other items, if it is a list that begins with a word.
    pub(crate) fn headed(&self) -> Option<(&BStr, &[Self])> {
        let (head, rest) = self.items()?.split_first()?;
        Some((head.word()?, rest))
    }

    /// Returns the value, if it is `(name VALUE)`.
    pub(crate) fn value_of(&self, name: &str) -> Option<&Self> {
        match self.headed()? {
            (head, [value]) if head == name => Some(value),
            _ => None,
        }
    }

    /// Returns the items, if it is a list of two words.
    pub(crate) fn pair_of_words(&self) -> Option<(&BStr, &BStr)> {
        match self.items()? {
            [first, second] => Some((first.word()?, second.word()?)),
            _ => None,
        }
    }

    /// Returns it on one line.
    pub(crate) fn on_one_line(&self) -> String {
        let mut text = BString::default();
        self.write_into(&mut text);
        text.to_string()
    }

    /// Returns it on one line, cut if it is long.
    pub(crate) fn shown(&self) -> String {
        cut(self.on_one_line())
    }

    fn write_into(&self, text: &mut BString) {
        match &self.tree {
            Tree::Atom(word) => text.extend_from_slice(&quote::atom(word)),
            Tree::List(items) => {
                text.push(b'(');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        text.push(b' ');
                    }
                    item.write_into(text);
                }
                text.push(b')');
            }
        }
    }
}

/// Returns a name in quotes, cut if it is long.
pub(crate) fn shown_name(name: &BStr) -> String {
    cut(quote::quoted(name).to_string())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns the word of a node, or an error.
pub(crate) fn word(node: &Node, shape: &'static str) -> Parsed<BString> {
    match node.word() {
        Some(word) => Ok(word.to_owned()),
        None => {
            let found = node.shown();
            Err(Fault::new(node.at, Problem::NotAWord { shape, found }))
        }
    }
}

/// Returns the words of nodes, or an error.
pub(crate) fn words(nodes: &[Node], shape: &'static str) -> Parsed<Vec<BString>> {
    nodes.iter().map(|node| word(node, shape)).collect()
}

/// The known fields of an op, a cache or a secret.
pub(crate) struct Record {
    /// Its owner, for errors.
    pub(crate) owner: &'static str,
    /// Their names.
    pub(crate) known: &'static [&'static str],
}

/// The fields of an op, a cache or a secret.
pub(crate) struct Fields<'a> {
    owner: &'static str,
    /// The position of its owner.
    at: usize,
    fields: Vec<Field<'a>>,
}

/// A field.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'static str,
    at: usize,
    values: &'a [Node],
}

impl Record {
    /// Reads the fields of the owner at `at`.
    pub(crate) fn read<'a>(&self, at: usize, nodes: &'a [Node], text: &[u8]) -> Parsed<Fields<'a>> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        for node in nodes {
            let field = self.field(node)?;
            if let Some(first) = fields.iter().find(|first| first.name == field.name) {
                let problem = Problem::RepeatedField {
                    owner: self.owner,
                    name: field.name,
                    first: Position::of(text, first.at),
                };
                return Err(Fault::new(field.at, problem));
            }
            fields.push(field);
        }
        Ok(Fields {
            owner: self.owner,
            at,
            fields,
        })
    }

    fn field<'a>(&self, node: &'a Node) -> Parsed<Field<'a>> {
        let &Self { owner, known } = self;
        let Some((head, values)) = node.headed() else {
            let found = node.shown();
            let problem = Problem::NotAField {
                owner,
                found,
                known,
            };
            return Err(Fault::new(node.at, problem));
        };
        match known.iter().find(|name| head == **name) {
            Some(name) => Ok(Field {
                name,
                at: node.at,
                values,
            }),
            None => {
                let problem = Problem::UnknownField {
                    owner,
                    name: shown_name(head),
                    known,
                    suggestion: suggest::closest(head, known),
                };
                Err(Fault::new(head_at(node), problem))
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// Returns the values of a field that may have any number of them, and may be missing.
    pub(crate) fn list(&self, name: &str) -> &'a [Node] {
        self.get(name).map_or(&[], |field| field.values)
    }

    /// Returns the value of a field that has one, unless the field is missing.
    pub(crate) fn optional(&self, name: &str, shape: &'static str) -> Parsed<Option<&'a Node>> {
        let Some(field) = self.get(name) else {
            return Ok(None);
        };
        match field.values {
            [value] => Ok(Some(value)),
            values => {
                let problem = Problem::WrongCount {
                    name: field.name,
                    shape,
                    found: values.len(),
                };
                Err(Fault::new(field.at, problem))
            }
        }
    }

    /// Returns the value of a required field with one word.
    pub(crate) fn word(&self, name: &'static str, shape: &'static str) -> Parsed<BString> {
        match self.optional(name, shape)? {
            Some(value) => word(value, shape),
            None => Err(self.missing(name, shape)),
        }
    }

    /// Returns the values of a required field.
    pub(crate) fn required(&self, name: &'static str, shape: &'static str) -> Parsed<&'a [Node]> {
        match self.get(name) {
            Some(field) => Ok(field.values),
            None => Err(self.missing(name, shape)),
        }
    }

    fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().copied().find(|field| field.name == name)
    }

    fn missing(&self, name: &'static str, shape: &'static str) -> Fault {
        let owner = self.owner;
        Fault::new(self.at, Problem::MissingField { owner, name, shape })
    }
}

/// Returns the position of the first item of a list.
pub(crate) fn head_at(list: &Node) -> usize {
    let head = list.items().and_then(<[Node]>::first);
    head.map_or(list.at, |head| head.at)
}
