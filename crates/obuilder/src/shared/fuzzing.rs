//! Checks records that a fuzzer makes: as they come, and as a listed key has signed them.

use ring::signature::Ed25519KeyPair;

use super::keys::SigningKey;
use super::record::{Chain, Record, Requirements, SignedRecord};
use crate::StepId;

/// When the records of the seeds were made, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// The key of the fuzzer.
const SEED: [u8; 32] = [7; 32];

/// Checks the bytes as a list of records, and each of their lines as a record that an accepted key has signed.
/// Returns how many records the second has if it is accepted.
///
/// # Panics
/// If what was accepted breaks a rule.
pub fn check_records(bytes: &[u8]) -> Option<usize> {
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).ok()?;
    let key = SigningKey::of(key);
    let accepted = [key.public()];
    let lines: Vec<&str> = std::str::from_utf8(bytes).ok()?.lines().collect();
    let last = lines.last()?;
    let step = serde_json::from_str::<Record>(last).ok();
    let step = step.and_then(|record| record.step.parse().ok());
    let wanted = Requirements {
        step: step.unwrap_or_else(|| StepId::of(b"any")),
        platform: "linux/amd64",
        accepted: &accepted,
        now: NOW,
        max_age: Some(1_000_000),
    };
    assert!(
        Chain::check(bytes, &wanted).is_err(),
        "records without a signature were accepted"
    );
    let signed = lines.iter().map(|line| SignedRecord::new(line, &key));
    let chain = Chain::of(signed.collect());
    let checked = Chain::check(&chain.encode(), &wanted).ok()?;
    assert_eq!(checked.records.len(), lines.len());
    let mut base = None;
    for (record, content) in &checked.records {
        assert!(base.is_none_or(|base| base == record.base));
        base = Some(*content);
        assert!(checked.after(&record.base).is_some());
    }
    assert_eq!(checked.chain().content(), base);
    Some(lines.len())
}
