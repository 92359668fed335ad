//! Durations on a logarithmic scale, in whole numbers: the same on every machine.
//!
//! Times of builds spread by factors, not by seconds: one that usually takes ten minutes takes five or twenty. So what
//! is learned of them, and what is drawn at random, are logarithms.

use core::time::Duration;

/// How many steps there are between a duration and twice that.
pub(crate) const OCTAVE: u16 = 1 << OCTAVE_BITS;

const OCTAVE_BITS: u32 = 10;

/// The logarithm of a duration in microseconds, to the base 2, in steps of 1/1024 (about 0.07 %).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Log(pub(crate) u16);

impl Log {
    /// Returns the logarithm of a duration; of less than a microsecond, it is 0.
    pub(crate) fn of(duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self::of_micros(micros.max(1))
    }

    fn of_micros(micros: u64) -> Self {
        let whole = micros.ilog2();
        // Between 1 and 2, in units of 2^-63. Squaring it doubles its logarithm, bit by bit.
        let mut mantissa = micros << (63 - whole);
        let mut log = whole;
        for _ in 0..=OCTAVE_BITS {
            let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
            let bit = u32::from(square >> 64 != 0);
            mantissa = u64::try_from(square >> bit).unwrap_or(u64::MAX);
            log = 2 * log + bit;
        }
        // One bit more than is kept, to round by.
        Self(u16::try_from(log.div_ceil(2)).unwrap_or(u16::MAX))
    }

    /// Returns the duration.
    pub(crate) fn duration(self) -> Duration {
        const UNIT: u64 = 1 << 30;
        // 2^x for x from 0 to 1, less than 0.02 % off: 1 + 0.6951 x + 0.2276 x^2 + 0.0773 x^3.
        let [a, b, c]: [u64; 3] = [746_394_009, 244_335_051, 83_012_764];
        let (whole, fraction) = (self.0 >> OCTAVE_BITS, u64::from(self.0 % OCTAVE));
        let x = fraction << (30 - OCTAVE_BITS);
        let mantissa = UNIT + ((x * (a + ((x * (b + ((x * c) >> 30))) >> 30))) >> 30);
        let micros = (u128::from(mantissa) << whole) >> 30;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Returns this logarithm, moved by a number of steps.
    pub(crate) fn moved(self, steps: i32) -> Self {
        let moved = i32::from(self.0).saturating_add(steps);
        Self(u16::try_from(moved.max(0)).unwrap_or(u16::MAX))
    }

    /// Returns by how many steps this is above `other`.
    pub(crate) fn above(self, other: Self) -> i32 {
        i32::from(self.0) - i32::from(other.0)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::Log;

    #[test]
    fn durations_are_kept_within_a_thousandth() {
        for micros in (0..62).flat_map(|bits| [1_u64 << bits, (1 << bits) + (1 << bits) / 3]) {
            let duration = Duration::from_micros(micros);
            let error = Log::of(duration).duration().as_secs_f64() / duration.as_secs_f64() - 1.0;
            assert!(micros < 1_000 || error.abs() < 0.001, "{micros}: {error}");
        }
        assert_eq!(Log::of(Duration::ZERO).duration(), Duration::from_micros(1));
        assert!(Log::of(Duration::MAX).duration() > Duration::from_secs(1 << 40));
    }

    #[test]
    fn longer_durations_have_larger_logarithms() {
        let logs = (1..100_000_u64).map(|tens| Log::of(Duration::from_micros(tens * 10)));
        assert!(logs.is_sorted());
        let durations = (0..=u16::MAX).map(|log| Log(log).duration());
        assert!(durations.is_sorted());
    }

    #[test]
    fn twice_as_long_is_an_octave_more() {
        let minute = Log::of(Duration::from_secs(60));
        assert_eq!(Log::of(Duration::from_secs(120)).above(minute), 1024);
        assert_eq!(minute.moved(-1024).above(minute), -1024);
    }
}
