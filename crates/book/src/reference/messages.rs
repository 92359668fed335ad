//! The errors and log lines of all programs, read from the sources, for readers who search for a text that they see.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::markdown::code;

/// The crates whose messages users see, with their titles.
const CRATES: &[(&str, &str)] = &[
    ("vat", "Keys, cap files and connections"),
    ("cli", "All programs"),
    ("ocluster", "Command lines"),
    ("cluster-api", "Calls"),
    ("cluster-client", "Clients in Rust"),
    ("cluster-scheduler", "The scheduler"),
    ("pool", "Pools"),
    ("cluster-worker", "The worker"),
    ("job-rules", "Mistakes in jobs"),
    ("obuilder", "OBuilder"),
    ("obuilder-spec", "OBuilder specs"),
];

pub(super) fn page(root: &Path) -> Result<String> {
    let mut page = String::from(
        "# Messages\n\n\
         All errors and log lines of the programs, as they are in the sources. Search for a few words of what you see. \
         Words in braces are placeholders: `{address}`. [Troubleshooting](../troubleshooting.md) has what to do about \
         the common ones.\n",
    );
    for (name, title) in CRATES {
        let mut messages = BTreeSet::new();
        for file in sources(&root.join("crates").join(name).join("src"))? {
            let source = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let tokens: TokenStream = source
                .parse()
                .map_err(|error| anyhow!("{}: {error}", file.display()))?;
            collect(tokens, &mut messages);
        }
        // Writing to a String cannot fail.
        writeln!(page, "\n## {title}").unwrap_or_default();
        for kind in Kind::ALL {
            let of_kind: Vec<&Message> = messages.iter().filter(|m| m.kind == kind).collect();
            if !of_kind.is_empty() {
                writeln!(page, "\n### {title}: {}\n", kind.title()).unwrap_or_default();
            }
            for message in of_kind {
                writeln!(page, "- {}", code(&message.text)).unwrap_or_default();
            }
        }
    }
    Ok(page)
}

/// Returns the Rust files of a crate without those whose name is that of tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if stem == "testing" || stem == "tests" || stem.ends_with("_tests") || stem == "raw" {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where a message is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Failure,
    Hint,
    LoggedError,
    LoggedWarning,
    LoggedInfo,
    LoggedDebug,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Failure,
        Self::Hint,
        Self::LoggedError,
        Self::LoggedWarning,
        Self::LoggedInfo,
        Self::LoggedDebug,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Failure => "errors",
            Self::Hint => "hints",
            Self::LoggedError => "logged as ERROR",
            Self::LoggedWarning => "logged as WARNING",
            Self::LoggedInfo => "logged as INFO",
            Self::LoggedDebug => "logged as DEBUG",
        }
    }

    /// Returns the kind of the message that a call of this name makes, if it makes one.
    fn of_call(name: &str) -> Option<Self> {
        match name {
            "failed" | "usage" | "internal" | "interrupted" => Some(Self::Failure),
            "hint" => Some(Self::Hint),
            "error" => Some(Self::LoggedError),
            "warn" => Some(Self::LoggedWarning),
            "info" => Some(Self::LoggedInfo),
            "debug" | "trace" => Some(Self::LoggedDebug),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    kind: Kind,
    text: String,
}

/// Finds `#[error("…")]`, `tracing::LEVEL!(…)`, `CommandError::KIND(…)` and `.hint(…)`, but not in tests.
fn collect(tokens: TokenStream, messages: &mut BTreeSet<Message>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            // A test ends with its body, or as `mod tests;`.
            is_test &= !matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
            continue;
        };
        if is_test && group.delimiter() == Delimiter::Brace {
            is_test = false;
            continue;
        }
        let before = tokens.get(..at).unwrap_or_default();
        if let Some(kind) = kind_of(before, group)
            && let Some(text) = first_text(group.stream())
            && has_words(&text)
        {
            messages.insert(Message { kind, text });
        } else if group.delimiter() == Delimiter::Bracket && ends_with(before, &["#"]) {
            let attribute = group.stream().to_string();
            is_test |= attribute == "test" || attribute.replace(' ', "") == "cfg(test)";
        }
        if !is_test {
            collect(group.stream(), messages);
        }
    }
}

/// Returns the kind of message of the call or attribute whose arguments are `group`, after the tokens `before` it.
fn kind_of(before: &[TokenTree], group: &Group) -> Option<Kind> {
    if group.delimiter() != Delimiter::Parenthesis {
        return None;
    }
    let (name, before) = before.split_last()?;
    match name {
        // Inside of `#[…]`, `error(…)` has nothing before it.
        TokenTree::Ident(name) if name == "error" && before.is_empty() => Some(Kind::Failure),
        TokenTree::Ident(name) => {
            let is_method = ends_with(before, &["."]) && name == "hint";
            let is_ours = is_error_type(before);
            if !is_method && !is_ours {
                return None;
            }
            Kind::of_call(&name.to_string())
                .filter(|kind| matches!(kind, Kind::Failure | Kind::Hint))
        }
        TokenTree::Punct(mark) if mark.as_char() == '!' => {
            let (level, before) = before.split_last()?;
            ends_with(before, &["tracing", ":", ":"]).then(|| Kind::of_call(&level.to_string()))?
        }
        _ => None,
    }
}

/// Returns whether `before` ends with `SomeError::`.
fn is_error_type(before: &[TokenTree]) -> bool {
    let name = before.len().checked_sub(3).and_then(|at| before.get(at));
    let name = name.map(ToString::to_string).unwrap_or_default();
    ends_with(before, &[":", ":"]) && (name == "Self" || name.ends_with("Error"))
}

/// Returns whether a text has anything to search for besides placeholders.
fn has_words(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && c.is_alphabetic()
    })
}

fn ends_with(tokens: &[TokenTree], words: &[&str]) -> bool {
    let from = tokens.len().checked_sub(words.len());
    let end = from.and_then(|from| tokens.get(from..)).unwrap_or_default();
    end.len() == words.len()
        && end
            .iter()
            .zip(words)
            .all(|(token, word)| token.to_string() == *word)
}

/// Returns the first argument that is a text, or a `format_args!`. Others are fields, targets and values.
fn first_text(arguments: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens.split(is_comma).find_map(|argument| match argument {
        [literal @ TokenTree::Literal(_)] => text_of(literal),
        [literal @ TokenTree::Literal(_), TokenTree::Punct(dot), ..] if dot.as_char() == '.' => {
            text_of(literal)
        }
        [
            TokenTree::Ident(name),
            TokenTree::Punct(_),
            TokenTree::Group(inner),
        ] if name == "format_args" || name == "format" => first_text(inner.stream()),
        _ => None,
    })
}

fn text_of(literal: &TokenTree) -> Option<String> {
    let literal: syn::LitStr = syn::parse2(literal.clone().into()).ok()?;
    Some(literal.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_where_users_see_them_and_not_in_tests() {
        let source = r#"
            #[derive(Error)]
            enum E {
                #[error("no {0} \"here\"")]
                A(u8),
                #[error(transparent)]
                B(#[from] F),
            }
            fn f() -> Result<(), CommandError> {
                tracing::warn!(target: "worker", job = %id, "lost {name}");
                reply(capnp::Error::failed("{x}".to_owned()));
                reply(RpcError::failed("no such pool".to_owned()));
                Err(CommandError::usage(format_args!("bad {x}")).hint("do \
                    it"))
            }
            #[cfg(test)]
            mod tests { fn g() { tracing::info!("not this"); } }
            #[test]
            fn h() { tracing::info!("nor this"); }
            #[cfg(test)]
            mod others;
            fn i() { tracing::debug!("but this") }
        "#;
        let mut found = BTreeSet::new();
        collect(source.parse().unwrap(), &mut found);
        let found: Vec<String> = found
            .iter()
            .map(|m| format!("{:?} {}", m.kind, m.text))
            .collect();
        assert_eq!(
            found,
            [
                "Failure bad {x}",
                "Failure no such pool",
                "Failure no {0} \"here\"",
                "Hint do it",
                "LoggedWarning lost {name}",
                "LoggedDebug but this",
            ]
        );
    }
}
