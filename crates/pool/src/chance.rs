//! Chance that is the same for the same seed, in whole numbers.

use core::time::Duration;

use crate::scale::Log;
use crate::times::Expected;

/// The upper half of a standard normal distribution in 128 equally likely pieces: the middle of each, in 1024ths.
const UPPER_HALF: [i32; 128] = [
    5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 105, 116, 126, 136, 146, 156, 166, 176, 187, 197, 207,
    217, 227, 238, 248, 258, 269, 279, 290, 300, 311, 321, 332, 342, 353, 363, 374, 385, 396, 406,
    417, 428, 439, 450, 461, 472, 484, 495, 506, 518, 529, 540, 552, 564, 575, 587, 599, 611, 623,
    635, 647, 660, 672, 684, 697, 710, 722, 735, 748, 762, 775, 788, 802, 816, 829, 843, 858, 872,
    886, 901, 916, 931, 946, 962, 977, 993, 1009, 1026, 1043, 1060, 1077, 1094, 1112, 1131, 1149,
    1168, 1188, 1208, 1228, 1249, 1270, 1292, 1315, 1338, 1362, 1386, 1412, 1438, 1466, 1494, 1524,
    1555, 1587, 1622, 1658, 1696, 1737, 1781, 1828, 1880, 1937, 2000, 2073, 2157, 2260, 2391, 2581,
    2955,
];

/// One unit of [`UPPER_HALF`]: the deviation of a standard normal distribution.
const UNIT: i32 = 1024;

/// SplitMix64: short, and good enough to draw times with.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from `from` to 255.
    fn piece(&mut self, from: u8) -> u8 {
        let pieces = 256 - u64::from(from);
        from + u8::try_from(self.next() % pieces).unwrap_or(0)
    }

    /// Returns how far a hint's jobs are from what is known of it, in steps of [`Log`].
    pub(crate) fn shift(&mut self, expected: Expected) -> i32 {
        scaled(quantile(self.piece(0)), expected.between)
    }

    /// Returns how long a job takes.
    pub(crate) fn duration(&mut self, expected: Expected, shift: i32) -> Duration {
        let piece = self.piece(0);
        drawn(expected, shift, piece).duration()
    }

    /// Returns how much longer a job takes that has run for `elapsed`.
    pub(crate) fn remaining(
        &mut self,
        expected: Expected,
        shift: i32,
        elapsed: Duration,
    ) -> Duration {
        let already = Log::of(elapsed);
        // Of the times that it may take, those that have not passed are as likely as before.
        let from = (0..=u8::MAX).find(|piece| drawn(expected, shift, *piece) > already);
        let total = match from {
            Some(from) => {
                let piece = self.piece(from);
                drawn(expected, shift, piece).duration()
            }
            // It has taken longer than all of them. The tail is about a third of the deviation long.
            None => {
                let tail = i32::from(expected.within) * i32::from(self.piece(0)) / (256 * 3 / 2);
                already.moved(tail).duration()
            }
        };
        total.saturating_sub(elapsed)
    }
}

fn drawn(expected: Expected, shift: i32, piece: u8) -> Log {
    let away = scaled(quantile(piece), expected.within);
    expected.median.moved(shift.saturating_add(away))
}

fn scaled(quantile: i32, deviation: u16) -> i32 {
    quantile * i32::from(deviation) / UNIT
}

/// Returns the middle of one of 256 equally likely pieces of a standard normal distribution, the lowest first.
fn quantile(piece: u8) -> i32 {
    match usize::from(piece).checked_sub(UPPER_HALF.len()) {
        Some(upper) => UPPER_HALF[upper],
        None => -UPPER_HALF[UPPER_HALF.len() - 1 - usize::from(piece)],
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{Expected, Log, Random};

    fn expected(seconds: u64) -> Expected {
        Expected {
            median: Log::of(Duration::from_secs(seconds)),
            within: 1024,
            between: 0,
        }
    }

    #[test]
    fn durations_spread_around_the_median() {
        let mut random = Random::new(1);
        let mut drawn: Vec<_> = (0..10_000)
            .map(|_| random.duration(expected(100), 0).as_secs_f64())
            .collect();
        drawn.sort_by(f64::total_cmp);
        // One deviation is a factor of two: two thirds are between half and twice.
        for (share, seconds) in [(0.1587, 50.0), (0.5, 100.0), (0.8413, 200.0)] {
            let found = drawn[(share * 10_000.0) as usize];
            assert!(
                (found / seconds - 1.0).abs() < 0.05,
                "{found} for {seconds}"
            );
        }
    }

    #[test]
    fn what_has_run_for_long_is_expected_to_run_for_longer() {
        let mean = |elapsed| {
            let mut random = Random::new(2);
            let left = (0..1_000).map(|_| {
                let elapsed = Duration::from_secs(elapsed);
                random.remaining(expected(100), 0, elapsed).as_secs_f64()
            });
            left.sum::<f64>() / 1_000.0
        };
        assert!(mean(1) > 100.0 && mean(1) < 140.0, "{}", mean(1));
        assert!(mean(200) > 100.0, "{}", mean(200));
        // Far beyond all that was seen, it may end at any time.
        assert!(mean(100_000) > 1_000.0 && mean(100_000) < 100_000.0);
    }
}
