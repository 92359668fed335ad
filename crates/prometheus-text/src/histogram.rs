//! Distributions of durations.

/// Counts durations by how long they are at most.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The upper bounds of the buckets, in seconds, rising.
    bounds: &'static [f64],
    /// How many fell into each bucket.
    counts: Vec<u64>,
    /// How many there were, including those beyond all buckets.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Returns an empty one with buckets up to these bounds, in rising order.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum: 0.0,
        }
    }

    /// Counts a duration.
    pub fn add(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Returns each bound, and how many were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds
            .iter()
            .zip(&self.counts)
            .map(move |(bound, count)| {
                below += count;
                (*bound, below)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn a_bucket_holds_its_bound() {
        let mut histogram = Histogram::new(&[1.0, 5.0]);
        for seconds in [0.0, 1.0, 1.5, 5.0, 7.0] {
            histogram.add(seconds);
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative, [(1.0, 2), (5.0, 4)]);
        assert_eq!((histogram.count, histogram.sum), (5, 14.5));
    }
}
