//! What was read lately, up to a size.

use std::collections::VecDeque;

/// The values that were used last, which together take at most so many bytes.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    /// Each with its size; that which was used last is last.
    entries: VecDeque<(K, V, usize)>,
    bytes: usize,
    max_bytes: usize,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    pub(super) fn get(&mut self, wanted: &K) -> Option<V> {
        let index = self.entries.iter().position(|(key, ..)| key == wanted)?;
        let entry = self.entries.remove(index)?;
        let value = entry.1.clone();
        self.entries.push_back(entry);
        Some(value)
    }

    pub(super) fn add(&mut self, key: K, value: V, bytes: usize) {
        self.remove_if(|known| *known == key);
        self.entries.push_back((key, value, bytes));
        self.bytes += bytes;
        while self.bytes > self.max_bytes
            && let Some((_, _, bytes)) = self.entries.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    pub(super) fn remove_if(&mut self, is_removed: impl Fn(&K) -> bool) {
        self.entries.retain(|(key, ..)| !is_removed(key));
        self.bytes = self.entries.iter().map(|(_, _, bytes)| bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_long_makes_room() {
        let mut recent = Recent::new(10);
        for key in 1..=3 {
            recent.add(key, key * 10, 3);
        }
        assert_eq!(recent.get(&1), Some(10));
        recent.add(4, 40, 3);
        let known = [1, 2, 3, 4].map(|key| recent.get(&key));
        assert_eq!(known, [Some(10), None, Some(30), Some(40)]);
        recent.add(5, 50, 11);
        assert_eq!((recent.entries.len(), recent.bytes), (0, 0));
    }
}
