//! Descriptions: a worker reads or refuses what a scheduler accepts, and decoding and encoding one does not change it.

use cluster_api::fuzzing::{description, segment};
use cluster_api::{Action, MAX_DESCRIPTION_BYTES};

pub(super) fn run(bytes: &[u8]) {
    let Ok(encoded) = description(bytes) else {
        return;
    };
    assert!(encoded.size() <= 2 * MAX_DESCRIPTION_BYTES);
    let again = description(segment(&encoded)).expect("a copy can be copied");
    assert_eq!(segment(&again), segment(&encoded));
    let Ok(decoded) = encoded.decode() else {
        return;
    };
    assert_eq!(decoded.cache_hint, encoded.cache_hint());
    let shown = format!("{decoded:?}");
    for secret in &decoded.secrets {
        assert_hidden(&shown, secret.value.expose());
    }
    if let Action::Docker(build) = &decoded.action {
        assert_hidden(&shown, build.push_password.expose().as_bytes());
    }
    // Pointers to the same text may make it too large to be sent, and a payload of empty lists too large to be read.
    // Then that job fails.
    if let Ok(sent) = decoded.encode()
        && let Ok(again) = sent.decode()
    {
        assert_eq!(again, decoded);
    }
}

fn assert_hidden(shown: &str, secret: &[u8]) {
    // A short secret may be part of another field.
    let secret = String::from_utf8_lossy(secret);
    let secret = secret.trim_matches(char::from(0));
    assert!(
        secret.len() < 24 || shown.matches(secret).count() == 0 || secret.contains('\u{fffd}'),
        "a secret is shown: {shown}"
    );
}
