//! Reads specs.

use bstr::{BStr, BString, ByteSlice as _};

use crate::error::{Problem, SpecError};
use crate::fields::{Fault, Parsed, Record, head_at, shown_name, word, words};
use crate::number;
use crate::reader::{self, Node};
use crate::scope::Scope;
use crate::spec::{CacheMount, Copy, Op, Run, SecretMount, Source, Spec, User};
use crate::suggest;

const RUN: Record = Record {
    owner: "run",
    known: &["cache", "network", "secrets", "shell"],
};

const COPY: Record = Record {
    owner: "copy",
    known: &["from", "src", "dst", "exclude"],
};

const CACHE: Record = Record {
    owner: "a cache",
    known: &["target", "buildkit_options"],
};

const SECRET: Record = Record {
    owner: "a secret",
    known: &["target", "buildkit_options"],
};

impl Spec {
    /// Reads a spec. `file` is its name in errors.
    ///
    /// # Errors
    /// The first mistake in the text, with its position.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, SpecError> {
        let error = |at, problem| SpecError::new(text, file, at, problem);
        let node = reader::read(text).map_err(|(at, problem)| error(at, problem.into()))?;
        let mut parser = Parser {
            text,
            scope: Scope::default(),
        };
        parser
            .spec(&node)
            .map_err(|fault| error(fault.at, fault.problem))
    }
}

struct Parser<'a> {
    text: &'a [u8],
    /// The builds that may be copied from, where we are.
    scope: Scope,
}

impl Parser<'_> {
    fn spec(&mut self, node: &Node) -> Parsed<Spec> {
        let Some(items) = node.items() else {
            let found = node.shown();
            return Err(Fault::new(node.at, Problem::NotASpec { found }));
        };
        let mut builds = Vec::new();
        let mut items = items.iter();
        let from = loop {
            let Some(item) = items.next() else {
                return Err(Fault::new(node.at, Problem::MissingFrom));
            };
            match item.headed() {
                Some((head, [base])) if head == "from" && base.word().is_some() => {
                    break word(base, "(from BASE)")?;
                }
                Some((head, [name, spec])) if head == "build" && name.word().is_some() => {
                    let name = word(name, "(build NAME SPEC)")?;
                    let spec = self.nested(spec)?;
                    self.scope.enter(name.clone());
                    builds.push((name, spec));
                }
                _ => return Err(not_an_item(item)),
            }
        };
        let ops = items.map(|item| self.op(item)).collect::<Parsed<_>>()?;
        Ok(Spec { builds, from, ops })
    }

    /// Reads the spec of a nested build. What it declares is not in scope outside.
    fn nested(&mut self, node: &Node) -> Parsed<Spec> {
        let outside = self.scope.mark();
        let spec = self.spec(node)?;
        self.scope.leave_to(outside);
        Ok(spec)
    }

    fn op(&self, node: &Node) -> Parsed<Op> {
        let Some((name, values)) = node.headed() else {
            let found = node.shown();
            return Err(Fault::new(node.at, Problem::NotAnOp { found }));
        };
        // The reference reads these three with a capital letter too.
        match name.as_bytes() {
            b"comment" | b"Comment" => {
                let [text] = arguments(node, "comment", "(comment TEXT)", values)?;
                Ok(Op::Comment(text))
            }
            b"workdir" | b"Workdir" => {
                let [dir] = arguments(node, "workdir", "(workdir DIR)", values)?;
                Ok(Op::Workdir(dir))
            }
            b"shell" | b"Shell" => Ok(Op::Shell(words(values, "(shell WORD…)")?)),
            b"run" => Ok(Op::Run(self.run(node.at, values)?)),
            b"copy" => Ok(Op::Copy(self.copy(node, values)?)),
            b"user" => Ok(Op::User(user(node, values)?)),
            b"env" => {
                let [name, value] = arguments(node, "env", "(env NAME VALUE)", values)?;
                Ok(Op::Env(name, value))
            }
            _ => Err(unknown_op(node, name)),
        }
    }

    fn run(&self, at: usize, arguments: &[Node]) -> Parsed<Run> {
        let fields = RUN.read(at, arguments, self.text)?;
        let cache = fields.list("cache").iter().map(|node| {
            let (id, target, buildkit_options) = self.mount("cache", &CACHE, node)?;
            Ok(CacheMount {
                id,
                target,
                buildkit_options,
            })
        });
        let secrets = fields.list("secrets").iter().map(|node| {
            let (id, target, buildkit_options) = self.mount("secret", &SECRET, node)?;
            Ok(SecretMount {
                id,
                target,
                buildkit_options,
            })
        });
        Ok(Run {
            cache: cache.collect::<Parsed<_>>()?,
            network: words(fields.list("network"), "(network NETWORK…)")?,
            secrets: secrets.collect::<Parsed<_>>()?,
            shell: fields.word("shell", "(shell COMMAND)")?,
        })
    }

    /// Reads a cache or a secret: its id, target and options.
    fn mount(&self, kind: &'static str, record: &Record, node: &Node) -> Parsed<Mount> {
        let Some((id, fields)) = node.headed() else {
            let found = node.shown();
            return Err(Fault::new(node.at, Problem::InvalidMount { kind, found }));
        };
        let fields = record.read(node.at, fields, self.text)?;
        let target = fields.word("target", "(target PATH)")?;
        let options = match fields.optional("buildkit_options", OPTIONS_SHAPE)? {
            Some(pairs) => options(pairs)?,
            None => Vec::new(),
        };
        Ok((id.to_owned(), target, options))
    }

    fn copy(&self, node: &Node, arguments: &[Node]) -> Parsed<Copy> {
        let fields = COPY.read(node.at, arguments, self.text)?;
        let from = match fields.optional("from", "(from (build NAME))")? {
            Some(from) => self.source(from, node)?,
            None => Source::Context,
        };
        Ok(Copy {
            from,
            src: words(fields.required("src", SRC_SHAPE)?, SRC_SHAPE)?,
            dst: fields.word("dst", "(dst PATH)")?,
            exclude: words(fields.list("exclude"), "(exclude NAME…)")?,
        })
    }

    /// Reads what `copy` copies from.
    fn source(&self, node: &Node, copy: &Node) -> Parsed<Source> {
        if node.word().is_some_and(|word| word == "context") {
            return Ok(Source::Context);
        }
        let name = match node.pair_of_words() {
            Some((build, name)) if build == "build" => name,
            _ => {
                let found = node.shown();
                return Err(Fault::new(node.at, Problem::InvalidSource { found }));
            }
        };
        if self.scope.has(name) {
            return Ok(Source::Build(name.to_owned()));
        }
        let problem = Problem::UnknownBuild {
            name: name.to_owned(),
            op: copy.on_one_line(),
            in_scope: self.scope.names(),
        };
        Err(Fault::new(node.at, problem))
    }
}

/// What a cache or a secret has: its id, target and options.
type Mount = (BString, BString, Vec<(BString, BString)>);

const OPTIONS_SHAPE: &str = "(buildkit_options ((KEY VALUE) …))";
const SRC_SHAPE: &str = "(src PATH…)";

fn options(node: &Node) -> Parsed<Vec<(BString, BString)>> {
    let invalid = |node: &Node| {
        let found = node.shown();
        Fault::new(node.at, Problem::InvalidOptions { found })
    };
    let pairs = node.items().ok_or_else(|| invalid(node))?;
    let pairs = pairs.iter().map(|pair| {
        let (key, value) = pair.pair_of_words().ok_or_else(|| invalid(pair))?;
        Ok((key.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// Reads a user, whose fields have an order.
fn user(node: &Node, fields: &[Node]) -> Parsed<User> {
    let value = |field: usize, name| fields.get(field).and_then(|field| field.value_of(name));
    match (
        fields.len(),
        value(0, "name"),
        value(0, "uid"),
        value(1, "gid"),
    ) {
        (1, Some(name), _, _) => Ok(User::Named(word(name, "(name NAME)")?)),
        (2, _, Some(uid), Some(gid)) => Ok(User::Unix {
            uid: number(uid, "(uid NUMBER)")?,
            gid: number(gid, "(gid NUMBER)")?,
        }),
        _ => {
            let found = node.shown();
            Err(Fault::new(node.at, Problem::InvalidUser { found }))
        }
    }
}

fn number(node: &Node, shape: &'static str) -> Parsed<i64> {
    number::parse(&word(node, shape)?).ok_or_else(|| {
        let found = node.shown();
        Fault::new(node.at, Problem::InvalidNumber { found })
    })
}

/// Returns the arguments of an op that are so many words.
fn arguments<const N: usize>(
    op: &Node,
    name: &'static str,
    shape: &'static str,
    arguments: &[Node],
) -> Parsed<[BString; N]> {
    words(arguments, shape)?
        .try_into()
        .map_err(|words: Vec<_>| {
            let found = words.len();
            Fault::new(op.at, Problem::WrongCount { name, shape, found })
        })
}

fn not_an_item(item: &Node) -> Fault {
    let suggestion = item
        .headed()
        .and_then(|(head, _)| suggest::closest(head, &["build", "from"]));
    let found = item.shown();
    Fault::new(item.at, Problem::NotAnItem { found, suggestion })
}

fn unknown_op(node: &Node, name: &BStr) -> Fault {
    let problem = match name.as_bytes() {
        b"build" => Problem::TooLate {
            name: "build",
            place: "before (from BASE)",
        },
        b"from" => Problem::TooLate {
            name: "from",
            place: "once, before the first op",
        },
        _ => Problem::UnknownOp {
            name: shown_name(name),
            suggestion: suggest::closest(name, Op::NAMES),
        },
    };
    Fault::new(head_at(node), problem)
}
