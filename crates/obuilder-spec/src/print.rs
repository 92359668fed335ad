//! Prints specs in their canonical form, and the headings of logs.

use std::fmt;

use bstr::{BStr, BString, ByteSlice as _};

use crate::layout::{self, Breaks, Doc};
use crate::quote;
use crate::sexp::Sexp;
use crate::spec::{CacheMount, Copy, Op, Run, SecretMount, Source, Spec, User};

/// Returns the heading of a nested build.
pub fn build_heading(name: &BStr) -> BString {
    bstr::concat(["(build ".as_bytes(), &quote::quoted(name), " …)".as_bytes()]).into()
}

/// Returns the heading of a base image.
pub fn from_heading(base: &BStr) -> BString {
    layout::render(&from_doc(base))
}

impl Spec {
    /// Returns the canonical form, without a newline at its end.
    pub fn to_bytes(&self) -> BString {
        layout::render(&Doc::Sequence(vec![
            Doc::text("("),
            Doc::Group(Breaks::Always, 0, self.lines()),
            Doc::Newline,
            Doc::text(")"),
        ]))
    }

    fn lines(&self) -> Vec<Doc> {
        let builds = self
            .builds
            .iter()
            .map(|(name, spec)| build_doc(name.as_bstr(), spec));
        let from = std::iter::once(from_doc(self.from.as_bstr()));
        let ops = self.ops.iter().map(Op::doc);
        Doc::separated(builds.chain(from).chain(ops), || Doc::Cut)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_bytes(), f)
    }
}

impl Op {
    /// Returns the heading of this op in the log of a build: `WORKDIR: OP`, further lines aligned.
    pub fn heading(&self, workdir: &BStr) -> BString {
        let place = Doc::text(bstr::concat([workdir.as_bytes(), b": "]));
        let parts = vec![place, self.doc()];
        layout::render(&Doc::Group(Breaks::Always, 2, parts))
    }

    /// Returns the canonical form.
    pub fn to_bytes(&self) -> BString {
        layout::render(&self.doc())
    }

    /// Returns it as an S-expression.
    pub fn to_sexp(&self) -> Sexp {
        let (name, arguments) = self.parts();
        named(name, arguments)
    }

    /// Returns the name and the arguments or fields.
    fn parts(&self) -> (&'static str, Vec<Sexp>) {
        match self {
            Self::Comment(text) => ("comment", atoms([text])),
            Self::Workdir(dir) => ("workdir", atoms([dir])),
            Self::Shell(words) => ("shell", atoms(words)),
            Self::Run(run) => ("run", run.fields()),
            Self::Copy(copy) => ("copy", copy.fields()),
            Self::User(user) => ("user", user.fields()),
            Self::Env(name, value) => ("env", atoms([name, value])),
        }
    }

    fn doc(&self) -> Doc {
        let (name, arguments) = self.parts();
        let breaks = match self {
            Self::Run(_) => Breaks::Always,
            Self::Copy(_) => Breaks::IfLong,
            _ => return one_line(&self.to_sexp()),
        };
        let fields = Doc::separated(arguments.iter().map(one_line), || Doc::Space);
        Doc::Sequence(vec![
            Doc::text(format!("({name} ")),
            Doc::Group(breaks, 0, fields),
            Doc::text(")"),
        ])
    }
}

impl Run {
    fn fields(&self) -> Vec<Sexp> {
        let mut fields = Vec::new();
        push_unless_empty(
            &mut fields,
            "cache",
            mounts(&self.cache, CacheMount::to_sexp),
        );
        push_unless_empty(&mut fields, "network", atoms(&self.network));
        push_unless_empty(
            &mut fields,
            "secrets",
            mounts(&self.secrets, SecretMount::to_sexp),
        );
        fields.push(Sexp::field("shell", Sexp::atom(self.shell.clone())));
        fields
    }
}

impl Copy {
    fn fields(&self) -> Vec<Sexp> {
        let mut fields = Vec::new();
        if let Source::Build(name) = &self.from {
            let build = Sexp::field("build", Sexp::atom(name.clone()));
            fields.push(Sexp::field("from", build));
        }
        fields.push(named("src", atoms(&self.src)));
        fields.push(Sexp::field("dst", Sexp::atom(self.dst.clone())));
        push_unless_empty(&mut fields, "exclude", atoms(&self.exclude));
        fields
    }
}

impl User {
    /// Returns the fields of the op `user`, which step ids contain too.
    pub fn fields(&self) -> Vec<Sexp> {
        let number = |name, id: &i64| Sexp::field(name, Sexp::atom(id.to_string()));
        match self {
            Self::Unix { uid, gid } => vec![number("uid", uid), number("gid", gid)],
            Self::Named(name) => vec![Sexp::field("name", Sexp::atom(name.clone()))],
        }
    }
}

impl CacheMount {
    fn to_sexp(&self) -> Sexp {
        mount_sexp(&self.id, &self.target, &self.buildkit_options)
    }
}

impl SecretMount {
    fn to_sexp(&self) -> Sexp {
        mount_sexp(&self.id, &self.target, &self.buildkit_options)
    }
}

fn mount_sexp(id: &BString, target: &BString, options: &[(BString, BString)]) -> Sexp {
    let mut items = vec![
        Sexp::atom(id.clone()),
        Sexp::field("target", Sexp::atom(target.clone())),
    ];
    if !options.is_empty() {
        let pairs = options
            .iter()
            .map(|(key, value)| Sexp::List(atoms([key, value])));
        items.push(Sexp::field("buildkit_options", Sexp::list(pairs)));
    }
    Sexp::List(items)
}

fn mounts<T>(mounts: &[T], to_sexp: fn(&T) -> Sexp) -> Vec<Sexp> {
    mounts.iter().map(to_sexp).collect()
}

fn atoms<'a>(words: impl IntoIterator<Item = &'a BString>) -> Vec<Sexp> {
    words.into_iter().cloned().map(Sexp::Atom).collect()
}

/// Returns `(name items…)`.
fn named(name: &str, mut items: Vec<Sexp>) -> Sexp {
    items.insert(0, Sexp::atom(name));
    Sexp::List(items)
}

fn push_unless_empty(fields: &mut Vec<Sexp>, name: &str, items: Vec<Sexp>) {
    if !items.is_empty() {
        fields.push(named(name, items));
    }
}

fn from_doc(base: &BStr) -> Doc {
    one_line(&Sexp::field("from", Sexp::atom(base)))
}

/// Returns a nested build, whose spec is aligned under its name and whose parentheses close on its last line.
fn build_doc(name: &BStr, spec: &Spec) -> Doc {
    let parts = vec![
        atom_doc(name),
        Doc::Cut,
        Doc::text("("),
        Doc::Group(Breaks::Always, 0, spec.lines()),
        Doc::text(")"),
    ];
    Doc::Sequence(vec![
        Doc::text("(build "),
        Doc::Group(Breaks::Always, 0, parts),
        Doc::text(")"),
    ])
}

/// Returns an S-expression on one line, apart from the newlines in its words.
fn one_line(sexp: &Sexp) -> Doc {
    Doc::Group(Breaks::Never, 0, vec![one_line_part(sexp)])
}

fn one_line_part(sexp: &Sexp) -> Doc {
    match sexp {
        Sexp::Atom(word) => atom_doc(word.as_bstr()),
        Sexp::List(items) => {
            let mut parts = vec![Doc::text("(")];
            parts.extend(Doc::separated(items.iter().map(one_line_part), || {
                Doc::Space
            }));
            parts.push(Doc::text(")"));
            Doc::Sequence(parts)
        }
    }
}

/// Returns a word. One with a newline before its end has a line for each of its lines: each but the last ends with a
/// backslash, which joins it to the next one, and each but the first starts with an escaped newline. A space before the
/// whole lines up its first line with the others.
fn atom_doc(word: &BStr) -> Doc {
    let newline_inside = word
        .find_byte(b'\n')
        .is_some_and(|newline| newline + 1 < word.len());
    if !newline_inside {
        return Doc::text(quote::atom(word));
    }
    let mut parts = Vec::new();
    let mut line = BString::from(" \"");
    for (number, text) in word.split_str("\n").enumerate() {
        if number > 0 {
            line.push(b'\\');
            parts.extend([Doc::Text(line), Doc::Newline]);
            line = BString::from("\\n");
        }
        quote::escape_into(&mut line, text);
    }
    line.push(b'"');
    parts.push(Doc::Text(line));
    Doc::Group(Breaks::Never, 0, parts)
}

#[cfg(test)]
#[path = "print_tests.rs"]
mod tests;
