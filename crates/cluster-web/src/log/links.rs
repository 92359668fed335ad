//! Links and words in the text of a line.

use std::ops::Range;

/// How long a link may be.
const MAX_LINK: usize = 1024;
/// How many links, and how many marked words, a line may have.
const MAX_FOUND: usize = 100;

/// Returns whether a URL leads to the web, and is nothing but printable ASCII.
pub(super) fn is_web_link(url: &str) -> bool {
    let Some(rest) = after_scheme(url) else {
        return false;
    };
    url.len() <= MAX_LINK
        && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn after_scheme(url: &str) -> Option<&str> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| {
        let beginning = url.get(..scheme.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme))
    });
    scheme.and_then(|scheme| url.get(scheme.len()..))
}

/// Returns the places of the links in a text, in their order.
pub(super) fn find_links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while found.len() < MAX_FOUND {
        let Some(rest) = text.get(from..) else { break };
        // A single character is found faster than three.
        let Some(colon) = rest.find(':') else { break };
        let colon = from + colon;
        from = colon + 1;
        if !text.get(from..).is_some_and(|rest| rest.starts_with("//")) {
            continue;
        }
        from += 2;
        let schemes = ["https", "http"].into_iter();
        let mut starts = schemes.filter_map(|scheme| colon.checked_sub(scheme.len()));
        let Some(start) = starts.find(|start| {
            let is_after_word = text
                .get(..*start)
                .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric()));
            !is_after_word && text.get(*start..).and_then(after_scheme).is_some()
        }) else {
            continue;
        };
        let url = text.get(start..).unwrap_or_default();
        let length = url.find(|c: char| !c.is_ascii_graphic() || "<>\"'`\\^{}|".contains(c));
        let url = url.get(..length.unwrap_or(url.len())).unwrap_or_default();
        let url = without_punctuation(url);
        if is_web_link(url) {
            found.push(start..start + url.len());
            from = start + url.len();
        }
    }
    found
}

/// Removes what ends a sentence after a link, and a parenthesis that was opened before it.
fn without_punctuation(mut url: &str) -> &str {
    while let Some(last) = url.chars().next_back() {
        let is_outside = match last {
            ')' => !url.contains('('),
            ']' => !url.contains('['),
            last => ".,;:!?".contains(last),
        };
        if !is_outside {
            break;
        }
        url = url.get(..url.len() - 1).unwrap_or_default();
    }
    url
}

/// Returns the places of a word in a text, in any case of ASCII letters, in their order.
pub(super) fn find_text(text: &str, word: &str) -> Vec<Range<usize>> {
    if word.is_empty() {
        return Vec::new();
    }
    // Only ASCII letters change, so that all places stay as they are.
    let (text, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let found = text.match_indices(&word).take(MAX_FOUND);
    found.map(|(at, word)| at..at + word.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_a_text_are_found() {
        for (text, expected) in [
            (
                "see https://a.example/b?c=d#e, and",
                vec!["https://a.example/b?c=d#e"],
            ),
            ("(http://a.example/x)", vec!["http://a.example/x"]),
            ("http://a.example/x_(y).", vec!["http://a.example/x_(y)"]),
            ("<https://a.example>", vec!["https://a.example"]),
            ("HTTPS://A.example", vec!["HTTPS://A.example"]),
            ("git+https://a.example", vec!["https://a.example"]),
            ("xhttp://a.example", vec![]),
            ("javascript://a.example http:// https://-", vec![]),
            (
                "http://[::1]:80/ https://é.example",
                vec!["http://[::1]:80/"],
            ),
            ("ftp://a http://b", vec!["http://b"]),
        ] {
            let found = find_links(text);
            let found: Vec<&str> = found
                .into_iter()
                .filter_map(|range| text.get(range))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_links_to_the_web_are_links() {
        assert!(is_web_link("https://a.example/b"));
        for url in [
            "",
            "https://",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "//a.example",
            "https://a.example/\u{202e}",
            "https://a.example/ b",
            " https://a.example",
        ] {
            assert!(!is_web_link(url), "{url}");
        }
        assert!(!is_web_link(&format!(
            "https://a.example/{}",
            "x".repeat(MAX_LINK)
        )));
    }
}
