//! Names of workers and clients, and cache hints: strings that are shared rather than copied.
//!
//! All three hold an `Arc<str>`. One hint may be written on a million queued tickets, so it is stored
//! once; and `Arc` rather than `Rc` because effects carry names to the thread that writes the database.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// Why a name was refused.
///
/// Names are printed in logs, metrics and the operator's view, where a line break could forge a
/// line of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name has no characters.
    Empty,
    /// The name contains this control character.
    ControlCharacter(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("name is empty; use at least one character"),
            Self::ControlCharacter(c) => {
                write!(
                    f,
                    "name contains the control character {c:?}; use printable characters"
                )
            }
        }
    }
}

impl core::error::Error for NameError {}

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
    /// The name under which a worker registers; never empty, and free of control characters.
    WorkerName
}

shared_str! {
    /// The id of a client; never empty, and free of control characters.
    ClientId
}

shared_str! {
    /// An opaque string: jobs with the same hint like the same worker.
    ///
    /// Comes from clients unchecked, so `Display` escapes control characters and stands
    /// "(no cache hint)" for the empty one.
    CacheHint
}

macro_rules! checked_name {
    ($name:ident) => {
        impl $name {
            /// Returns `name`, or why it can't be one.
            pub fn new(name: &str) -> Result<Self, NameError> {
                if name.is_empty() {
                    return Err(NameError::Empty);
                }
                match name.chars().find(|c| c.is_control()) {
                    Some(c) => Err(NameError::ControlCharacter(c)),
                    None => Ok(Self(name.into())),
                }
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
        write_printable(f, &self.0)
    }
}

/// Writes `text` with its control characters escaped.
pub(crate) fn write_printable(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() {
            write!(f, "{}", c.escape_default())?;
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
}
