//! Names of workers and clients, and cache hints: strings that are shared rather than copied.
//!
//! All three hold an `Arc<str>`. One hint may be written on a million queued tickets, so it is stored
//! once; and `Arc` rather than `Rc` because effects carry names to the thread that writes the database.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use visible::{Shown, is_visible};

/// The longest name, in bytes: as long as a machine's may be, and as a file's.
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
    /// The name contains this character, which a reader would not see as what it is.
    Invisible(char),
    /// The name begins with a dash, and would be an option where it is an argument.
    Dash,
    /// The name begins or ends with a space.
    OuterSpace,
    /// The name is in parentheses, like the words that are shown instead of names: `(backlog)`.
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

/// Checks what may be the name of anything: a worker, a client, a pool.
///
/// Letters of all scripts and most signs are welcome, as are spaces and slashes inside: other schedulers allow all
/// names, and farms have used some of them.
///
/// # Errors
///
/// [`NameError`] says what is wrong with the name.
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

macro_rules! shared_str {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

shared_str! {
    /// The name under which a worker registers: one that [`check_name`] accepts.
    WorkerName
}

shared_str! {
    /// The id of a client: a name that [`check_name`] accepts.
    ClientId
}

shared_str! {
    /// An opaque string: jobs with the same hint like the same worker.
    ///
    /// Comes from clients unchecked, so `Display` escapes what cannot be seen and cuts what is long, and stands
    /// "(no cache hint)" for the empty one.
    CacheHint
}

macro_rules! checked_name {
    ($name:ident) => {
        impl $name {
            /// Returns `name` as a name.
            ///
            /// # Errors
            ///
            /// [`NameError`] says what is wrong with it.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check_name(name)?;
                Ok(Self(name.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name!(WorkerName);
checked_name!(ClientId);

impl CacheHint {
    /// Returns the hint for `text`; any text will do, and the empty one means "no hint".
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Tells whether this is the empty hint, which prefers no worker.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for CacheHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("(no cache hint)");
        }
        Shown(&self.0).fmt(f)
    }
}
