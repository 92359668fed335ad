//! Replaces secrets in the output of programs, as it arrives.
//!
//! A [`Redactor`] has a job's secrets, in the forms in which they usually appear in logs. A [`Stream`] replaces them by
//! [`PLACEHOLDER`] in one output. The result does not depend on the pieces in which the output arrives. Only the few
//! bytes at the end that could be the beginning of a secret are delayed.
//!
//! ```
//! let redactor = redact::Redactor::new([&b"s3cret-token"[..]]);
//! let mut stream = redactor.stream();
//! let mut shown = Vec::new();
//! stream.push(b"Authorization: s3cret-", &mut shown);
//! assert_eq!(shown, b"Authorization: ");
//! stream.push(b"token\n", &mut shown);
//! stream.finish(&mut shown);
//! assert_eq!(shown, b"Authorization: ***\n");
//! ```
//!
//! This prevents accidents (`set -x`, `env`, a tool that prints its configuration). It cannot stop a program that
//! prints a secret on purpose, as it can encode it in many other ways.

mod forms;
mod matcher;
mod patterns;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use forms::Form;
use patterns::{Budget, Patterns};
pub use stream::Stream;

/// The text that replaces a secret.
pub const PLACEHOLDER: &str = "***";

/// The length of the shortest secret that is redacted, in bytes.
///
/// A shorter one would be found in many ordinary words, and could be guessed from what is missing there.
pub const MIN_SECRET_BYTES: usize = 5;

/// The length of the shortest line of a secret that is redacted on its own, in bytes: `}` or `[main]` is no secret.
pub const MIN_LINE_BYTES: usize = 8;

/// A set of secrets to redact. Clones share it.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<SecretPatterns>>);

/// The automata that find secrets.
struct SecretPatterns {
    /// Finds unencoded secrets.
    plain: Patterns,
    /// Finds encoded secrets, also if they are broken into lines.
    encoded: Patterns,
    coverage: Coverage,
}

/// Which secrets are not redacted, or not in all their forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// How many secrets are shorter than [`MIN_SECRET_BYTES`], and so not redacted.
    pub too_short: usize,
    /// Whether the secrets are so large in total that some of their forms are not redacted.
    pub is_partial: bool,
}

impl Redactor {
    /// Returns a redactor of these values: whole, line by line, and encoded in base64, in hexadecimal, for URLs and for
    /// JSON.
    ///
    /// It takes about 10 MiB of memory at most. Not all forms of very large secrets are found, and
    /// [`coverage`](Self::coverage) reports that.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut coverage = Coverage::default();
        let mut values = BTreeSet::new();
        for secret in secrets {
            match secret.trim_ascii().len() {
                0 => {}
                1..MIN_SECRET_BYTES => coverage.too_short += 1,
                // The smallest come first, in case the budget is not enough for all.
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
        Self(Some(Arc::new(SecretPatterns {
            plain,
            encoded,
            coverage,
        })))
    }

    /// Returns which secrets are not redacted.
    pub fn coverage(&self) -> Coverage {
        self.0
            .as_ref()
            .map_or_else(Coverage::default, |known| known.coverage)
    }

    /// Returns a stream for one output.
    pub fn stream(&self) -> Stream {
        Stream::new(self.0.clone())
    }

    /// Returns a text without the secrets.
    pub fn text(&self, text: &str) -> String {
        if self.0.is_none() {
            return text.to_owned();
        }
        let (mut stream, mut redacted) = (self.stream(), Vec::new());
        stream.push(text.as_bytes(), &mut redacted);
        stream.finish(&mut redacted);
        // A form only ends in the middle of a character if the secret is no UTF-8.
        String::from_utf8_lossy(&redacted).into_owned()
    }
}

/// Shows neither the secrets nor their number.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}
