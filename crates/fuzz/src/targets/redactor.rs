//! The redactor: the result has no secret and does not depend on how the output is split, and other text is unchanged.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bstr::ByteSlice as _;
use redact::{MIN_SECRET_BYTES, PLACEHOLDER, Redactor};

use crate::input::Input;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let count = 1 + usize::from(input.byte() & 3);
    let secrets: Vec<&[u8]> = (0..count).map(|_| input.piece(64)).collect();
    let sizes = [
        1 + usize::from(input.byte()),
        1 + usize::from(input.byte() & 7),
    ];
    let output = output(&secrets, &mut input);
    let redactor = Redactor::new(secrets.iter().copied());
    let whole = redacted(&redactor, [&output[..]]);
    for size in sizes {
        assert_eq!(
            redacted(&redactor, output.chunks(size)),
            whole,
            "pieces of {size}"
        );
    }
    let is_untouched = whole == output;
    assert!(is_untouched || whole.contains_str(PLACEHOLDER));
    for secret in &secrets {
        let secret = secret.trim_ascii();
        // The placeholder may create a secret that contains its character.
        if secret.len() < MIN_SECRET_BYTES || secret.contains(&b'*') {
            continue;
        }
        assert!(!whole.contains_str(secret), "a secret is in the result");
        let encoded = BASE64_STANDARD.encode(secret);
        assert!(
            !whole.contains_str(encoded),
            "an encoded secret is in the result"
        );
    }
    let without_secrets = Redactor::new([]);
    assert_eq!(redacted(&without_secrets, output.chunks(sizes[0])), output);
}

fn redacted<'a>(redactor: &Redactor, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    assert!(!stream.has_pending());
    out
}

/// Makes an output that contains secrets, in several encodings and in part.
fn output(secrets: &[&[u8]], input: &mut Input<'_>) -> Vec<u8> {
    let mut output = Vec::new();
    while !input.is_empty() && output.len() < 10_000 {
        let op = input.byte();
        let secret = secrets[usize::from(op) % secrets.len()];
        match op >> 4 {
            0..=3 => output.extend_from_slice(secret),
            4 => output.extend_from_slice(BASE64_STANDARD.encode(secret).as_bytes()),
            5 => {
                let before = input.piece(4);
                let framed = [before, secret, input.piece(4)].concat();
                let encoded = BASE64_STANDARD.encode(framed);
                let width = 1 + usize::from(input.byte() & 31);
                for line in encoded.as_bytes().chunks(width) {
                    output.extend_from_slice(line);
                    output.push(b'\n');
                }
            }
            6 => output.extend(
                secret
                    .iter()
                    .flat_map(|byte| format!("%{byte:02X}").into_bytes()),
            ),
            7 => output.extend(
                secret
                    .iter()
                    .flat_map(|byte| format!("{byte:02x}").into_bytes()),
            ),
            8 | 9 => {
                let end = usize::from(input.byte()).min(secret.len());
                output.extend_from_slice(&secret[..end]);
            }
            _ => output.extend_from_slice(input.piece(40)),
        }
    }
    output
}
