//! Tests of sturdy refs: upstream's table of unusual inputs, and random ones.

use proptest::prelude::*;

use super::*;

const FINGERPRINT: &str = "dda5JR8N5LwVnk7S8rOUQ6nE0ikULcgFJowtxL2-Hd0";

fn parse(text: &str) -> Result<SturdyRef, String> {
    text.parse().map_err(|e: ParseSturdyRefError| e.to_string())
}

fn error(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn reads_what_upstream_writes() {
    let text = format!("capnp://sha-256:{FINGERPRINT}@127.0.0.1:9410/NwKSErP5");
    let sturdy_ref = parse(&text).unwrap();
    assert_eq!(sturdy_ref.auth, Auth::Sha256(FINGERPRINT.parse().unwrap()));
    assert_eq!(sturdy_ref.address, Address::tcp("127.0.0.1", 9410));
    assert_eq!(sturdy_ref.service.as_bytes(), b"\x37\x02\x92\x12\xb3\xf9");
    assert_eq!(sturdy_ref.to_uri(), text);
}

#[test]
fn unix_sockets_have_a_path_for_a_host() {
    let text = format!("capnp://sha-256:{FINGERPRINT}@/dir/s.sock/Um18");
    let sturdy_ref = parse(&text).unwrap();
    assert_eq!(sturdy_ref.address, Address::Unix("/dir/s.sock".into()));
    assert_eq!(sturdy_ref.to_uri(), text);
}

#[test]
fn ipv6_needs_brackets() {
    let text = "capnp://insecure@[::1]:9000/Um18";
    let sturdy_ref = parse(text).unwrap();
    assert_eq!(sturdy_ref.address, Address::tcp("::1", 9000));
    assert_eq!(sturdy_ref.to_uri(), text);
    assert_eq!(
        error("capnp://insecure@::1:9000/Um18"),
        "malformed host or port in capnp://insecure@::1:9000/…"
    );
}

#[test]
fn tolerates_what_upstream_tolerates() {
    let plain = parse("capnp://insecure@h:1/AA").unwrap();
    for text in [
        "  \n capnp://insecure@h:1/AA \n",
        "capnp://insecure@h:1/AA\nanother line",
        "capnp://insecure@h:1/AA\r\n",
        "CapNP://insecure@h:1/AA",
        "capnp://insecure@h:1/AA=",
        "capnp://insecure@h:1/AA==",
        "capnp://insecure@h:1/AA?query#fragment",
    ] {
        assert_eq!(parse(text).as_ref(), Ok(&plain), "{text:?}");
    }
    for text in ["capnp://insecure@h:1/", "capnp://insecure@h:1"] {
        assert_eq!(parse(text).unwrap().service.as_bytes(), b"", "{text:?}");
    }
}

#[test]
fn errors_are_upstreams() {
    let texts = [
        ("", "Missing scheme in  (expected 'capnp://...')"),
        ("x", "Missing scheme in x (expected 'capnp://...')"),
        (
            "http://x",
            "Unknown scheme \"http\" (expected 'capnp://...')",
        ),
        (
            "capnp://h:1/",
            "Missing digest hash type (e.g. '...://sha256:...')",
        ),
        (
            "capnp://%zz@h:1/",
            "Missing digest hash type (e.g. '...://sha256:...')",
        ),
        (
            "capnp://sha-256@h:1/",
            "Missing digest value (e.g. '...://sha256:DIGEST@...' or '...://insecure@...')",
        ),
        ("capnp://sha-512:AA@h:1/", "Unknown hash type \"sha-512\""),
        ("capnp://insecure:x@h:1/", "Unknown hash type \"insecure\""),
        (
            "capnp://insecure@h/AA",
            "Missing port in capnp://insecure@h/…",
        ),
        (
            "capnp://insecure@:1/AA",
            "Port without host in capnp://insecure@:1/…!",
        ),
        ("capnp://insecure@h:1/A~", "Malformed input"),
        ("capnp://insecure@h:1/AA/AA", "Malformed input"),
        ("capnp://sha-256:A~@h:1/AA", "Malformed input"),
        (
            "capnp://sha-256:AA@h:1/AA",
            "the digest has 1 bytes instead of 32",
        ),
        (
            "capnp://insecure@/AA",
            "missing host or socket path in capnp://insecure@/…",
        ),
        (
            "capnp://insecure@h:x/",
            "malformed host or port in capnp://insecure@h:x/",
        ),
        // It would be written as a host without a port.
        (
            "capnp://insecure@h%2F:1/AA",
            "malformed host or port in capnp://insecure@h%2F:1/…",
        ),
    ];
    for (text, expected) in texts {
        assert_eq!(error(text), expected, "{text:?}");
    }
}

#[test]
fn debug_and_errors_keep_the_secret() {
    let sturdy_ref = parse("capnp://insecure@h:1/c2VjcmV0").unwrap();
    assert_eq!(
        format!("{sturdy_ref:?}"),
        "SturdyRef(capnp://insecure@h:1/…)"
    );
    assert!(!error("capnp://insecure@h/c2VjcmV0").contains("c2VjcmV0"));
}

fn auth() -> impl Strategy<Value = Auth> {
    prop_oneof![
        Just(Auth::Insecure),
        any::<[u8; 32]>().prop_map(|bytes| Auth::Sha256(Fingerprint::from_bytes(bytes))),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    let host = prop_oneof![
        "[a-z0-9.-]{1,20}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
    ];
    let path = proptest::collection::vec(1u8.., 0..30).prop_map(|mut path| {
        path.insert(0, b'/');
        PathBuf::from(OsStr::from_bytes(&path))
    });
    prop_oneof![
        (host, any::<u16>()).prop_map(|(host, port)| Address::tcp(host, port)),
        path.prop_map(Address::Unix),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(auth in auth(), address in address(), id: Vec<u8>) {
        let sturdy_ref = SturdyRef { auth, address, service: ServiceId::from_bytes(id) };
        prop_assert_eq!(parse(&sturdy_ref.to_uri()), Ok(sturdy_ref));
    }

    #[test]
    fn no_text_panics(text: String) {
        drop(parse(&text));
        drop(parse(&format!("capnp://{text}")));
        drop(parse(&format!("capnp://insecure@{text}")));
        drop(text.parse::<Address>());
        drop(format!("tcp:{text}").parse::<Address>());
    }

    #[test]
    fn no_almost_right_text_panics(text in "capnp://[a-z0-9:@/%?#\\[\\]-]{0,40}") {
        drop(parse(&text));
    }
}
