//! Reads a job's log as fast as both ends allow.

use std::fmt;
use std::time::Duration;

use cluster_api::{Job, LogChunk, RpcError};
use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::stream::{FuturesOrdered, StreamExt as _};
use vat::KeepAlive;

use crate::read_ahead::{Answer, Call, ReadAhead};

/// Reads the log of one wire job, from its beginning to its end.
///
/// Calls in flight go on while nobody reads, but no new ones are made: a slow reader slows the worker's answers down
/// rather than filling our memory, as the worker keeps the log.
pub struct LogReader {
    job: Job,
    /// How many more bytes are read, once it is known that the job has ended.
    left: Option<usize>,
    reading: ReadAhead,
    in_flight: FuturesOrdered<LocalBoxFuture<'static, Answered>>,
}

/// A call, and its answer.
type Answered = (Call, Result<LogChunk, RpcError>);

/// How many bytes of a log are read after its job has ended: more than a slow reader has ever been behind by.
const REST_BYTES: usize = 1 << 30;

/// How long a worker may take for a piece of the log of a job that has ended: it is all there. A network that fails
/// meanwhile must not cut the log, so this is longer than connections wait for a peer that is silent.
const REST_TIME: Duration = KeepAlive::DEFAULT
    .unacknowledged
    .saturating_add(Duration::from_secs(30));

impl LogReader {
    /// How many calls for a log may be in flight. With pieces of 256 KiB that is 2 MiB, enough for a gigabit at 16 ms.
    pub const WINDOW: usize = 8;

    /// Returns a reader that stands at the log's beginning, with up to `window` calls in flight.
    pub fn new(job: Job, window: usize) -> Self {
        Self {
            job,
            left: None,
            reading: ReadAhead::new(window),
            in_flight: FuturesOrdered::new(),
        }
    }

    /// Tells that the job has ended, so that its log must end, too: the rest may have 1 GiB, and each piece take three minutes.
    ///
    /// A worker that is no friend could else keep its reader for ever.
    pub fn job_ended(&mut self) {
        self.left.get_or_insert(REST_BYTES);
    }

    /// Returns the next piece, waiting until there is one; `None` at the end.
    ///
    /// Nothing is lost if the wait is given up. Fails when the worker, or the scheduler between us, does not give it, or when
    /// the log has no end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RpcError> {
        loop {
            while let Some(call) = self.reading.ask() {
                let answer = self.job.log(call.start);
                self.in_flight
                    .push_back(async move { (call, answer.await) }.boxed_local());
            }
            let Some((call, answer)) = self.answered().await? else {
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
                Answer::Stuck => {
                    let (start, length, next) = (call.start, chunk.bytes.len(), chunk.next);
                    return Err(RpcError::failed(format!(
                        "cannot read the job's log: its worker gave {length} bytes at offset {start} and says to go on at {next}, \
                         which does not advance"
                    )));
                }
                Answer::Restart => self.in_flight.clear(),
                Answer::Take { skip, restart } => {
                    if restart {
                        self.in_flight.clear();
                    }
                    chunk.bytes.drain(..skip);
                    self.take_from_rest(chunk.bytes.len())?;
                    return Ok(Some(chunk.bytes));
                }
            }
        }
    }

    /// Waits for the oldest call in flight. `None` if there is none.
    async fn answered(&mut self) -> Result<Option<Answered>, RpcError> {
        let answered = self.in_flight.next();
        if self.left.is_none() {
            return Ok(answered.await);
        }
        let answered = tokio::time::timeout(REST_TIME, answered).await;
        answered.map_err(|_| {
            RpcError::failed(format!(
                "cannot read the job's log: the job has ended, but its worker has not ended the log within {} s",
                REST_TIME.as_secs()
            ))
        })
    }

    fn take_from_rest(&mut self, bytes: usize) -> Result<(), RpcError> {
        let Some(left) = &mut self.left else {
            return Ok(());
        };
        *left = left.checked_sub(bytes).ok_or_else(|| {
            RpcError::failed(format!(
                "cannot read the job's log: the job has ended, but {REST_BYTES} bytes later its log goes on"
            ))
        })?;
        Ok(())
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

    /// A job that has ended, and whose log says the same again and again: it stands still, or has no end.
    struct Endless {
        advances: bool,
        asked: Cell<usize>,
    }

    impl ServeJob for Endless {
        async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
            self.asked.set(self.asked.get() + 1);
            let bytes = vec![b'x'; 4 << 20];
            let next = if self.advances {
                start + i64::try_from(bytes.len()).unwrap()
            } else {
                0
            };
            Ok(LogChunk { bytes, next })
        }

        async fn result(self: Rc<Self>) -> Result<String, RpcError> {
            Ok(String::new())
        }

        async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
            Ok(())
        }

        fn released(&self) {}
    }

    /// Reads until there is an error, and returns it and how many pieces were asked for.
    fn read_endless(advances: bool) -> (String, usize) {
        let job = Rc::new(Endless {
            advances,
            asked: Cell::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let error = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut reader = LogReader::new(Job::serve(Rc::clone(&job)), 1);
            reader.job_ended();
            loop {
                if let Err(error) = reader.next().await {
                    return error.reason;
                }
            }
        });
        (error, job.asked.get())
    }

    #[test]
    fn a_log_that_stands_still_or_has_no_end_is_an_error() {
        let (error, asked) = read_endless(false);
        assert!(
            error.ends_with("says to go on at 0, which does not advance"),
            "{error}"
        );
        assert_eq!(asked, 1);
        let (error, asked) = read_endless(true);
        assert!(
            error.ends_with("but 1073741824 bytes later its log goes on"),
            "{error}"
        );
        assert!(asked < 300, "{asked}");
    }

    /// A job that has ended, and whose log says nothing more.
    struct Silent;

    impl ServeJob for Silent {
        async fn log(self: Rc<Self>, _start: i64) -> Result<LogChunk, RpcError> {
            std::future::pending().await
        }

        async fn result(self: Rc<Self>) -> Result<String, RpcError> {
            Ok(String::new())
        }

        async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
            Ok(())
        }

        fn released(&self) {}
    }

    #[test]
    fn the_end_of_a_log_is_not_waited_for_when_the_job_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let read = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut reader = LogReader::new(Job::serve(Rc::new(Silent)), 1);
            let day = Duration::from_secs(24 * 60 * 60);
            let running = tokio::time::timeout(day, reader.next()).await;
            assert!(running.is_err(), "a job that runs may be silent");
            reader.job_ended();
            reader.next().await
        });
        assert_eq!(
            read.unwrap_err().reason,
            "cannot read the job's log: the job has ended, but its worker has not ended the log within 180 s"
        );
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
