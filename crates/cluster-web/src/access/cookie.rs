//! Sessions: what a browser keeps after it has used a link.
//!
//! A session is signed, and not stored: it goes on when the scheduler is restarted, and any number of them costs
//! nothing. It ends after [`LIFETIME`], when its client gets another secret or is removed, and when the scheduler gets
//! another key.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::visitor::{Holder, Role};

/// How long a session lasts.
pub const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The longest cookie that is looked at, in bytes: two names of 255 bytes fit, encoded.
const MAX_BYTES: usize = 2_000;

/// How many random bytes a session has.
const NONCE_BYTES: usize = 16;

/// How long a signature is, in bytes.
const MAC_BYTES: usize = 32;

/// Signs sessions. It comes from the scheduler's key.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

/// A session of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who it is.
    pub holder: Holder,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
    nonce: [u8; NONCE_BYTES],
}

/// Why a cookie is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// It was not signed with this key, or is no session at all.
    #[error("it was not made by this scheduler")]
    Forged,
    /// It has ended.
    #[error("it has expired")]
    Expired,
}

impl SessionKey {
    /// Returns the key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) fn mac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut key = [0; 64];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&key).into());
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message);
        mac
    }

    /// Begins a session of a holder at `now`, in seconds since 1970.
    ///
    /// # Panics
    ///
    /// If the system's random number generator fails, as there is no secret without it.
    pub fn begin(&self, holder: Holder, now: u64) -> Session {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the system's random number generator failed");
        Session {
            holder,
            ends: now.saturating_add(LIFETIME.as_secs()),
            nonce,
        }
    }

    /// Returns a session as the value of a cookie.
    pub fn sign(&self, session: &Session) -> String {
        let text = session.encode();
        let mac = self.mac("session", &text).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([mac.as_slice(), &text].concat())
    }

    /// Returns the session of a cookie.
    ///
    /// # Errors
    ///
    /// [`CookieError`] if it is none, or has ended at `now`.
    pub fn verify(&self, cookie: &str, now: u64) -> Result<Session, CookieError> {
        if cookie.len() > MAX_BYTES {
            return Err(CookieError::Forged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cookie);
        let bytes = bytes.map_err(|_| CookieError::Forged)?;
        let (mac, text) = bytes
            .split_at_checked(MAC_BYTES)
            .ok_or(CookieError::Forged)?;
        // In constant time.
        let verified = self.mac("session", text).verify_slice(mac);
        verified.map_err(|_| CookieError::Forged)?;
        let session = Session::decode(text).ok_or(CookieError::Forged)?;
        match session.ends > now {
            true => Ok(session),
            false => Err(CookieError::Expired),
        }
    }

    /// Returns the token that forms of a session have, so that no other site can send them.
    pub fn form_token(&self, who: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.mac("form", who).finalize().into_bytes())
    }

    /// Returns whether this is the token of [`form_token`](Self::form_token).
    pub fn is_form_token(&self, who: &[u8], token: &str) -> bool {
        let given = URL_SAFE_NO_PAD.decode(token.get(..100).unwrap_or(token));
        given.is_ok_and(|given| self.mac("form", who).verify_slice(&given).is_ok())
    }
}

impl Session {
    /// Returns what tells this session from others.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    fn encode(&self) -> Vec<u8> {
        let Self {
            holder: Holder { role, by },
            ends,
            nonce,
        } = self;
        let (kind, access, name) = match role {
            Role::Admin => (b'a', 0, ""),
            Role::Client { name, access } => (b'c', *access, name.as_str()),
            Role::Job { id } => (b'j', 0, id.as_str()),
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&ends.to_be_bytes());
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(&access.to_be_bytes());
        // Neither has a NUL.
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(by.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (ends, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (access, rest) = rest.split_first_chunk()?;
        let (name, by) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
        let role = match kind {
            b'a' => Role::Admin,
            b'c' => Role::Client {
                name: name.to_owned(),
                access: u64::from_be_bytes(*access),
            },
            b'j' => Role::Job {
                id: name.to_owned(),
            },
            _ => return None,
        };
        Some(Self {
            holder: Holder {
                role,
                by: by.to_owned(),
            },
            ends: u64::from_be_bytes(*ends),
            nonce: *nonce,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders() -> [Holder; 3] {
        let alice = Role::Client {
            name: "alice".to_owned(),
            access: 7,
        };
        let job = Role::Job {
            id: "28t5cy4tqkff".to_owned(),
        };
        [Role::Admin, alice, job].map(|role| Holder {
            role,
            by: "root@ci".to_owned(),
        })
    }

    #[test]
    fn a_session_is_as_it_was_signed() {
        let key = SessionKey::new([1; 32]);
        for holder in holders() {
            let session = key.begin(holder, 1_000);
            let cookie = key.sign(&session);
            assert_eq!(key.verify(&cookie, 1_000), Ok(session));
        }
    }

    #[test]
    fn no_bit_of_a_cookie_can_be_changed() {
        let key = SessionKey::new([1; 32]);
        let [_, alice, _] = holders();
        let cookie = key.sign(&key.begin(alice, 0));
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(key.verify(&forged, 1), Err(CookieError::Forged), "{place}");
        }
        for cookie in ["", "a", "====", &"A".repeat(10_000)] {
            assert_eq!(key.verify(cookie, 1), Err(CookieError::Forged));
        }
        assert_eq!(
            SessionKey::new([2; 32]).verify(&cookie, 1),
            Err(CookieError::Forged)
        );
    }

    #[test]
    fn a_session_ends() {
        let key = SessionKey::new([1; 32]);
        let [admin, ..] = holders();
        let cookie = key.sign(&key.begin(admin, 1_000));
        let end = 1_000 + LIFETIME.as_secs();
        assert!(key.verify(&cookie, end - 1).is_ok());
        assert_eq!(key.verify(&cookie, end), Err(CookieError::Expired));
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let key = SessionKey::new([1; 32]);
        let token = key.form_token(b"one");
        assert!(key.is_form_token(b"one", &token));
        assert!(!key.is_form_token(b"two", &token));
        assert!(!key.is_form_token(b"one", ""));
        assert!(!SessionKey::new([2; 32]).is_form_token(b"one", &token));
    }
}
