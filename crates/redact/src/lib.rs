//! Keeps secrets out of what programs print, as it streams by.
//!
//! A [`Redactor`] knows a job's secrets in the forms in which they usually get into a log; a [`Stream`] replaces them by
//! [`MARK`] in one output. The output may come in pieces of any size: what comes out is the same. Nothing is held back but the few
//! bytes at the end that could be the beginning of a secret.
//!
//! This keeps accidents out of logs (`set -x`, `env`, a tool that prints its configuration). It cannot stop a program that *wants* to
//! tell a secret, which has a thousand other ways of writing it.

mod forms;
mod lane;
mod patterns;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use forms::Form;
use patterns::{Budget, Patterns};
pub use stream::Stream;

/// What a secret is replaced by.
pub const MARK: &str = "***";

/// The length of the shortest secret that is redacted, in bytes.
///
/// A shorter one would be found in many innocent words, and be told by what is missing there.
pub const SHORTEST: usize = 5;

/// The length of the shortest line of a secret that is redacted by itself, in bytes: `}` or `[main]` is no secret.
pub const SHORTEST_LINE: usize = 8;

/// Knows secrets. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Known>>);

/// The automata that find the secrets.
struct Known {
    /// Finds them as they are.
    plain: Patterns,
    /// Finds their encodings, in whatever way these are broken into lines.
    encoded: Patterns,
    coverage: Coverage,
}

/// Which secrets are not redacted, or not in all their forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// How many secrets are shorter than [`SHORTEST`], and so not redacted at all.
    pub too_short: usize,
    /// Whether the secrets are so large in all that some of their forms are not looked for.
    pub is_partial: bool,
}

impl Redactor {
    /// Returns what redacts these values: whole, line by line, and encoded as base64, as hexadecimal digits, for a URL or for JSON.
    ///
    /// Memory is bounded, by about 10 MiB for secrets of any size; of very large ones, not all forms are found then, which
    /// [`coverage`](Self::coverage) tells.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut coverage = Coverage::default();
        let mut values = BTreeSet::new();
        for secret in secrets {
            match secret.trim_ascii().len() {
                0 => {}
                1..SHORTEST => coverage.too_short += 1,
                // The smallest come first, in case there is too much for all.
                length => {
                    values.insert((length, secret));
                }
            }
        }
        if values.is_empty() && coverage == Coverage::default() {
            return Self(None);
        }
        let mut budget = Budget::default();
        let (mut plain, mut encoded) = (Vec::new(), Vec::new());
        for (length, value) in values {
            for form in Form::ALL {
                if !budget.has_room(length) {
                    budget.exceed();
                    break;
                }
                let patterns = if form.is_plain() {
                    &mut plain
                } else {
                    &mut encoded
                };
                form.add_to(value, &mut |pattern| budget.add(patterns, pattern));
            }
        }
        let build = |patterns: Vec<Vec<u8>>| {
            Patterns::new(patterns).unwrap_or_else(|| {
                budget.exceed();
                Patterns::default()
            })
        };
        let (plain, encoded) = (build(plain), build(encoded));
        coverage.is_partial = budget.is_exceeded();
        Self(Some(Arc::new(Known {
            plain,
            encoded,
            coverage,
        })))
    }

    /// Returns what is not redacted.
    pub fn coverage(&self) -> Coverage {
        self.0
            .as_ref()
            .map_or_else(Coverage::default, |known| known.coverage)
    }

    /// Returns the beginning of an output from which the secrets are to be removed.
    pub fn stream(&self) -> Stream {
        Stream::new(self.0.clone())
    }

    /// Returns a whole text without the secrets.
    pub fn text(&self, text: &str) -> String {
        if self.0.is_none() {
            return text.to_owned();
        }
        let (mut stream, mut redacted) = (self.stream(), Vec::new());
        stream.push(text.as_bytes(), &mut redacted);
        stream.finish(&mut redacted);
        // A form never ends in the middle of a character unless a secret is no UTF-8.
        String::from_utf8_lossy(&redacted).into_owned()
    }
}

/// Shows no secrets, and not how many there are.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}
