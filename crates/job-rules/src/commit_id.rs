//! The ids of commits.

use std::fmt;

/// The full id of a commit: 40 hexadecimal digits, or 64 in repositories of git's newer format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitId(String);

/// The text is not the full id of a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("commit {0:?} is not a full 40-digit hexadecimal id")]
pub struct CommitIdError(String);

impl CommitId {
    /// Reads a full id. Abbreviations are refused: they may match other commits as the repository grows.
    ///
    /// # Errors
    /// When the text is not a full id.
    pub fn parse(text: &str) -> Result<Self, CommitIdError> {
        let full = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !full {
            return Err(CommitIdError(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Returns it in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is of git's newer format.
    pub fn is_sha256(&self) -> bool {
        self.0.len() == 64
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
