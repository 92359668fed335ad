//! The records of extended headers: `LENGTH KEY=VALUE` and a line feed. They have the attributes that do
//! not fit into a header.

use std::io;

use bstr::{BString, ByteSlice as _};

use super::invalid;

/// The attributes of an entry that extended headers before it give.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) path: Option<BString>,
    pub(super) link: Option<BString>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(BString, Vec<u8>)>,
}

/// Reads the records of an extended header: `LENGTH KEY=VALUE` and a line feed, where the length counts all of it.
pub(super) fn read_records(mut records: &[u8], described: &mut Described) -> io::Result<()> {
    let bad = || invalid("an extended header is wrong");
    while !records.is_empty() {
        let (digits, _) = records.split_once_str(b" ").ok_or_else(bad)?;
        let length: usize = number(digits)
            .and_then(|n| n.try_into().ok())
            .ok_or_else(bad)?;
        let record = records.get(digits.len() + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let (key, value) = record.split_once_str(b"=").ok_or_else(bad)?;
        match key {
            b"path" => described.path = Some(value.into()),
            b"linkpath" => described.link = Some(value.into()),
            b"size" => described.size = Some(number(value).ok_or_else(bad)?),
            b"uid" => described.uid = Some(number(value).ok_or_else(bad)?),
            b"gid" => described.gid = Some(number(value).ok_or_else(bad)?),
            b"mtime" => described.mtime = Some(time(value).ok_or_else(bad)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(invalid(
                    "it has a sparse file in the form of `tar --format=pax --sparse`, which is not \
                     supported: pack it without --sparse",
                ));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    described.xattrs.push((name.into(), value.into()));
                }
            }
        }
        records = records.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads seconds with a fraction, which may be before 1970.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if seconds.starts_with('-') && nanoseconds > 0 {
        return Some((whole.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((whole, nanoseconds))
}

/// Writes a time as a record has it, where the fraction has the sign of the whole.
pub(crate) fn decimal(seconds: i64, nanoseconds: i64) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let text = format!(
        "{sign}{}.{:09}",
        total / 1_000_000_000,
        total % 1_000_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Appends `LENGTH KEY=VALUE` and a line feed, where the length counts all of it.
pub(crate) fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_may_hold_any_byte() {
        let mut described = Described::default();
        let record = b"26 SCHILY.xattr.user.a=1\n2\n";
        let record = [b"27".as_slice(), &record[2..]].concat();
        read_records(&record, &mut described).unwrap();
        assert_eq!(described.xattrs, [("user.a".into(), b"1\n2".to_vec())]);
    }

    #[test]
    fn records_of_a_wrong_length_are_refused() {
        for records in ["5 a=b\n", "99 a=b\n", "0 a=b\n", "6 a=bc", "x a=b\n", "3 "] {
            let read = read_records(records.as_bytes(), &mut Described::default());
            assert!(read.is_err(), "{records:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_may_be_long_ago() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"x"), None);
    }

    #[test]
    fn a_record_counts_itself() {
        let lengths = [1, 4, 5, 6, 90, 91, 92, 93, 94, 95, 990, 995];
        for length in lengths {
            let mut records = Vec::new();
            record(&mut records, "k", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            let (digits, _) = text.split_once(' ').unwrap();
            assert_eq!(digits.parse(), Ok(text.len()), "{length}");
        }
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(decimal(12, 500_000_000), "12.5");
        assert_eq!(decimal(-2, 750_000_000), "-1.25");
        assert_eq!(decimal(7, 0), "7");
    }
}
