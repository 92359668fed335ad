//! Numbers of users and groups, as OCaml reads its 63-bit integers.

/// The error text for an invalid number.
pub(crate) const EXPECTED: &str = "a whole number of 63 bits, in decimal or after 0x, 0o, 0b or 0u";

/// Reads a number: a sign, a prefix for the base, digits with `_` anywhere but in front.
///
/// Without a prefix a number must be in range. With one it may use the highest bit, and is then negative, as in OCaml.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, in_range, digits) = match rest {
        [b'0', b'x' | b'X', rest @ ..] => (16, false, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, false, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, false, rest),
        [b'0', b'u' | b'U', rest @ ..] => (10, false, rest),
        rest => (10, true, rest),
    };
    let size = magnitude(digits, base)?;
    let limit = match (in_range, negative) {
        (true, false) => (1 << 62) - 1,
        (true, true) => 1 << 62,
        (false, _) => (1 << 63) - 1,
    };
    if size > limit {
        return None;
    }
    let value = size.cast_signed();
    Some(wrap(if negative {
        value.wrapping_neg()
    } else {
        value
    }))
}

fn magnitude(digits: &[u8], base: u32) -> Option<u64> {
    if !char::from(*digits.first()?).is_digit(base) {
        return None;
    }
    let digits = digits.iter().filter(|digit| **digit != b'_');
    digits.copied().try_fold(0_u64, |value, digit| {
        let digit = char::from(digit).to_digit(base)?;
        value.checked_mul(base.into())?.checked_add(digit.into())
    })
}

/// Drops the highest bit, and takes the next one for the sign.
fn wrap(value: i64) -> i64 {
    value << 1 >> 1
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_read_as_ocaml_reads_them() {
        for (text, value) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("-1", Some(-1)),
            ("+1", Some(1)),
            ("007", Some(7)),
            ("1_000_", Some(1000)),
            ("0x3E8", Some(1000)),
            ("-0o17", Some(-15)),
            ("0b101", Some(5)),
            ("0u12", Some(12)),
            ("4611686018427387903", Some(4_611_686_018_427_387_903)),
            ("-4611686018427387904", Some(-4_611_686_018_427_387_904)),
            ("4611686018427387904", None),
            ("-4611686018427387905", None),
            ("0x7fffffffffffffff", Some(-1)),
            ("0x4000000000000000", Some(-4_611_686_018_427_387_904)),
            ("0u4611686018427387904", Some(-4_611_686_018_427_387_904)),
            ("0x8000000000000000", None),
            ("99999999999999999999999", None),
            ("", None),
            ("-", None),
            ("_1", None),
            ("0x", None),
            ("0x_1", None),
            ("1 ", None),
            ("--1", None),
            ("12x", None),
            ("root", None),
        ] {
            assert_eq!(parse(text.as_bytes()), value, "{text}");
        }
    }
}
