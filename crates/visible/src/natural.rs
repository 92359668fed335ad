//! The order in which people expect names.

use core::cmp::Ordering;

/// Compares two names as people sort them: runs of digits by their numbers, so that `w2` comes before `w10`.
///
/// Names that differ only in leading zeros are in the order of their bytes, so that only equal names are equal.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let ordering = match (left, right) {
            ([], []) => return a.cmp(b),
            ([a, ..], [b, ..]) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (first, rest_of_left) = split_number(left);
                let (second, rest_of_right) = split_number(right);
                (left, right) = (rest_of_left, rest_of_right);
                first.len().cmp(&second.len()).then(first.cmp(second))
            }
            ([a, rest_of_left @ ..], [b, rest_of_right @ ..]) => {
                (left, right) = (rest_of_left, rest_of_right);
                a.cmp(b)
            }
            ([], _) => Ordering::Less,
            (_, []) => Ordering::Greater,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

/// Splits off the digits that `text` begins with, without leading zeros.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (mut number, rest) = text.split_at(end.unwrap_or(text.len()));
    while let [b'0', significant @ ..] = number {
        number = significant;
    }
    (number, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_order_of_their_values() {
        let sorted = [
            "",
            "a",
            "w",
            "w0",
            "w1",
            "w01",
            "w2",
            "w2-a",
            "w10",
            "w10-2",
            "w10-10",
            "w99999999999999999999999",
            "w100000000000000000000000",
            "x",
            "é",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                let expected = match (*a, *b) {
                    // Equal numbers: by their bytes.
                    ("w1", "w01") => Ordering::Greater,
                    ("w01", "w1") => Ordering::Less,
                    _ => i.cmp(&j),
                };
                assert_eq!(natural(a, b), expected, "{a} {b}");
            }
        }
    }
}
