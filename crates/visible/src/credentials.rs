//! Texts without the credentials in them.

use alloc::string::String;

/// What follows the scheme of a URL.
const MARK: &str = "://";

/// Returns a text without the users and passwords of the URLs in it, and without all of a sturdy ref but its scheme.
///
/// It is for settings and descriptions, which may hold several URLs in any shape. In doubt it removes more.
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
        let end = after.find(|c| !is_word(c));
        let end = end.unwrap_or(after.len()).min(next_url(after));
        let (url, _) = after.split_at(end);
        let authority = url.split_once('/').map_or(url, |(authority, _)| authority);
        // A slash in a password seems to end the authority; what is before it is then no port.
        let may_hold_user = if has_port(authority) { authority } else { url };
        rest = match may_hold_user.rfind('@') {
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

/// Returns whether an authority ends with a port, or has none.
fn has_port(authority: &str) -> bool {
    let after_address = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    match after_address.rsplit_once(':') {
        Some((_, port)) => port.bytes().all(|byte| byte.is_ascii_digit()) || port.contains('@'),
        None => true,
    }
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
            ("http://u:p/w@h/x", "http://…@h/x"),
            ("http://u:p/w@h:80/x@y", "http://…@y"),
            ("http://h:80/x@y", "http://h:80/x@y"),
            ("http://[::1]:80/x@y", "http://[::1]:80/x@y"),
            ("http://[::1]/x@y", "http://[::1]/x@y"),
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
