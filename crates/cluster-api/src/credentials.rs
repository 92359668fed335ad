//! Texts as they may be shown: without what they let their readers in by.

/// What follows the scheme of a URL.
const MARK: &str = "://";

/// Returns a text without the users and passwords of the URLs in it, and without all of a sturdy ref but its scheme.
///
/// It is for what people have given to us, and what may hold several URLs in any shape: rather too little is left
/// than too much.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        shown.push_str(before);
        shown.push_str(MARK);
        let is_word = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'');
        if before.ends_with("capnp") {
            let end = after.find(|c| !is_word(c) || c == ',');
            shown.push('…');
            rest = after.split_at(end.unwrap_or(after.len())).1;
            continue;
        }
        // No comma ends it, as it may be part of a password.
        let end = after.find(|c| !is_word(c) || c == '/');
        let end = end.unwrap_or(after.len()).min(next_url(after));
        let (authority, _) = after.split_at(end);
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push('…');
                after.split_at(at).1
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

/// Returns where the scheme of the next URL ends.
fn next_url(text: &str) -> usize {
    text.find(MARK).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_is_shown_without_its_credentials() {
        for (text, shown) in [
            ("plain, with@nothing", "plain, with@nothing"),
            ("https://h/x@y", "https://h/x@y"),
            ("https://u:pw@h/x", "https://…@h/x"),
            ("http://u:p@w@h", "http://…@h"),
            ("http://u:p,w@h/x", "http://…@h/x"),
            (
                "a:http://h/x,b:http://u:pw@h2/y",
                "a:http://h/x,b:http://…@h2/y",
            ),
            ("http://h,http://u:pw@h2,c", "http://h,http://…@h2,c"),
            (
                "curl 'http://h' \"ftp://u:pw@h2\" me@h3",
                "curl 'http://h' \"ftp://…@h2\" me@h3",
            ),
            ("http://h me@h2", "http://h me@h2"),
            (
                "x capnp://sha-256:AA@h:9/secret, http://u:p@h",
                "x capnp://…, http://…@h",
            ),
            ("://://@", "://://…@"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
