//! The forms in which a secret gets into a log.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use crate::{SHORTEST, SHORTEST_LINE};

/// A way of writing a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is, without white space around it.
    Whole,
    /// Each of its lines, if there are several.
    Lines,
    Base64(Digits),
    /// With `%XX` for all but the characters that no URL has to encode.
    Url(Hex),
    Hex(Hex),
    /// As within a string of JSON.
    Json,
}

/// The last two digits of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    Standard,
    UrlSafe,
}

/// How hexadecimal digits above 9 are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hex {
    Lower,
    Upper,
}

impl Form {
    /// All forms, the most likely ones first.
    pub(crate) const ALL: [Self; 9] = [
        Self::Whole,
        Self::Lines,
        Self::Base64(Digits::Standard),
        Self::Base64(Digits::UrlSafe),
        Self::Json,
        Self::Url(Hex::Upper),
        Self::Url(Hex::Lower),
        Self::Hex(Hex::Lower),
        Self::Hex(Hex::Upper),
    ];

    /// Returns whether line breaks mean something in it: tools break encodings into lines, which do not belong to them.
    pub(crate) fn is_plain(self) -> bool {
        match self {
            Self::Whole | Self::Lines | Self::Json => true,
            Self::Base64(_) | Self::Url(_) | Self::Hex(_) => false,
        }
    }

    /// Adds a secret in this form. It has at least [`SHORTEST`] bytes without the white space around it.
    pub(crate) fn add_to(self, secret: &[u8], add: &mut dyn FnMut(Vec<u8>)) {
        let value = secret.trim_ascii();
        match self {
            Self::Whole => add(value.to_vec()),
            Self::Lines => {
                for line in lines(value) {
                    add(line.to_vec());
                }
            }
            Self::Base64(digits) => {
                let engine = match digits {
                    Digits::Standard => &BASE64_STANDARD,
                    Digits::UrlSafe => &BASE64_URL_SAFE,
                };
                add_base64(engine, value, add);
                for line in lines(value) {
                    add_base64(engine, line, add);
                }
                // With the line break that a file with a secret ends in, as `base64 FILE` does.
                add(engine.encode(secret).into_bytes());
            }
            Self::Url(hex) => add_if_other(value, url(value, hex), add),
            Self::Json => add_if_other(value, json(value), add),
            Self::Hex(hex) => add(value.iter().flat_map(|byte| hex.digits(*byte)).collect()),
        }
    }
}

impl Hex {
    fn digits(self, byte: u8) -> [u8; 2] {
        let digits = match self {
            Self::Lower => b"0123456789abcdef",
            Self::Upper => b"0123456789ABCDEF",
        };
        [byte >> 4, byte & 15].map(|half| digits[usize::from(half)])
    }
}

fn add_if_other(value: &[u8], form: Vec<u8>, add: &mut dyn FnMut(Vec<u8>)) {
    if form != value {
        add(form);
    }
}

/// Returns the lines of a value that has several, but for those that are too short to be secret.
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines
        .map(<[u8]>::trim_ascii)
        .filter(move |line| line.len() >= SHORTEST_LINE && line.len() < value.len())
}

/// Adds the digits of base64 that a value always has, whatever is before and after it: three forms, for its place among groups
/// of three bytes. And the form that it has alone, which ends with a digit more and its padding.
fn add_base64(engine: &GeneralPurpose, value: &[u8], add: &mut dyn FnMut(Vec<u8>)) {
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let digits = engine.encode(&bytes).into_bytes();
        // Each digit has 6 bits; these are the first that has none of what is before, and the first that has some of what is after.
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        let inner = digits.get(from..to).unwrap_or_default();
        if inner.len() >= SHORTEST {
            add(inner.to_vec());
        }
        if before == 0 {
            add(digits.clone());
            let unpadded = digits.strip_suffix(b"=").unwrap_or(&digits);
            add(unpadded.strip_suffix(b"=").unwrap_or(unpadded).to_vec());
        }
    }
}

fn url(value: &[u8], hex: Hex) -> Vec<u8> {
    let mut form = Vec::with_capacity(value.len());
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            form.push(byte);
        } else {
            form.push(b'%');
            form.extend(hex.digits(byte));
        }
    }
    form
}

/// Returns a value as within a string of JSON: nothing but what must be escaped is. What is no UTF-8 stays.
fn json(value: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'"' | b'\\' => form.extend([b'\\', byte]),
            b'\n' => form.extend(b"\\n"),
            b'\r' => form.extend(b"\\r"),
            b'\t' => form.extend(b"\\t"),
            0..0x20 => {
                form.extend(b"\\u00");
                form.extend(Hex::Lower.digits(byte));
            }
            _ => form.push(byte),
        }
    }
    form
}
