//! What a worker says about a result that it shares, signed; and the chain of such records, from the first step after
//! the base image to the result.

use std::time::Duration;

use oci::Digest;
use serde::{Deserialize, Serialize};

use super::keys::{PublicKey, SigningKey};
use super::stats::MissCause;
use crate::StepId;

/// The version of all formats here.
const FORMAT: u32 = 1;

/// The most steps between a base image and a result.
const MOST_STEPS: usize = 512;

/// The largest layer, in bytes: compressed, and as an archive.
pub(super) const MOST_STORED: u64 = 20 << 30;
pub(super) const MOST_UNPACKED: u64 = 40 << 30;

/// The largest log of a step that is shared, in bytes.
pub(super) const MOST_LOG: u64 = 64 << 20;

/// How far the clock of another worker may be ahead, in seconds.
const CLOCKS: i64 = 3600;

/// What a worker says about a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(super) format: u32,
    /// The step and its variant, as 64 hexadecimal digits.
    pub(super) step: String,
    /// The machine on which it ran: `linux/amd64`.
    pub(super) platform: String,
    /// The content of its base: of a base image, the digest of its files; of another result, that of its record.
    pub(super) base: Digest,
    /// What the step changed.
    pub(super) layer: SharedLayer,
    /// The output of the step. `None` if there was none.
    pub(super) log: Option<SharedBlob>,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
    /// When it was made, in seconds since 1970.
    pub(super) made: i64,
    /// The name of the worker that made it.
    pub(super) worker: String,
}

/// A layer, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedLayer {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The size of the archive, in bytes.
    pub(super) unpacked: u64,
}

/// A blob, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedBlob {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// A record with its signature. The text is signed as it is, so that nothing depends on how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedRecord {
    record: String,
    key: String,
    signature: String,
}

/// The records from the first step after the base image to a result. Each names the content of the one before, so
/// that the last one's digest stands for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Chain(Vec<SignedRecord>);

/// A chain whose signatures were checked.
#[derive(Debug, Clone)]
pub(crate) struct CheckedChain {
    pub(super) chain: Chain,
    /// Its records, and the content that each stands for. Never empty.
    pub(super) records: Vec<(Record, Digest)>,
}

/// What a chain must have to be used.
pub(super) struct Requirements<'a> {
    pub(super) step: StepId,
    pub(super) platform: &'a str,
    pub(super) accepted: &'a [PublicKey],
    /// The current time, in seconds since 1970.
    pub(super) now: i64,
    /// The oldest that a record may be, in seconds. `None` for any age.
    pub(super) max_age: Option<i64>,
}

/// Why a chain is not used.
pub(super) type Refusal = (MissCause, String);

impl Record {
    pub(super) fn new(
        step: StepId,
        platform: &str,
        base: Digest,
        layer: SharedLayer,
        log: Option<SharedBlob>,
    ) -> Self {
        Self {
            format: FORMAT,
            step: step.to_string(),
            platform: platform.to_owned(),
            base,
            layer,
            log,
            took_ms: 0,
            made: 0,
            worker: String::new(),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let Self {
            format,
            step,
            platform: _,
            base: _,
            layer,
            log,
            took_ms: _,
            made: _,
            worker,
        } = self;
        let log_size = log.as_ref().map_or(1, |log| log.size);
        if *format != FORMAT {
            Err("it has another format")
        } else if step.parse::<StepId>().is_err() {
            Err("it names no step")
        } else if layer.size > MOST_STORED || layer.unpacked > MOST_UNPACKED {
            Err("its layer is too large")
        } else if log_size == 0 || log_size > MOST_LOG {
            Err("its log is too large")
        } else if visible::check_name(worker).is_err() {
            Err("the name of its worker is not a name")
        } else {
            Ok(())
        }
    }
}

impl SignedRecord {
    pub(super) fn new(record: &str, key: &SigningKey) -> Self {
        Self {
            key: key.public().to_string(),
            signature: key.sign(record.as_bytes()),
            record: record.to_owned(),
        }
    }

    /// Returns the content that it stands for.
    fn content(&self) -> Digest {
        Digest::of(self.record.as_bytes())
    }
}

impl CheckedChain {
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Returns the records of the steps after a content. `None` if the chain does not come by it, or ends there.
    pub(crate) fn after(&self, content: &Digest) -> Option<Vec<Record>> {
        let mut records = self.records.iter().map(|(record, _)| record);
        let start = records.position(|record| record.base == *content)?;
        let after = self.records.get(start..)?.iter();
        Some(after.map(|(record, _)| record.clone()).collect())
    }

    /// Returns the worker that made the result, and how long the step took there.
    pub(crate) fn made_by(&self) -> (&str, Duration) {
        let last = self.records.last();
        last.map_or(("", Duration::ZERO), |(record, _)| {
            (&record.worker, Duration::from_millis(record.took_ms))
        })
    }
}

impl Chain {
    /// Returns the content that the last record stands for. `None` if there is no record.
    pub(crate) fn content(&self) -> Option<Digest> {
        self.0.last().map(SignedRecord::content)
    }

    pub(super) fn of(records: Vec<SignedRecord>) -> Self {
        Self(records)
    }

    /// Returns this chain with one more record, signed.
    pub(super) fn with(mut self, record: &Record, key: &SigningKey) -> Self {
        // Strings and numbers: nothing in it can fail.
        let text = serde_json::to_string(record).unwrap_or_default();
        self.0.push(SignedRecord::new(&text, key));
        self
    }

    /// Returns whether it is not too long for so many more records.
    pub(crate) fn has_room_for(&self, count: usize) -> bool {
        self.len().saturating_add(count) <= MOST_STEPS
    }

    /// Returns how many records it has.
    fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the records without checking their signatures: of a chain that was checked when it was stored here.
    pub(super) fn records(&self) -> Option<Vec<Record>> {
        let records = self.0.iter();
        records
            .map(|signed| serde_json::from_str(&signed.record).ok())
            .collect()
    }

    /// Reads a chain from elsewhere and checks it: first who has signed it, then what it says.
    pub(super) fn check(bytes: &[u8], wanted: &Requirements<'_>) -> Result<CheckedChain, Refusal> {
        let invalid = |reason: &str| (MissCause::Invalid, reason.to_owned());
        let chain: Self =
            serde_json::from_slice(bytes).map_err(|_| invalid("it is not a list of records"))?;
        if chain.0.is_empty() || chain.len() > MOST_STEPS {
            return Err(invalid("it has no records, or too many"));
        }
        let mut records: Vec<(Record, Digest)> = Vec::with_capacity(chain.len());
        for signed in &chain.0 {
            let SignedRecord {
                record,
                key,
                signature,
            } = signed;
            let key: PublicKey = key
                .parse()
                .map_err(|_| (MissCause::Unsigned, "it is not signed".to_owned()))?;
            if !wanted.accepted.contains(&key) {
                let reason = format!("it is signed with a key that is not accepted: {key}");
                return Err((MissCause::Unsigned, reason));
            }
            if !key.has_signed(record.as_bytes(), signature) {
                let reason = format!("its signature is not of the key {key}");
                return Err((MissCause::Unsigned, reason));
            }
            let record: Record =
                serde_json::from_str(record).map_err(|_| invalid("a record has another form"))?;
            record.check().map_err(invalid)?;
            if record.platform != wanted.platform {
                return Err(invalid("it is for another platform"));
            }
            if records
                .last()
                .is_some_and(|(_, content)| *content != record.base)
            {
                return Err(invalid("a record does not follow the one before it"));
            }
            if record.made > wanted.now.saturating_add(CLOCKS) {
                return Err(invalid("it was made in the future"));
            }
            let oldest = wanted.max_age.map(|age| wanted.now.saturating_sub(age));
            if oldest.is_some_and(|oldest| record.made < oldest) {
                return Err((MissCause::Expired, "it is too old".to_owned()));
            }
            records.push((record, signed.content()));
        }
        let is_it = |(record, _): &(Record, Digest)| record.step == wanted.step.to_string();
        if !records.last().is_some_and(is_it) {
            return Err(invalid("it is the result of another step"));
        }
        Ok(CheckedChain { chain, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site {
        dir: tempfile::TempDir,
        step: StepId,
    }

    impl Site {
        fn key(&self, name: &str) -> SigningKey {
            SigningKey::open(&self.dir.path().join(name)).unwrap()
        }

        fn record(&self, base: Digest) -> Record {
            let digest = Digest::of(b"layer");
            let layer = SharedLayer {
                digest,
                size: 5,
                unpacked: 1024,
            };
            let record = Record::new(self.step, "linux/amd64", base, layer, None);
            Record {
                made: 1000,
                worker: "w1".to_owned(),
                ..record
            }
        }

        fn check(&self, bytes: &[u8], accepted: &[PublicKey], max_age: i64) -> String {
            let wanted = Requirements {
                step: self.step,
                platform: "linux/amd64",
                accepted,
                now: 1100,
                max_age: Some(max_age),
            };
            match Chain::check(bytes, &wanted) {
                Ok(checked) => format!("{} records", checked.records.len()),
                Err((cause, reason)) => format!("{cause:?}: {reason}"),
            }
        }
    }

    #[test]
    fn only_a_chain_that_accepted_keys_have_signed_is_used() {
        let site = Site {
            dir: tempfile::tempdir().unwrap(),
            step: StepId::of(b"a step"),
        };
        let (key, other) = (site.key("a"), site.key("b"));
        let accepted = [key.public()];
        let base = Digest::of(b"base");
        let first = Chain::default().with(&site.record(base), &key);
        let chain = first
            .clone()
            .with(&site.record(first.content().unwrap()), &key);
        let check = |bytes: &[u8]| site.check(bytes, &accepted, 1000);
        assert_eq!(check(&chain.encode()), "2 records");

        // Of a key that is not listed; with a listed key over it; and of nobody.
        let foreign = Chain::default().with(&site.record(base), &other);
        assert_eq!(
            check(&foreign.encode()),
            format!(
                "Unsigned: it is signed with a key that is not accepted: {}",
                other.public()
            )
        );
        let mut forged = foreign;
        forged.0[0].key = key.public().to_string();
        assert!(check(&forged.encode()).starts_with("Unsigned: its signature"));
        forged.0[0].key = String::new();
        assert_eq!(check(&forged.encode()), "Unsigned: it is not signed");

        // Changed after it was signed, cut off, out of order, of another step, too old.
        let text = String::from_utf8(chain.encode()).unwrap();
        let changed = text.replace("1024", "1025");
        assert!(check(changed.as_bytes()).starts_with("Unsigned: its signature"));
        assert!(check(&text.as_bytes()[..text.len() - 1]).starts_with("Invalid"));
        let swapped = Chain(chain.0.iter().rev().cloned().collect());
        assert!(check(&swapped.encode()).ends_with("does not follow the one before it"));
        let strange = Record {
            step: StepId::of(b"other").to_string(),
            ..site.record(base)
        };
        let strange = Chain::default().with(&strange, &key);
        assert!(check(&strange.encode()).ends_with("another step"));
        assert!(
            site.check(text.as_bytes(), &accepted, 99)
                .starts_with("Expired")
        );
        let huge = Record {
            layer: SharedLayer {
                digest: base,
                size: MOST_STORED + 1,
                unpacked: 0,
            },
            ..site.record(base)
        };
        let huge = Chain::default().with(&huge, &key);
        assert!(check(&huge.encode()).ends_with("its layer is too large"));
        assert!(check(b"[]").starts_with("Invalid"));
    }
}
