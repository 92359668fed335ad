//! Copies a job's log to wherever it should go, as fast as both ends allow.

use cluster_api::{Job, RpcError};
use futures::stream::{FuturesOrdered, StreamExt as _};

use super::read_ahead::{Answer, ReadAhead};

/// How many calls for a log may be in flight. With pieces of 256 KiB that is 2 MiB, enough for a gigabit at 16 ms.
pub(super) const WINDOW: usize = 8;

/// Why a log was not copied to its end.
#[derive(Debug)]
pub(crate) enum TailError<E> {
    /// The worker, or the scheduler between us, did not give it.
    Log(RpcError),
    /// It could not be written.
    Sink(E),
}

/// Reads all of `job`'s log and gives each piece to `sink`, in order, waiting for it to be written.
///
/// Calls in flight go on while the sink is busy, but no new ones are made: a slow reader of our output slows the
/// worker's answers down rather than filling our memory.
pub(crate) async fn copy<E>(
    job: &Job,
    window: usize,
    mut sink: impl AsyncFnMut(&[u8]) -> Result<(), E>,
) -> Result<(), TailError<E>> {
    let mut reading = ReadAhead::new(window);
    let mut in_flight = FuturesOrdered::new();
    loop {
        while let Some(call) = reading.ask() {
            let answer = job.log(call.start);
            in_flight.push_back(async move { (call, answer.await) });
        }
        let Some((call, answer)) = in_flight.next().await else {
            return Ok(());
        };
        let chunk = match answer {
            Ok(chunk) => chunk,
            Err(error) => match reading.failed(call) {
                Some(_) => {
                    in_flight.clear();
                    continue;
                }
                None => return Err(TailError::Log(error)),
            },
        };
        match reading.answered(call, chunk.bytes.len(), chunk.next) {
            Answer::End => return Ok(()),
            Answer::Restart => in_flight.clear(),
            Answer::Take { skip, restart } => {
                if restart {
                    in_flight.clear();
                }
                sink(chunk.bytes.get(skip..).unwrap_or_default())
                    .await
                    .map_err(TailError::Sink)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use cluster_api::{LogChunk, ServeJob};

    use super::*;

    /// A finished job with a log of `length` bytes, each of which is its offset modulo 251.
    struct Finished {
        length: usize,
        piece: usize,
        /// Breaks the connection, so to speak, at this offset.
        lost_at: Option<i64>,
        in_flight: Cell<usize>,
        most_in_flight: Cell<usize>,
    }

    impl Finished {
        fn new(length: usize, piece: usize) -> Self {
            Self {
                length,
                piece,
                lost_at: None,
                in_flight: Cell::new(0),
                most_in_flight: Cell::new(0),
            }
        }
    }

    fn bytes(range: std::ops::Range<usize>) -> Vec<u8> {
        range
            .map(|offset| u8::try_from(offset % 251).unwrap())
            .collect()
    }

    impl ServeJob for Finished {
        async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
            self.in_flight.set(self.in_flight.get() + 1);
            self.most_in_flight
                .set(self.most_in_flight.get().max(self.in_flight.get()));
            tokio::task::yield_now().await;
            self.in_flight.set(self.in_flight.get() - 1);
            if self.lost_at.is_some_and(|lost| start >= lost) {
                return Err(RpcError::disconnected("worker lost"));
            }
            let begin = usize::try_from(start).unwrap();
            if begin > self.length {
                return Err(RpcError::failed("Start value out of range!"));
            }
            let end = self.length.min(begin + self.piece);
            Ok(LogChunk {
                bytes: bytes(begin..end),
                next: i64::try_from(end).unwrap(),
            })
        }

        async fn result(self: Rc<Self>) -> Result<String, RpcError> {
            Ok(String::new())
        }

        async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
            Ok(())
        }

        fn released(&self) {}
    }

    /// Copies a job's log, and returns what came of it and the most calls that were in flight.
    fn copied(job: Finished) -> (Vec<u8>, Result<(), TailError<()>>, usize) {
        let job = Rc::new(job);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut out = Vec::new();
        let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
            let job = Job::serve(Rc::clone(&job));
            copy(&job, WINDOW, async |piece: &[u8]| {
                out.extend_from_slice(piece);
                Ok(())
            })
            .await
        });
        (out, outcome, job.most_in_flight.get())
    }

    #[test]
    fn a_log_of_large_pieces_comes_with_several_calls_in_flight() {
        let length = 5_000_000;
        let (out, outcome, most) = copied(Finished::new(length, 256 * 1024));
        outcome.unwrap();
        assert!(out == bytes(0..length), "{} of {length} bytes", out.len());
        assert_eq!(most, WINDOW);
    }

    #[test]
    fn a_log_of_small_pieces_comes_with_one_call_in_flight() {
        let length = 100_000;
        let (out, outcome, most) = copied(Finished::new(length, 10 * 1024));
        outcome.unwrap();
        assert!(out == bytes(0..length), "{} of {length} bytes", out.len());
        assert_eq!(most, 1);
    }

    #[test]
    fn a_lost_worker_ends_it_after_what_came_before() {
        let lost_at = 3 * 256 * 1024;
        let job = Finished {
            lost_at: Some(i64::try_from(lost_at).unwrap()),
            ..Finished::new(5_000_000, 256 * 1024)
        };
        let (out, outcome, _) = copied(job);
        assert!(out == bytes(0..lost_at), "{} bytes", out.len());
        assert!(matches!(outcome, Err(TailError::Log(error)) if error.reason == "worker lost"));
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
            let job = Job::serve(Rc::new(Finished::new(100_000, 1000)));
            copy(&job, WINDOW, async |_: &[u8]| Err("closed")).await
        });
        assert!(matches!(outcome, Err(TailError::Sink("closed"))));
    }
}
