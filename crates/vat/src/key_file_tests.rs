//! Tests of key files: upstream's vectors, new keys, and other contents.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::{Address, Auth, Identity, SturdyRef, cap_file};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

/// Checks that the key in `dir` gives the cap files there, byte for byte.
fn check_vectors(dir: &Path, names: &[&str]) {
    let identity = Identity::load_or_generate(dir.join("key.pem")).unwrap();
    let temp = tempfile::tempdir().unwrap();
    for name in names {
        let expected = fs::read(dir.join(format!("{name}.cap"))).unwrap();
        let port = cap_file::load(dir.join(format!("{name}.cap"))).unwrap();
        let Address::Tcp { port, .. } = port.address else {
            panic!("the vectors are for TCP")
        };
        let made = temp.path().join("made.cap");
        let sturdy_ref = SturdyRef {
            auth: Auth::Sha256(identity.fingerprint()),
            address: Address::tcp("127.0.0.1", port),
            service: identity.derive(name),
        };
        cap_file::save(&made, &sturdy_ref).unwrap();
        assert_eq!(fs::read(&made).unwrap(), expected, "{name}");
    }
}

#[test]
fn an_rsa_key_of_upstreams_gives_the_same_cap_files() {
    let dir = Path::new(VECTORS);
    check_vectors(dir, &["admin", "pool-a", "pool-b"]);
}

#[test]
fn an_id_with_a_zero_byte_gives_the_same_cap_files() {
    let dir = Path::new(VECTORS).join("nul");
    check_vectors(&dir, &["admin", "pool-a"]);
    let identity = Identity::load_or_generate(dir.join("key.pem")).unwrap();
    assert!(identity.derive("admin").as_bytes().contains(&0));
}

#[test]
fn the_2020_submission_id_is_upstreams() {
    let identity = Identity::load_or_generate(Path::new(VECTORS).join("key.pem")).unwrap();
    assert_eq!(
        identity.derive("submission").to_base64(),
        "xzxSKiHD8EAJXbJmr093oBbJeMzLnT6hk4HnUvze1nY"
    );
}

#[test]
fn a_new_key_is_private_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let first = Identity::load_or_generate(&path).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let second = Identity::load_or_generate(&path).unwrap();
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.derive("admin"), second.derive("admin"));
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
}

#[test]
fn several_starts_at_once_agree_on_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let fingerprints: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Identity::load_or_generate(&path).unwrap().fingerprint()))
            .collect();
        starts.into_iter().map(|s| s.join().unwrap()).collect()
    });
    assert!(fingerprints.iter().all(|f| *f == fingerprints[0]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn re_formatting_the_file_changes_ids_but_not_the_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let unix = Identity::load_or_generate(&path).unwrap();
    let dos = fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
    fs::write(&path, dos).unwrap();
    let dos = Identity::load_or_generate(&path).unwrap();
    assert_eq!(unix.fingerprint(), dos.fingerprint());
    assert_ne!(unix.derive("admin"), dos.derive("admin"));
}

#[test]
fn an_ephemeral_identity_is_new_each_time() {
    assert_ne!(
        Identity::ephemeral().fingerprint(),
        Identity::ephemeral().fingerprint()
    );
}

#[test]
fn errors_name_what_the_file_holds_instead() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let error = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        Identity::load_or_generate(&path).unwrap_err().to_string()
    };
    for (content, found) in [
        ("", "nothing"),
        ("hello", "text that is not PEM"),
        ("-----BEGIN RSA PRIVATE KEY-----\n", "an RSA key in PKCS#1"),
        (
            "-----BEGIN EC PRIVATE KEY-----\n",
            "an elliptic-curve key in SEC 1",
        ),
        ("-----BEGIN CERTIFICATE-----\n", "a certificate"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "encrypted with a password",
        ),
    ] {
        let text = error(content.as_bytes());
        assert!(text.contains(found) && text.contains("key.pem"), "{text}");
    }
    assert!(error(&[0xff, 0]).contains("binary data"));
    let broken = error(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(broken.contains("cannot use the key"), "{broken}");
}

#[test]
fn a_missing_directory_is_named() {
    let error = Identity::load_or_generate("/nonexistent/key.pem").unwrap_err();
    assert!(
        matches!(&error, IdentityError::Create { path, .. } if path == Path::new("/nonexistent/key.pem")),
        "{error}"
    );
}

#[test]
fn keys_made_by_openssl_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..]),
        ("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("ed25519", &["ED25519"][..]),
    ] {
        let path = dir.path().join(name);
        let made = Command::new("openssl")
            .args(["genpkey", "-out"])
            .arg(&path)
            .arg("-algorithm")
            .args(options)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Identity::load_or_generate(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// Returns what `during` logs.
fn logged(during: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, during);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_key_that_others_may_read_gets_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let load = || drop(Identity::load_or_generate(&path).unwrap());
    load();
    assert_eq!(logged(load), "");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let log = logged(load);
    assert!(
        log.contains("WARN") && log.contains("has mode 640"),
        "{log}"
    );
}
