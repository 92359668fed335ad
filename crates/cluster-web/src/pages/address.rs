//! Texts in addresses.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a query or a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Returns a text as it stands in an address.
pub(super) fn encoded(text: impl AsRef<str>) -> String {
    utf8_percent_encode(text.as_ref(), PLAIN).to_string()
}
