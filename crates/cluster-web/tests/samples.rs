//! The HTML of every page, with made-up and with hostile data: it is well formed, has nothing inline that the pages'
//! policy forbids, and does nothing that a text in it asks for.

use std::collections::HashSet;

#[path = "../examples/samples/main.rs"]
#[expect(dead_code, reason = "the example also writes them to files")]
mod samples;

/// Elements that have no end.
const VOID: [&str; 5] = ["meta", "link", "input", "!doctype", "br"];

/// Elements of pictures, which may be empty.
const EMPTY: [&str; 4] = ["rect", "line", "circle", "path"];

/// Attributes that never come from our templates.
const FORBIDDEN: [&str; 5] = [" style=", " onclick=", " onerror=", " onload=", " srcdoc="];

/// A begin or an end of an element, as a browser reads it.
struct Tag<'a> {
    name: &'a str,
    /// All of it between `<` and `>`.
    text: &'a str,
}

/// Returns the tags of a page. Fails where a quote is open or a `<` begins nothing.
fn tags<'a>(page: &str, html: &'a str) -> Vec<Tag<'a>> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        let after = &rest[begin + 1..];
        let mut is_quoted = false;
        let end = after.find(|c: char| {
            is_quoted ^= c == '"';
            c == '>' && !is_quoted
        });
        let end = end.unwrap_or_else(|| panic!("{page}: a tag has no end: {after:.80}"));
        let text = &after[..end];
        let name = text.split([' ', '/']).find(|name| !name.is_empty());
        tags.push(Tag {
            name: name.unwrap_or_else(|| panic!("{page}: <{text}>")),
            text,
        });
        rest = &after[end + 1..];
    }
    tags
}

#[test]
fn every_page_is_well_formed() {
    for (page, html) in samples::all().unwrap() {
        let mut open = Vec::new();
        let mut ids = HashSet::new();
        for Tag { name, text } in tags(page, &html) {
            if let Some(id) = text.split(" id=\"").nth(1) {
                let id = id.split('"').next().unwrap();
                assert!(ids.insert(id), "{page}: {id} is there twice");
            }
            assert!(
                FORBIDDEN
                    .iter()
                    .all(|word| !outside_quotes(text).contains(word)),
                "{page}: <{text}>"
            );
            if text.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{page}: <{text}>");
            } else if !(VOID.contains(&name) || EMPTY.contains(&name) && text.ends_with('/')) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{page}: {open:?}");
    }
}

/// Returns a tag without the values of its attributes.
fn outside_quotes(text: &str) -> String {
    text.split('"').step_by(2).collect()
}

#[test]
fn no_text_can_act() {
    let pages = samples::all().unwrap();
    for (page, html) in &pages {
        for Tag { name, text } in tags(page, html) {
            let is_ours = text.contains("src=\"/assets/") || text == "/script";
            assert!(!name.starts_with("script") || is_ours, "{page}: <{text}>");
            assert_ne!(name, "img", "{page}: <{text}>");
            assert!(!text.contains("href=\"javascript:"), "{page}: <{text}>");
        }
        let hidden = |c: char| !matches!(c, '\n' | '\t') && !visible::is_text(c);
        assert_eq!(html.find(hidden), None, "{page}");
    }
    let hostile = pages
        .iter()
        .find(|(page, _)| *page == "hostile-job")
        .unwrap();
    assert!(hostile.1.contains("&lt;script&gt;window.pwned"));
}

#[test]
fn states_are_words() {
    let (_, html) = samples::all().unwrap().remove(0);
    for word in ["failed", "timed-out", "lost"] {
        assert!(html.contains(&format!("<span class=\"state {word}\">{word}</span>")));
    }
}
