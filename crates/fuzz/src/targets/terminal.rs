//! Texts from the network: they cannot control a terminal, forge a line or hide anything.

use cli::quote::{printable, quoted};
use visible::{Lines, OneLine, Shown, is_visible};

pub(super) fn run(bytes: &[u8]) {
    let quoted = quoted(bytes);
    assert!(quoted.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    assert!(quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"'));
    let text = &*String::from_utf8_lossy(bytes);
    let shown = printable(text);
    assert_harmless(&shown, "");
    assert_eq!(printable(&shown), shown);
    assert_harmless(&OneLine(text).to_string(), "");
    let cut = Shown(text).to_string();
    assert_harmless(&cut, "");
    assert!(cut.chars().count() <= 2001, "{cut}");
    let lines = Lines(text).to_string();
    assert_harmless(&lines, "\n\t");
    assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
}

fn assert_harmless(shown: &str, but: &str) {
    for c in shown.chars().filter(|c| !but.contains(*c)) {
        assert!(is_visible(c) && !c.is_control(), "{shown:?}");
        // Listed here again, in case the rule lacks one.
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let breaks = matches!(c, '\u{2028}' | '\u{2029}');
        let hides = matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        assert!(!turns && !breaks && !hides, "{shown:?}");
    }
}
