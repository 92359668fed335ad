//! TLS for browsers, with a certificate that the operator has.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsFiles;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has not what it should have.
    #[error("cannot use {file}: {problem}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("cannot use the certificate of the pages with its key")]
    Unusable(#[source] rustls::Error),
}

/// Returns what offers TLS with this certificate.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let TlsFiles { certificate, key } = files;
    let file = |file: &PathBuf, error: pem::Error| TlsError::File {
        file: file.clone(),
        problem: problem(error),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(certificate, error))?;
    if chain.is_empty() {
        return Err(file(certificate, pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn problem(error: pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is nothing of that kind in it, in PEM".to_owned(),
        pem::Error::Io(error) => match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["ci.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["ci.example".to_owned()]).unwrap();
        std::fs::write(path("ci.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("ci.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("other.key"), other.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        let problem = |certificate: &str, key: &str| {
            let files = TlsFiles {
                certificate: path(certificate),
                key: path(key),
            };
            acceptor(&files).err().map(|error| error.to_string())
        };
        assert_eq!(problem("ci.pem", "ci.key"), None);
        for (certificate, key, wrong, cause) in [
            ("nowhere", "ci.key", "nowhere", "no such file"),
            ("ci.pem", "nowhere", "nowhere", "no such file"),
            ("empty", "ci.key", "empty", "nothing of that kind"),
            ("ci.pem", "empty", "empty", "nothing of that kind"),
            ("ci.pem", "other.key", "certificate", "with its key"),
        ] {
            let problem = problem(certificate, key).unwrap();
            assert!(
                problem.contains(wrong) && problem.contains(cause),
                "{problem}"
            );
        }
    }
}
