//! Sturdy refs: reading and writing one does not change it, and no text for people contains the secret.

use vat::SturdyRef;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.parse::<SturdyRef>() {
        Ok(sturdy_ref) => {
            let uri = sturdy_ref.to_uri();
            let again: SturdyRef = uri.parse().expect("a written sturdy ref can be read");
            assert_eq!(again, sturdy_ref);
            assert_eq!(again.to_uri(), uri);
            let uri_is_plain = uri.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(uri_is_plain, "{uri:?}");
            let secret = uri.rsplit_once('/').map_or("", |(_, secret)| secret);
            let shown = format!("{sturdy_ref:?}");
            // A short secret may be part of any text, and the path of a socket may contain it, too.
            let is_repeated = uri.matches(secret).count() > 1;
            assert!(
                secret.len() < 20 || is_repeated || !shown.contains(secret),
                "{shown}"
            );
        }
        Err(error) => {
            let line = text.trim().lines().next().unwrap_or_default();
            let after = line.rsplit_once('/').map_or("", |(_, after)| after);
            assert!(
                after.len() < 20
                    || line.matches(after).count() > 1
                    || !error.to_string().contains(after),
                "{error}"
            );
        }
    }
}
