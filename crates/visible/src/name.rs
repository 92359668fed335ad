//! Names of workers, clients and pools: the one rule for all of them.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use crate::is_visible;

/// The longest name, in bytes: as long as a host's or a file's may be.
pub const MAX_NAME_BYTES: usize = 255;

/// Why a name was refused.
///
/// Names are printed in logs, metrics and the operator's view, where a line break could forge another line, and two
/// names must not look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name has no characters.
    Empty,
    /// The name has so many bytes, which is more than [`MAX_NAME_BYTES`].
    TooLong(usize),
    /// The name contains this character, which [`is_visible`] refuses.
    Invisible(char),
    /// The name begins with a dash, so that a command line would take it for an option.
    Dash,
    /// The name begins or ends with a space.
    OuterSpace,
    /// The name is in parentheses, which mark words that are not names: `(backlog)`.
    Parentheses,
    /// The name reads as a path to somewhere else: it begins or ends with a slash, or a part of it is empty, `.` or
    /// `..`.
    Path,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("name is empty; use at least one character"),
            Self::TooLong(bytes) => write!(
                f,
                "name has {bytes} bytes, and the limit is {MAX_NAME_BYTES}; use a shorter one"
            ),
            Self::Invisible(c) if c.is_control() => {
                write!(
                    f,
                    "name contains the control character {c:?}; use printable characters"
                )
            }
            Self::Invisible(c) => {
                let code = u32::from(*c);
                write!(
                    f,
                    "name contains U+{code:04X}, which cannot be seen; use printable characters"
                )
            }
            Self::Dash => f.write_str("name begins with a dash; put something before it"),
            Self::OuterSpace => f.write_str("name begins or ends with a space; remove it"),
            Self::Parentheses => f.write_str("name is in parentheses; remove them"),
            Self::Path => f.write_str(
                "name reads as a path; remove slashes at its ends, double ones, and the parts \".\" and \"..\"",
            ),
        }
    }
}

impl core::error::Error for NameError {}

/// Checks the name of a worker, a client or a pool.
///
/// Letters of all scripts and most signs are allowed, as are spaces and slashes inside: upstream's scheduler allows all
/// names, and clusters use some of these.
///
/// # Errors
///
/// [`NameError`] if the name breaks a rule.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    if let Some(c) = name.chars().find(|&c| !is_visible(c)) {
        return Err(NameError::Invisible(c));
    }
    if name.starts_with('-') {
        return Err(NameError::Dash);
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Err(NameError::OuterSpace);
    }
    if name.starts_with('(') && name.ends_with(')') {
        return Err(NameError::Parentheses);
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(NameError::Path);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns `name` as a name.
            ///
            /// # Errors
            ///
            /// [`NameError`] if [`check_name`] refuses it.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check_name(name)?;
                Ok(Self(name.into()))
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A text that [`check_name`] accepts.
    ///
    /// Clones share the text, also between threads: names go to the thread that writes the database.
    Name
}

name! {
    /// The name under which a worker registers.
    WorkerName
}

name! {
    /// The id of a client.
    ClientId
}

impl From<Name> for ClientId {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Names that two readers would read differently are refused; those that real machines and clients have are not.
    #[test]
    fn deceptive_names_are_refused() {
        for name in [
            "w1",
            "linux-x86_64",
            "build.example.org:9000",
            "me@host",
            "org/repo",
            "two words",
            "ünïcode",
            "日本",
            "(a) b",
            "..a",
            &"x".repeat(255),
        ] {
            assert!(WorkerName::new(name).is_ok(), "{name:?}");
            assert!(ClientId::new(name).is_ok(), "{name:?}");
        }
        let refusals: Vec<String> = [
            " ",
            " w",
            "-w",
            "w ",
            "w\u{202e}1",
            "w\u{200b}",
            "w\u{2028}",
            "w\u{a0}",
            "\u{1b}[2J",
            "(backlog)",
            "../../x",
            "a/../b",
            "/etc",
            "a/",
            "a//b",
            ".",
            "..",
            &"x".repeat(256),
            &"x".repeat(30 << 20),
        ]
        .iter()
        .map(|name| {
            let error = WorkerName::new(name).unwrap_err();
            assert_eq!(ClientId::new(name), Err(error));
            let name: String = name.chars().take(10).collect();
            format!("{name:?}: {error}\n")
        })
        .collect();
        expect![[r#"
            " ": name begins or ends with a space; remove it
            " w": name begins or ends with a space; remove it
            "-w": name begins with a dash; put something before it
            "w ": name begins or ends with a space; remove it
            "w\u{202e}1": name contains U+202E, which cannot be seen; use printable characters
            "w\u{200b}": name contains U+200B, which cannot be seen; use printable characters
            "w\u{2028}": name contains U+2028, which cannot be seen; use printable characters
            "w\u{a0}": name contains U+00A0, which cannot be seen; use printable characters
            "\u{1b}[2J": name contains the control character '\u{1b}'; use printable characters
            "(backlog)": name is in parentheses; remove them
            "../../x": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "a/../b": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "/etc": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "a/": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "a//b": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            ".": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "..": name reads as a path; remove slashes at its ends, double ones, and the parts "." and ".."
            "xxxxxxxxxx": name has 256 bytes, and the limit is 255; use a shorter one
            "xxxxxxxxxx": name has 31457280 bytes, and the limit is 255; use a shorter one
        "#]].assert_eq(&refusals.concat());
    }

    #[test]
    fn names_are_read_from_text() {
        assert_eq!("w1".parse::<WorkerName>(), WorkerName::new("w1"));
        assert_eq!("".parse::<ClientId>(), Err(NameError::Empty));
    }
}
