//! What a job's secrets may be called.

/// The longest id of a secret.
const MAX_SECRET_ID: usize = 64;

/// Returns whether a secret may be called that: the id becomes part of command lines, and the name of a file.
pub(super) fn is_secret_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MAX_SECRET_ID).contains(&id.len()) && id.bytes().all(allowed)
}
