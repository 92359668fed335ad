//! The forms in which a secret appears in logs.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use crate::{MIN_LINE_BYTES, MIN_SECRET_BYTES};

/// An encoding of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not encoded, without surrounding white space.
    Whole,
    /// Each of its lines, if there are several.
    Lines,
    Base64(Digits),
    /// With `%XX` for all characters that a URL may have to encode.
    Url(Hex),
    Hex(Hex),
    /// Escaped as in a JSON string.
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

    /// Returns whether line breaks are part of it. In an encoding, they are added by the tool that prints it.
    pub(crate) fn is_plain(self) -> bool {
        match self {
            Self::Whole | Self::Lines | Self::Json => true,
            Self::Base64(_) | Self::Url(_) | Self::Hex(_) => false,
        }
    }

    /// Adds a secret in this form. Without surrounding white space, it has at least [`MIN_SECRET_BYTES`] bytes.
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
                // With the line break at the end of a file, as `base64 FILE` prints it.
                add(engine.encode(secret).into_bytes());
            }
            Self::Url(hex) => add_if_different(value, url(value, hex), add),
            Self::Json => add_if_different(value, json(value), add),
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

fn add_if_different(value: &[u8], form: Vec<u8>, add: &mut dyn FnMut(Vec<u8>)) {
    if form != value {
        add(form);
    }
}

/// Returns the lines of a value that has several, without those that are too short to be secret.
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines
        .map(<[u8]>::trim_ascii)
        .filter(move |line| line.len() >= MIN_LINE_BYTES && line.len() < value.len())
}

/// Adds the base64 digits that a value always has, whatever is before and after it. There are three forms, one for each
/// position in a group of three bytes. Adds also the form of the value alone, which ends with one more digit and
/// padding.
fn add_base64(engine: &GeneralPurpose, value: &[u8], add: &mut dyn FnMut(Vec<u8>)) {
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let digits = engine.encode(&bytes).into_bytes();
        // Each digit has 6 bits. The range starts at the first digit without bits from before, and ends before the
        // first digit with bits from after.
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        let inner = digits.get(from..to).unwrap_or_default();
        if inner.len() >= MIN_SECRET_BYTES {
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

/// Returns a value as in a JSON string. Only what must be escaped is, and invalid UTF-8 stays.
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
