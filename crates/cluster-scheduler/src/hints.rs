//! Cache hints as the scheduler compares, keeps and saves them.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// The longest hint that is kept as it is, in bytes. Clients write repositories, branches and digests into theirs, in
/// some 100.
const KEPT_BYTES: usize = 1024;

/// How much of a longer one is kept, for people to recognise.
const BEGINNING_BYTES: usize = 128;

/// Returns what stands for a hint: itself, or, if it is long, its beginning and its digest.
///
/// Hints are free text, and none is refused: equal ones stay equal, and different ones different, in memory of fixed
/// size.
pub(crate) fn key(hint: &str) -> Cow<'_, str> {
    if hint.len() <= KEPT_BYTES {
        return Cow::Borrowed(hint);
    }
    let beginning = visible::beginning(hint, BEGINNING_BYTES);
    let digest = Sha256::digest(hint);
    Cow::Owned(format!("{beginning}… sha256:{digest:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_hint_is_told_from_others_by_its_digest() {
        assert_eq!(key("org/repo-linux"), "org/repo-linux");
        assert_eq!(key(&"x".repeat(1024)), "x".repeat(1024));
        let long = "é".repeat(4_000_000);
        assert_eq!(key(&long), key(&long));
        assert_ne!(key(&long), key(&(long.clone() + "x")));
        assert!(key(&long).len() < 256, "{}", key(&long));
        assert!(key(&long).starts_with("éé"));
    }
}
