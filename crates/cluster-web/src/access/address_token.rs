//! Tokens in addresses of feeds and badges: what reads these keeps no cookie.
//!
//! A token is for one address and one holder. It is signed, and not stored, as sessions are. It shows what its holder
//! would see at this address, and nothing else, until the client gets another secret or is removed, or the scheduler
//! gets another key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;

use super::cookie::SessionKey;
use super::visitor::Role;

/// How long a signature is, in bytes.
const MAC_BYTES: usize = 32;

/// The longest token that is looked at, in bytes: a name of 255 bytes fits, encoded.
const MAX_BYTES: usize = 500;

impl SessionKey {
    /// Returns the token with which a holder's feed or badge is read at an address; `None` for a holder that may list
    /// no jobs.
    pub fn address_token(&self, role: &Role, address: &str) -> Option<String> {
        let holder = encode(role)?;
        let mac = self.mac("address", &message(&holder, address)).finalize();
        let token = [mac.into_bytes().as_slice(), &holder].concat();
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Returns the holder of a token for this address; `None` if it is not one of this scheduler's. The caller must
    /// check that the holder still has its capability.
    pub fn verify_address(&self, token: &str, address: &str) -> Option<Role> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, holder) = token.split_at_checked(MAC_BYTES)?;
        let expected = self.mac("address", &message(holder, address));
        // In constant time.
        expected.verify_slice(mac).ok()?;
        decode(holder)
    }
}

/// Returns what is signed. No other holder and address make the same bytes.
fn message(holder: &[u8], address: &str) -> Vec<u8> {
    let length = u64::try_from(holder.len()).unwrap_or(u64::MAX);
    [&length.to_be_bytes(), holder, address.as_bytes()].concat()
}

fn encode(role: &Role) -> Option<Vec<u8>> {
    match role {
        Role::Admin => Some(vec![b'a']),
        Role::Client { name, access } => {
            Some([&b"c"[..], &access.to_be_bytes(), name.as_bytes()].concat())
        }
        Role::Job { .. } => None,
    }
}

fn decode(holder: &[u8]) -> Option<Role> {
    match holder.split_first()? {
        (b'a', []) => Some(Role::Admin),
        (b'c', rest) => {
            let (access, name) = rest.split_first_chunk()?;
            Some(Role::Client {
                access: u64::from_be_bytes(*access),
                name: std::str::from_utf8(name).ok()?.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Role {
        Role::Client {
            name: "alice".to_owned(),
            access: 7,
        }
    }

    #[test]
    fn a_token_is_for_its_holder_and_address() {
        let key = SessionKey::new([1; 32]);
        let address = "/feed/branch=main.atom";
        for role in [Role::Admin, alice()] {
            let token = key.address_token(&role, address).unwrap();
            assert_eq!(key.verify_address(&token, address), Some(role));
            assert_eq!(key.verify_address(&token, "/feed/branch=other.atom"), None);
            assert_eq!(
                SessionKey::new([2; 32]).verify_address(&token, address),
                None
            );
        }
        let job = Role::Job {
            id: "j1".to_owned(),
        };
        assert_eq!(key.address_token(&job, address), None);
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let key = SessionKey::new([1; 32]);
        let token = key.address_token(&alice(), "/feed/a=b.atom").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(
                key.verify_address(&forged, "/feed/a=b.atom"),
                None,
                "{place}"
            );
        }
        for token in ["", "a", "====", &"A".repeat(10_000)] {
            assert_eq!(key.verify_address(token, "/feed/a=b.atom"), None);
        }
    }
}
