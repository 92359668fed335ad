//! Cache hints.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use visible::Shown;

/// An opaque string: jobs with the same hint prefer the same worker.
///
/// Clients may send any text, so `Display` escapes what cannot be seen, cuts what is long, and shows the empty hint as
/// "(no cache hint)". Clones share the text: a million queued tickets may have the same hint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheHint(Arc<str>);

impl CacheHint {
    /// Returns the hint for `text`, which may be any text; the empty one means "no hint".
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the hint as its client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the empty hint, which prefers no worker.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Borrow<str> for CacheHint {
    fn borrow(&self) -> &str {
        &self.0
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

impl fmt::Debug for CacheHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
