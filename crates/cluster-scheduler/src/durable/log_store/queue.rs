//! What waits to be done in a log store, the oldest first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jobs::AttemptId;
use pool::Time;

/// Logs that wait for the same, each once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By their numbers, in the order in which they came.
    waiting: BTreeMap<u64, (AttemptId, Time)>,
    numbers: HashMap<AttemptId, u64>,
    /// Those that nothing is done about at present.
    idle: BTreeSet<u64>,
    last: u64,
}

impl Queue {
    /// Adds a log, unless it waits already.
    pub(super) fn add(&mut self, attempt: AttemptId, now: Time) {
        if self.numbers.contains_key(&attempt) {
            return;
        }
        self.last += 1;
        self.waiting.insert(self.last, (attempt, now));
        self.numbers.insert(attempt, self.last);
        self.idle.insert(self.last);
    }

    /// Takes the oldest that nothing is done about. It still waits, until it is [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<AttemptId> {
        let number = self.idle.pop_first()?;
        self.waiting.get(&number).map(|(attempt, _)| *attempt)
    }

    /// It could not be done: it waits again, where it stood.
    pub(super) fn put_back(&mut self, attempt: AttemptId) {
        if let Some(number) = self.numbers.get(&attempt) {
            self.idle.insert(*number);
        }
    }

    pub(super) fn done(&mut self, attempt: AttemptId) {
        if let Some(number) = self.numbers.remove(&attempt) {
            self.waiting.remove(&number);
            self.idle.remove(&number);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.waiting.values().next().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use jobs::JobId;

    use super::*;

    #[test]
    fn what_could_not_be_done_stays_where_it_stood() {
        let attempt = |bits| AttemptId {
            job: JobId::from_bits(bits),
            number: 1,
        };
        let mut queue = Queue::default();
        for bits in [1, 2, 1, 3] {
            queue.add(attempt(bits), Time::from_secs(bits.cast_signed()));
        }
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.take(), Some(attempt(1)));
        assert_eq!(queue.take(), Some(attempt(2)));
        queue.put_back(attempt(1));
        // It waits already.
        queue.add(attempt(2), Time::from_secs(9));
        assert_eq!(queue.oldest(), Some(Time::from_secs(1)));
        assert_eq!(queue.take(), Some(attempt(1)));
        queue.done(attempt(1));
        queue.put_back(attempt(1));
        assert_eq!(queue.oldest(), Some(Time::from_secs(2)));
        assert_eq!([queue.take(), queue.take()], [Some(attempt(3)), None]);
        assert_eq!(queue.len(), 2);
    }
}
