//! The weights of jobs: how much of a worker's capacity each takes.

use std::num::NonZeroU32;
use std::str::FromStr;

use regex::Regex;

/// The weights of jobs, by their cache hints: that of the first pattern that matches the hint, or 1.
///
/// Upstream has built-in weights for two projects. Here, all weights are configured.
#[derive(Debug, Clone, Default)]
pub struct JobWeights(Vec<JobWeight>);

/// The weight of jobs with certain hints.
#[derive(Debug, Clone)]
pub struct JobWeight {
    pattern: Regex,
    weight: NonZeroU32,
}

/// Why a text is not a weight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobWeightError {
    /// It does not have the right form.
    #[error("invalid weight {0:?}: it must be REGEX=N, with a number N of at least 1")]
    Malformed(String),
    /// The pattern is not a regular expression.
    #[error("{0}")]
    Pattern(String),
}

impl FromStr for JobWeight {
    type Err = JobWeightError;

    /// Reads `REGEX=N`. The last `=` separates them.
    fn from_str(text: &str) -> Result<Self, JobWeightError> {
        let malformed = || JobWeightError::Malformed(text.to_owned());
        let (pattern, weight) = text.rsplit_once('=').ok_or_else(malformed)?;
        let weight = weight.parse().map_err(|_| malformed())?;
        let pattern =
            Regex::new(pattern).map_err(|error| JobWeightError::Pattern(error.to_string()))?;
        Ok(Self { pattern, weight })
    }
}

impl JobWeights {
    /// Returns the weight of a job with this hint, for a worker with this capacity.
    ///
    /// A job that weighs more than the capacity takes all of it, so that workers of different sizes can have the same
    /// configuration.
    pub(crate) fn of(&self, cache_hint: &str, capacity: u32) -> u32 {
        let heavy = self
            .0
            .iter()
            .find(|known| known.pattern.is_match(cache_hint));
        heavy.map_or(1, |known| known.weight.get()).min(capacity)
    }
}

impl FromIterator<JobWeight> for JobWeights {
    fn from_iter<I: IntoIterator<Item = JobWeight>>(weights: I) -> Self {
        Self(weights.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let weights = ["^tezos/tezos", "a=b|octez", "tezos"].iter().zip([4, 3, 2]);
        let weights: JobWeights = weights
            .map(|(pattern, weight)| format!("{pattern}={weight}").parse::<JobWeight>().unwrap())
            .collect();
        let of = |hint| weights.of(hint, 10);
        assert_eq!(of("tezos/tezos-5.2"), 4);
        assert_eq!(of("x/octez"), 3);
        assert_eq!(of("a=b"), 3);
        assert_eq!(of("my/tezos"), 2);
        assert_eq!((of("other"), of("")), (1, 1));
        assert_eq!(weights.of("tezos/tezos", 3), 3, "no more than there is");
        assert_eq!(JobWeights::default().of("tezos", 10), 1);
    }

    #[test]
    fn invalid_weights_are_refused() {
        for text in ["", "x", "x=", "x=0", "x=-1", "x=1.5", "x=99999999999"] {
            let error = text.parse::<JobWeight>().unwrap_err();
            assert_eq!(error, JobWeightError::Malformed(text.into()));
        }
        let error = "(=2".parse::<JobWeight>().unwrap_err().to_string();
        assert!(error.contains("unclosed group"), "{error}");
    }
}
