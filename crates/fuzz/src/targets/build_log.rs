//! Logs of builds as pages show them: nothing in them can act, and pieces make no difference.

use std::collections::BTreeMap;

use cluster_web::log::{Line, Start, Terminal, fold};

/// What may follow a `<`.
const TAGS: [&str; 7] = [
    "span class=\"",
    "/span>",
    "mark>",
    "/mark>",
    "a rel=\"noopener nofollow\" href=\"http://",
    "a rel=\"noopener nofollow\" href=\"https://",
    "/a>",
];

pub(super) fn run(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len());
    assert_eq!(whole, lines(bytes, 7));
    for line in &whole {
        assert_harmless(&line.html(Some("a")));
    }
    let count = whole.len();
    let folded: usize = fold(whole, &[]).iter().map(|fold| fold.lines.len()).sum();
    assert_eq!(folded, count);
}

/// Returns the last state of each line of a log that comes in pieces of some size.
fn lines(bytes: &[u8], size: usize) -> Vec<Line> {
    let mut terminal = Terminal::new(Start::BEGINNING);
    let mut lines = BTreeMap::new();
    for piece in bytes.chunks(size.max(1)) {
        terminal.read(piece);
        lines.extend(
            terminal
                .take_changed()
                .into_iter()
                .map(|line| (line.offset, line)),
        );
    }
    let resumed = terminal.resume();
    assert!(resumed.offset <= bytes.len() as u64);
    lines.into_values().collect()
}

fn assert_harmless(html: &str) {
    for (at, _) in html.match_indices('<') {
        let after = html.split_at(at + 1).1;
        // The scheme of an address may be in capitals.
        let is_known = |tag: &&&str| {
            let begin = after.get(..tag.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(tag))
        };
        let known = TAGS.iter().find(is_known);
        let known = known.unwrap_or_else(|| panic!("{html:?}"));
        if !known.ends_with('>') {
            let value = after.split_at(known.len()).1;
            let (value, rest) = value.split_once('"').expect("a value ends");
            assert!(
                rest.starts_with('>') && !value.contains(['<', '>', '\'']),
                "{html:?}"
            );
        }
    }
    let is_visible = |c: char| c == '\t' || visible::is_text(c);
    assert!(html.chars().all(is_visible), "{html:?}");
}
