//! Texts from the network: on a terminal they take one line, and steer nothing.

use ocluster::quote::{printable, quoted};

pub(super) fn run(bytes: &[u8]) {
    let quoted = quoted(bytes);
    assert!(quoted.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    assert!(quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"'));
    let text = String::from_utf8_lossy(bytes);
    let shown = printable(&text);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(printable(&shown), shown);
}
