//! Leaves a repository alone for some time after it did not answer, so that builds do not wait for it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How long it is left alone at first. Each further failure doubles it.
const SHORTEST: Duration = Duration::from_secs(5);

/// How long it is left alone at most: a registry that is being restored is used again soon after.
const LONGEST: Duration = Duration::from_secs(300);

/// Whether a repository is left alone.
#[derive(Debug, Default)]
pub(super) struct Outage {
    until: Cell<Option<Instant>>,
    failures: Cell<u32>,
}

impl Outage {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.get().is_none_or(|until| until <= now)
    }

    pub(super) fn failed(&self, now: Instant) {
        let factor = 2_u32.saturating_pow(self.failures.get());
        let pause = SHORTEST.saturating_mul(factor).min(LONGEST);
        self.failures.set(self.failures.get().saturating_add(1));
        self.until.set(Some(now + pause));
    }

    pub(super) fn answered(&self) {
        self.failures.set(0);
        self.until.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_left_alone_for_longer_each_time() {
        let outage = Outage::default();
        let mut now = Instant::now();
        assert!(outage.is_over(now));
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            outage.failed(now);
            assert!(!outage.is_over(now + Duration::from_secs(seconds - 1)));
            now += Duration::from_secs(seconds);
            assert!(outage.is_over(now));
        }
        outage.answered();
        outage.failed(now);
        assert!(outage.is_over(now + SHORTEST));
    }
}
