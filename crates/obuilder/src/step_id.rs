//! The id of a result: the digest of its inputs.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The digest of a step's inputs, under which a store keeps its result. As text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId([u8; 32]);

/// A text that is not the id of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid id {0:?}: an id has 64 hexadecimal digits, in lower case")]
pub struct BadStepId(String);

impl StepId {
    /// Returns the id of the step with these inputs: everything on which its result depends.
    pub fn of(inputs: &[u8]) -> Self {
        Self(Sha256::digest(inputs).into())
    }
}

impl FromStr for StepId {
    type Err = BadStepId;

    fn from_str(text: &str) -> Result<Self, BadStepId> {
        let bad = || BadStepId(text.to_owned());
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != id.len() || !rest.is_empty() {
            return Err(bad());
        }
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            let (high, low) = (digit(*high).ok_or_else(bad)?, digit(*low).ok_or_else(bad)?);
            *byte = high << 4 | low;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::StepId;

    #[test]
    fn a_base_image_is_known_by_its_name() {
        let id = StepId::of(b"busybox");
        let text = "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn an_id_has_64_lower_case_digits() {
        for text in [
            "",
            "9d75",
            &"A".repeat(64),
            &"0".repeat(65),
            &"g".repeat(64),
            "../../etc",
        ] {
            assert!(text.parse::<StepId>().is_err(), "{text}");
        }
    }
}
