//! What programs print, and what is left of it.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use proptest::prelude::*;
use redact::{Coverage, MARK, Redactor, SHORTEST, SHORTEST_LINE};

fn redactor(secrets: &[&str]) -> Redactor {
    Redactor::new(secrets.iter().map(|secret| secret.as_bytes()))
}

/// Returns what comes out of an output in pieces of these sizes, which are used in turn.
fn redacted(redactor: &Redactor, output: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    let mut rest = output;
    for size in sizes.iter().cycle() {
        let (piece, more) = rest.split_at((*size).min(rest.len()));
        stream.push(piece, &mut out);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    stream.finish(&mut out);
    out
}

#[test]
fn values_are_found_wherever_they_are() {
    let redactor = redactor(&["s3cret-token\n", "hunter22", "token-x"]);
    for (output, expected) in [
        ("nothing to hide", "nothing to hide"),
        ("s3cret-token", "***"),
        ("a s3cret-token and hunter22.", "a *** and ***."),
        ("s3cret-toke", "s3cret-toke"),
        ("s3cret-tokes3cret-token", "s3cret-toke***"),
        // Beside each other and overlapping, they are one.
        ("hunter22hunter22", "***"),
        ("<s3cret-token-x>", "<***>"),
    ] {
        assert_eq!(redactor.text(output), expected, "{output}");
    }
}

#[test]
fn encodings_are_found() {
    let secret = "p\u{e4}ss/w\"o+rd?>~~~ \u{1}1";
    let redactor = redactor(&[secret]);
    for before in ["", "x", "xy", "user:", "abcd:"] {
        for after in ["", "z", "zz", "\n"] {
            let bytes = format!("{before}{secret}{after}");
            for encoded in [
                BASE64_STANDARD.encode(&bytes),
                BASE64_STANDARD_NO_PAD.encode(&bytes),
                BASE64_URL_SAFE.encode(&bytes),
            ] {
                let shown = redactor.text(&format!("Authorization: Basic {encoded}\n"));
                assert!(shown.contains(MARK), "{before} {after} {encoded}: {shown}");
                // At most a digit on each side has bits of the secret's, and fewer than six.
                let left = shown.len() - "Authorization: Basic \n".len() - MARK.len();
                let most = (before.len() + after.len()) * 4 / 3 + 6;
                assert!(left <= most, "{before} {after} {encoded}: {shown}");
            }
        }
    }
    for encoded in [
        "p%C3%A4ss%2Fw%22o%2Brd%3F%3E~~~%20%011",
        "p%c3%a4ss%2fw%22o%2brd%3f%3e~~~%20%011",
        "70c3a473732f77226f2b72643f3e7e7e7e200131",
        "70C3A473732F77226F2B72643F3E7E7E7E200131",
        "p\u{e4}ss/w\\\"o+rd?>~~~ \\u00011",
    ] {
        assert_eq!(redactor.text(&format!("<{encoded}>")), "<***>");
    }
}

#[test]
fn each_line_of_a_key_is_secret() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\n}\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
    let redactor = redactor(&[key]);
    assert_eq!(redactor.text(key), "***\n");
    assert_eq!(
        redactor.text("2 hkiG9w0BAQEFAASC\n1 MIIEvQIBADANBgkq\n}\n"),
        "2 ***\n1 ***\n}\n"
    );
    let line = BASE64_STANDARD.encode("hkiG9w0BAQEFAASC");
    assert_eq!(redactor.text(&line), MARK);
}

#[test]
fn encodings_are_found_when_broken_into_lines() {
    let secret: String = (0..200_u8)
        .map(|n| char::from(b'a' + n.wrapping_mul(7) % 26))
        .collect();
    let redactor = redactor(&[&secret]);
    let encoded = BASE64_STANDARD.encode(&secret);
    for width in [60, 64, 76] {
        let lines: Vec<_> = encoded.as_bytes().chunks(width).collect();
        for separator in [&b"\n"[..], b"\r\n"] {
            let shown = redacted(&redactor, &lines.join(separator), &[7]);
            assert_eq!(shown, MARK.as_bytes(), "{width}");
        }
    }
}

#[test]
fn line_breaks_without_end_are_not_held_back() {
    let redactor = redactor(&["s3cret-token"]);
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    // The first digit of its base64.
    stream.push(b"c", &mut out);
    assert!(stream.has_pending());
    stream.push(&[b'\n'; 1000], &mut out);
    assert!(!stream.has_pending());
    assert_eq!(out.len(), 1001);
}

#[test]
fn large_secrets_are_found_in_bounded_memory() {
    let large: Vec<u8> = (0..100_000_u32)
        .flat_map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)).into_bytes())
        .take(200 << 10)
        .collect();
    let redactor = Redactor::new([&large[..], b"a small one"]);
    assert!(redactor.coverage().is_partial);
    let shown = redacted(&redactor, &large, &[64 << 10]);
    assert_eq!(shown, MARK.as_bytes());
    assert_eq!(redactor.text(&BASE64_STANDARD.encode("a small one")), MARK);
    // Nothing that is printed is held back for long.
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    stream.push(&large[..10_000], &mut out);
    stream.push(b"\n", &mut out);
    assert!(!stream.has_pending());
}

#[test]
fn what_is_too_short_is_told() {
    let redactor = redactor(&["abcd", " \n", "", "ab\n"]);
    let expected = Coverage {
        too_short: 2,
        is_partial: false,
    };
    assert_eq!(redactor.coverage(), expected);
    assert_eq!(redactor.text("abcd"), "abcd");
    assert_eq!(Redactor::default().coverage(), Coverage::default());
}

#[test]
fn only_what_could_be_secret_waits() {
    let redactor = redactor(&["s3cret-token"]);
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    stream.push(b"Password: ", &mut out);
    assert_eq!(out, b"Password: ");
    stream.push(b"s3c", &mut out);
    assert!(stream.has_pending());
    stream.pause(&mut out);
    assert_eq!(out, b"Password: s3c");
    // What it turns out to be is not shown further; and a longer beginning is not shown at all.
    stream.push(b"ret-token, s3cret", &mut out);
    stream.pause(&mut out);
    assert_eq!(out, b"Password: s3c***, ");
    stream.finish(&mut out);
    assert_eq!(out, b"Password: s3c***, s3cret");
}

/// Secrets and outputs of few letters, so that they have much in common.
fn letters(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(&b"ab\nc1"[..]), length)
}

/// Outputs that are made of secrets and their beginnings.
fn output(secrets: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let part = (0..secrets.len(), 0..20_usize, letters(0..6)).prop_map(move |(nth, cut, rest)| {
        let secret = &secrets[nth];
        let kept = &secret[..secret.len().saturating_sub(cut.saturating_sub(8))];
        let part = if cut % 5 == 4 {
            BASE64_STANDARD.encode(secret).into_bytes()
        } else {
            kept.to_vec()
        };
        [&part[..], &rest].concat()
    });
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn case() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>, Vec<usize>)> {
    let secrets = proptest::collection::vec(letters(1..24), 1..5);
    secrets.prop_flat_map(|secrets| {
        let sizes = proptest::collection::vec(1..10_usize, 1..6);
        (Just(secrets.clone()), output(secrets), sizes)
    })
}

fn contains(output: &[u8], part: &[u8]) -> bool {
    output.windows(part.len()).any(|window| window == part)
}

proptest! {
    #[test]
    fn pieces_make_no_difference((secrets, output, sizes) in case()) {
        let redactor = Redactor::new(secrets.iter().map(Vec::as_slice));
        let whole = redacted(&redactor, &output, &[output.len().max(1)]);
        prop_assert_eq!(&whole, &redacted(&redactor, &output, &sizes));
        prop_assert_eq!(&whole, &redacted(&redactor, &output, &[1]));
    }

    #[test]
    fn a_secret_never_appears((secrets, output, sizes) in case()) {
        let redactor = Redactor::new(secrets.iter().map(Vec::as_slice));
        let shown = redacted(&redactor, &output, &sizes);
        for secret in &secrets {
            let value = secret.trim_ascii();
            if value.len() < SHORTEST {
                continue;
            }
            prop_assert!(!contains(&shown, value));
            prop_assert!(!contains(&shown, BASE64_STANDARD.encode(value).as_bytes()));
            for line in value.split(|byte| *byte == b'\n') {
                prop_assert!(line.len() < SHORTEST_LINE || !contains(&shown, line));
            }
        }
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is(output: Vec<u8>, sizes in proptest::collection::vec(1..10_usize, 1..6)) {
        let redactor = redactor(&["\u{1f600}s3cret-token"]);
        prop_assert_eq!(redacted(&redactor, &output, &sizes), output);
    }
}
