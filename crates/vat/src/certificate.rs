//! Self-signed certificates like upstream's, and the public key in any certificate.
//!
//! A certificate only carries a key here: its names and dates are not checked.

use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::FromDer as _;

use crate::Fingerprint;

/// Creates a certificate for `key`: `CN=capnp`, without expiry and extensions.
///
/// # Errors
///
/// When the key is of an unsupported kind.
pub(crate) fn self_signed(key: &KeyPair) -> Result<CertifiedKey, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "capnp");
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.is_ca = IsCa::NoCa;
    let certificate = params.self_signed(key).map_err(|e| e.to_string())?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing_key = any_supported_type(&private).map_err(|e| e.to_string())?;
    Ok(CertifiedKey::new(
        vec![certificate.der().clone()],
        signing_key,
    ))
}

/// Returns the fingerprint of the key in a certificate, or `None` if it cannot be read.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<Fingerprint> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    Some(Fingerprint::of_public_key(certificate.public_key().raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, key_file};

    #[test]
    fn looks_like_upstreams() {
        let key = key_file::generate_key().unwrap();
        let certified = self_signed(&key).unwrap();
        let der = certified.end_entity_cert().unwrap();
        let (rest, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(certificate.version(), x509_parser::x509::X509Version::V3);
        assert_eq!(certificate.subject().to_string(), "CN=capnp");
        assert_eq!(certificate.issuer().to_string(), "CN=capnp");
        assert!(certificate.extensions().is_empty());
        assert_eq!(certificate.validity().not_before.to_datetime().year(), 1970);
        assert_eq!(certificate.validity().not_after.to_datetime().year(), 9999);
    }

    #[test]
    fn the_key_in_a_certificate_is_the_identitys() {
        let identity = Identity::ephemeral();
        let certified = identity.certified_key();
        let der = certified.end_entity_cert().unwrap();
        assert_eq!(fingerprint(der), Some(identity.fingerprint()));
        assert_eq!(fingerprint(&CertificateDer::from(vec![1, 2, 3])), None);
    }
}
