//! How often secrets may be guessed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many wrong secrets an address may send within [`PERIOD`].
const MOST: u32 = 10;

/// How many wrong secrets all addresses may send within [`PERIOD`]. Secrets have 256 random bits, so this is about the
/// load, not about the chance.
const MOST_OF_ALL: u32 = 1_000;

/// How long wrong secrets count.
const PERIOD: Duration = Duration::from_secs(60);

/// The wrong secrets of late.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    begun: Option<Instant>,
    by_address: HashMap<IpAddr, u32>,
    all: u32,
}

impl Guesses {
    /// Returns whether an address may try a secret at `now`.
    pub(crate) fn may_try(&mut self, address: IpAddr, now: Instant) -> bool {
        if self
            .begun
            .is_none_or(|begun| now.duration_since(begun) >= PERIOD)
        {
            *self = Self {
                begun: Some(now),
                ..Self::default()
            };
        }
        let tried = self.by_address.get(&address).copied().unwrap_or(0);
        tried < MOST && self.all < MOST_OF_ALL
    }

    /// An address has tried a wrong secret.
    pub(crate) fn failed(&mut self, address: IpAddr) {
        self.all = self.all.saturating_add(1);
        let tried = self.by_address.entry(address).or_default();
        *tried = tried.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let (guesser, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut guesses = Guesses::default();
        let now = Instant::now();
        for _ in 0..MOST {
            assert!(guesses.may_try(guesser, now));
            guesses.failed(guesser);
        }
        assert!(!guesses.may_try(guesser, now));
        assert!(guesses.may_try(other, now));
        assert!(guesses.may_try(guesser, now + PERIOD));
    }
}
