//! TLS to the database: its certificate is checked, with its name.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::OpenError;
use crate::settings::Authorities;

/// Returns what makes connections encrypted.
pub(crate) fn connector(authorities: &Authorities) -> Result<MakeRustlsConnect, OpenError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::OfTheMachine => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(OpenError::Certificates {
                    place: "this machine".to_owned(),
                    cause:
                        "there are none; install ca-certificates, or name a file with sslrootcert"
                            .to_owned(),
                });
            }
        }
        Authorities::File(path) => {
            let failed = |cause: String| OpenError::Certificates {
                place: path.display().to_string(),
                cause,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("there is none in it".to_owned()));
            }
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Certificates {
            place: "this program".to_owned(),
            cause: error.to_string(),
        })?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
