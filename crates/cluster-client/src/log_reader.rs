//! Reads a job's log as fast as both ends allow.

use std::fmt;

use cluster_api::{Job, LogChunk, RpcError};
use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::stream::{FuturesOrdered, StreamExt as _};

use crate::read_ahead::{Answer, Call, ReadAhead};

/// Reads the log of one wire job, from its beginning to its end.
///
/// Calls in flight go on while nobody reads, but no new ones are made: a slow reader slows the worker's answers down
/// rather than filling our memory, as the worker keeps the log.
pub struct LogReader {
    job: Job,
    reading: ReadAhead,
    in_flight: FuturesOrdered<LocalBoxFuture<'static, (Call, Result<LogChunk, RpcError>)>>,
}

impl LogReader {
    /// How many calls for a log may be in flight. With pieces of 256 KiB that is 2 MiB, enough for a gigabit at 16 ms.
    pub const WINDOW: usize = 8;

    /// Returns a reader that stands at the log's beginning, with up to `window` calls in flight.
    pub fn new(job: Job, window: usize) -> Self {
        Self {
            job,
            reading: ReadAhead::new(window),
            in_flight: FuturesOrdered::new(),
        }
    }

    /// Returns the next piece, waiting until there is one; `None` at the end.
    ///
    /// Nothing is lost if the wait is given up. Fails when the worker, or the scheduler between us, does not give it.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RpcError> {
        loop {
            while let Some(call) = self.reading.ask() {
                let answer = self.job.log(call.start);
                self.in_flight
                    .push_back(async move { (call, answer.await) }.boxed_local());
            }
            let Some((call, answer)) = self.in_flight.next().await else {
                return Ok(None);
            };
            let mut chunk = match answer {
                Ok(chunk) => chunk,
                Err(error) => match self.reading.failed(call) {
                    Some(_) => {
                        self.in_flight.clear();
                        continue;
                    }
                    None => return Err(error),
                },
            };
            match self.reading.answered(call, chunk.bytes.len(), chunk.next) {
                Answer::End => return Ok(None),
                Answer::Restart => self.in_flight.clear(),
                Answer::Take { skip, restart } => {
                    if restart {
                        self.in_flight.clear();
                    }
                    chunk.bytes.drain(..skip);
                    return Ok(Some(chunk.bytes));
                }
            }
        }
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use cluster_api::ServeJob;

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

    /// Reads a job's log, and returns what came of it and the most calls that were in flight.
    fn read(job: Finished) -> (Vec<u8>, Result<(), RpcError>, usize) {
        let job = Rc::new(job);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut out = Vec::new();
        let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut reader = LogReader::new(Job::serve(Rc::clone(&job)), LogReader::WINDOW);
            while let Some(bytes) = reader.next().await? {
                out.extend(bytes);
            }
            Ok(())
        });
        (out, outcome, job.most_in_flight.get())
    }

    #[test]
    fn a_log_of_large_pieces_comes_with_several_calls_in_flight() {
        let length = 5_000_000;
        let (out, outcome, most) = read(Finished::new(length, 256 * 1024));
        outcome.unwrap();
        assert!(out == bytes(0..length), "{} of {length} bytes", out.len());
        assert_eq!(most, LogReader::WINDOW);
    }

    #[test]
    fn a_log_of_small_pieces_comes_with_one_call_in_flight() {
        let length = 100_000;
        let (out, outcome, most) = read(Finished::new(length, 10 * 1024));
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
        let (out, outcome, _) = read(job);
        assert!(out == bytes(0..lost_at), "{} bytes", out.len());
        assert!(matches!(outcome, Err(error) if error.reason == "worker lost"));
    }
}
