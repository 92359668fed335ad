//! The ids of a job's secrets.

/// The longest id of a secret, in bytes.
const MAX_SECRET_ID: usize = 64;

/// Returns whether a secret may have this id, which becomes part of command lines and the name of a file.
pub fn is_secret_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MAX_SECRET_ID).contains(&id.len()) && id.bytes().all(allowed)
}
