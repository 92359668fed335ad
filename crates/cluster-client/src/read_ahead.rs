//! Reads ahead in a log: several calls in flight if the worker sends large pieces, one if it does not.
//!
//! Each call requests the piece that begins at an offset. With one call in flight, there is a round trip between two
//! pieces. Our workers send up to 256 KiB per call. When they do, the next pieces very likely begin at multiples of
//! 256 KiB, so they can be requested before the first one arrives. A wrong guess (the log ended, or a piece was short)
//! only costs the call: its answer is discarded, and reading continues at the right offset.
//!
//! Upstream's workers send at most 10 KiB, and answer an offset beyond the end of the log with an error, so with them
//! nothing is guessed.
//!
//! [`ReadAhead`] only does the arithmetic. It sends nothing, so every case can be tested.

/// The smallest piece that starts reading ahead. More than the 10 KiB of upstream's workers.
const LARGE: i64 = 64 * 1024;

/// Decides which offsets of a log to request.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// Everything before this offset has been received.
    received: i64,
    /// The offset of the next guess.
    next: i64,
    /// The largest piece that the worker has sent; `None` while nothing may be guessed.
    piece: Option<i64>,
    in_flight: usize,
    /// How many calls may be in flight at once.
    window: usize,
}

/// One call to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The offset to request.
    pub(crate) start: i64,
    /// Whether the log may end before this offset. Then a failure of the call means nothing.
    pub(crate) guess: bool,
}

/// What to do with the answer to the oldest call in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// Use the bytes after the first `skip`, which are known. Then, if `restart`, drop all other calls in flight: they
    /// request the wrong offsets.
    Take {
        /// How many bytes at the beginning are known.
        skip: usize,
        /// Whether to drop the other calls in flight.
        restart: bool,
    },
    /// Drop the answer, and the other calls in flight.
    Restart,
    /// The log has ended.
    End,
    /// The next offset does not advance, so the log would have no end.
    Stuck,
}

impl ReadAhead {
    /// Begins at the start of a log, with at most `window` calls in flight (at least one).
    #[cfg(test)]
    pub(crate) fn new(window: usize) -> Self {
        Self::starting_at(0, window)
    }

    /// Begins at an offset of a log, with at most `window` calls in flight (at least one).
    pub(crate) fn starting_at(start: i64, window: usize) -> Self {
        Self {
            received: start,
            next: start,
            piece: None,
            in_flight: 0,
            window: window.max(1),
        }
    }

    /// Returns the call to make now, if there is one.
    pub(crate) fn ask(&mut self) -> Option<Call> {
        let call = match (self.in_flight, self.piece) {
            (0, _) => Call {
                start: self.received,
                guess: false,
            },
            (n, Some(_)) if n < self.window => Call {
                start: self.next,
                guess: true,
            },
            _ => return None,
        };
        self.next = call.start.saturating_add(self.piece.unwrap_or(0));
        self.in_flight += 1;
        Some(call)
    }

    /// Records that the oldest call was answered with `length` bytes, after which the log continues at `next`.
    pub(crate) fn answered(&mut self, call: Call, length: usize, next: i64) -> Answer {
        self.in_flight = self.in_flight.saturating_sub(1);
        // How much of the answer is known. It must not begin after the known bytes.
        let skip = self
            .received
            .checked_sub(call.start)
            .and_then(|skip| usize::try_from(skip).ok());
        match skip {
            Some(0) if length == 0 => Answer::End,
            Some(skip) if skip < length => {
                // Whichever offset the worker sends, it must advance.
                if next <= self.received {
                    return Answer::Stuck;
                }
                self.received = next;
                Answer::Take {
                    skip,
                    restart: self.restart_after(length),
                }
            }
            _ => self.restart(),
        }
    }

    /// Records that the oldest call failed. Returns `None` if that ends the reading, because it was no guess.
    pub(crate) fn failed(&mut self, call: Call) -> Option<Answer> {
        self.in_flight = self.in_flight.saturating_sub(1);
        call.guess.then(|| self.restart())
    }

    /// Adapts to the length of a piece. Returns whether the calls in flight request the wrong offsets.
    fn restart_after(&mut self, length: usize) -> bool {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let as_guessed = self.piece == Some(length);
        self.piece =
            (length >= LARGE).then(|| self.piece.map_or(length, |piece| piece.max(length)));
        let restart = self.in_flight > 0 && !as_guessed;
        if restart {
            self.in_flight = 0;
        }
        restart
    }

    fn restart(&mut self) -> Answer {
        self.in_flight = 0;
        self.piece = None;
        Answer::Restart
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const KIB: i64 = 1024;

    /// A worker with a complete log, which counts the calls.
    struct Worker {
        length: i64,
        piece: i64,
        calls: usize,
        beyond_end: usize,
    }

    impl Worker {
        /// Answers with the length of a piece, or fails as all workers do beyond the end.
        fn log(&mut self, start: i64) -> Option<i64> {
            self.calls += 1;
            if start > self.length {
                self.beyond_end += 1;
                return None;
            }
            Some(self.piece.min(self.length - start))
        }

        /// Reads it all, and returns the number of bytes used and the most calls that were in flight.
        fn read(&mut self, window: usize) -> (i64, usize) {
            let mut reading = ReadAhead::new(window);
            let mut in_flight = VecDeque::new();
            let (mut used, mut most) = (0, 0);
            loop {
                while let Some(call) = reading.ask() {
                    in_flight.push_back((call, self.log(call.start)));
                }
                most = most.max(in_flight.len());
                let (call, answer) = in_flight.pop_front().unwrap();
                let answer = match answer {
                    Some(n) => reading.answered(call, usize::try_from(n).unwrap(), call.start + n),
                    None => reading.failed(call).expect("only guesses may fail"),
                };
                match answer {
                    Answer::Take { skip, restart } => {
                        assert_eq!(
                            call.start + i64::try_from(skip).unwrap(),
                            used,
                            "a gap or a repetition"
                        );
                        used = reading.received;
                        if restart {
                            in_flight.clear();
                        }
                    }
                    Answer::Restart => in_flight.clear(),
                    Answer::End => return (used, most),
                    Answer::Stuck => panic!("this worker's log advances"),
                }
            }
        }
    }

    fn worker(length: i64, piece: i64) -> Worker {
        Worker {
            length,
            piece,
            calls: 0,
            beyond_end: 0,
        }
    }

    #[test]
    fn upstreams_workers_get_one_call_at_a_time_and_none_beyond_the_end() {
        for length in [0, 1, 10_240, 10_241, 1_000_000] {
            let mut worker = worker(length, 10_240);
            assert_eq!(worker.read(8), (length, 1));
            assert_eq!(worker.beyond_end, 0);
        }
    }

    #[test]
    fn several_calls_are_in_flight_while_pieces_are_large() {
        let mut worker = worker(256 * KIB * 100, 256 * KIB);
        assert_eq!(worker.read(8), (256 * KIB * 100, 8));
        assert!(worker.calls < 110, "{} calls for 100 pieces", worker.calls);
    }

    #[test]
    fn nothing_is_lost_or_repeated_wherever_the_log_ends() {
        for length in (0..40).map(|n| n * 64 * KIB - n % 3) {
            for piece in [64 * KIB, 100_000, 256 * KIB] {
                for window in [0, 1, 2, 8] {
                    assert_eq!(worker(length, piece).read(window).0, length.max(0));
                }
            }
        }
    }

    #[test]
    fn a_piece_larger_than_guessed_is_used_and_the_guesses_are_not() {
        let mut reading = ReadAhead::new(3);
        let first = reading.ask().unwrap();
        let taken = Answer::Take {
            skip: 0,
            restart: false,
        };
        assert_eq!(reading.answered(first, 100_000, 100_000), taken);
        let (a, b) = (reading.ask().unwrap(), reading.ask().unwrap());
        assert_eq!((a.start, b.start), (100_000, 200_000));
        let taken = Answer::Take {
            skip: 0,
            restart: true,
        };
        assert_eq!(reading.answered(a, 262_144, 362_144), taken);
        assert_eq!(
            reading.ask().unwrap(),
            Call {
                start: 362_144,
                guess: false
            }
        );
        assert_eq!(
            reading.ask().unwrap(),
            Call {
                start: 362_144 + 262_144,
                guess: true
            }
        );
    }

    #[test]
    fn a_log_that_does_not_advance_is_stuck() {
        for next in [5, 4, 0, -1, i64::MIN] {
            let mut reading = ReadAhead::new(2);
            let first = reading.ask().unwrap();
            let taken = Answer::Take {
                skip: 0,
                restart: false,
            };
            assert_eq!(reading.answered(first, 5, 5), taken);
            let second = reading.ask().unwrap();
            assert_eq!(reading.answered(second, 5, next), Answer::Stuck, "{next}");
        }
    }

    #[test]
    fn a_failed_guess_is_repeated_and_another_failed_call_ends_the_reading() {
        let mut reading = ReadAhead::new(2);
        let first = reading.ask().unwrap();
        let _ = reading.answered(first, 65_536, 65_536);
        let (plain, guess) = (reading.ask().unwrap(), reading.ask().unwrap());
        let _ = reading.answered(plain, 65_536, 131_072);
        assert_eq!(reading.failed(guess), Some(Answer::Restart));
        let again = reading.ask().unwrap();
        assert_eq!(
            again,
            Call {
                start: 131_072,
                guess: false
            }
        );
        assert_eq!(reading.ask(), None, "nothing more is guessed");
        assert_eq!(reading.failed(again), None);
    }
}
