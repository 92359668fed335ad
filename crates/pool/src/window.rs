//! The latest durations of some jobs, and what is to be expected after them.

use alloc::vec::Vec;

use crate::scale::Log;

/// What is to be expected of a duration: on a logarithmic scale, it spreads evenly around the median.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) median: Log,
    /// The standard deviation, in steps of [`Log`].
    pub(crate) deviation: u16,
    /// How many durations this is known from.
    pub(crate) count: u16,
}

/// What is to be expected of jobs that find their cache warm, and of those that do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) warm: Option<Spread>,
    pub(crate) cold: Option<Spread>,
}

impl Known {
    pub(crate) fn of(self, is_warm: bool) -> Option<Spread> {
        if is_warm { self.warm } else { self.cold }
    }
}

/// The latest `MOST` numbers of a series. Older ones are forgotten, so that what has changed is noticed.
#[derive(Clone, Debug)]
pub(crate) struct Window<T, const MOST: usize> {
    values: Vec<T>,
    next: usize,
}

impl<T, const MOST: usize> Default for Window<T, MOST> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            next: 0,
        }
    }
}

impl<T: Copy, const MOST: usize> Window<T, MOST> {
    pub(crate) fn push(&mut self, value: T) {
        match self.values.get_mut(self.next) {
            Some(oldest) => *oldest = value,
            None => self.values.push(value),
        }
        self.next = (self.next + 1) % MOST;
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }
}

impl<const MOST: usize> Window<Log, MOST> {
    /// Returns what is to be expected after these; `None` after none.
    pub(crate) fn spread(&self) -> Option<Spread> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let (low, high) = (
            sorted.get(sorted.len().checked_sub(1)? / 2)?,
            sorted.get(sorted.len() / 2)?,
        );
        let median = low.moved(high.above(*low) / 2);
        let differences = sorted.iter().map(|log| log.above(median));
        Some(Spread {
            median,
            deviation: deviation(differences, sorted.len().saturating_sub(1)),
            count: u16::try_from(sorted.len()).unwrap_or(u16::MAX),
        })
    }
}

/// Returns the root of the mean of the squares of some differences that count as `count`; 0 if that is 0.
pub(crate) fn deviation(differences: impl Iterator<Item = i32>, count: usize) -> u16 {
    let squares = differences.map(|difference| i64::from(difference).pow(2).unsigned_abs());
    let sum = squares.fold(0, u64::saturating_add);
    let mean = sum.checked_div(count as u64).unwrap_or(0);
    u16::try_from(mean.isqrt()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{Log, Window};

    fn window(seconds: &[u64]) -> Window<Log, 4> {
        let mut window = Window::default();
        for seconds in seconds {
            window.push(Log::of(Duration::from_secs(*seconds)));
        }
        window
    }

    #[test]
    fn the_median_of_the_latest_counts() {
        assert_eq!(window(&[]).spread(), None);
        let spread = |seconds| window(seconds).spread().unwrap();
        assert_eq!(spread(&[60]).median, Log::of(Duration::from_secs(60)));
        assert_eq!((spread(&[60]).deviation, spread(&[60]).count), (0, 1));
        // Between two, it is in the middle of the scale.
        assert_eq!(spread(&[10, 40]).median, Log::of(Duration::from_secs(20)));
        // An octave to either side.
        assert_eq!(spread(&[10, 20, 40]).deviation, 1024);
        // What is older than the latest four is forgotten.
        assert_eq!(spread(&[1, 1, 1, 60, 60, 60, 60]).deviation, 0);
    }
}
