//! Reads a job's log as fast as the worker and the reader allow.

use std::fmt;
use std::time::Duration;

use cluster_api::{DurableJob, DurableLogChunk, Job, LogChunk, RpcError};
use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::stream::{FuturesOrdered, StreamExt as _};
use vat::KeepAlive;

use crate::read_ahead::{Answer, Call, ReadAhead};

/// Reads the log of one wire job, from its beginning to its end.
///
/// No new calls are made while [`next`](Self::next) is not polled: the worker keeps the log, so a slow reader does not
/// fill this program's memory.
pub struct LogReader {
    pieces: Pieces,
    /// Resolves when the job has ended. `None` once it has, or if the reader's owner watches the job.
    ended: Option<LocalBoxFuture<'static, ()>>,
}

/// Whose log is read.
enum Source {
    /// That of a job on its worker.
    Job(Job),
    /// That of an attempt at a durable job, which the scheduler keeps.
    Attempt(DurableJob, u32),
}

impl Source {
    fn log(&self, start: i64) -> LocalBoxFuture<'static, Result<LogChunk, RpcError>> {
        match self {
            Self::Job(job) => job.log(start).boxed_local(),
            Self::Attempt(job, attempt) => {
                let answer = job.log(*attempt, u64::try_from(start).unwrap_or(0));
                let chunk = async move {
                    let DurableLogChunk { bytes, next } = answer.await?;
                    let next = i64::try_from(next).unwrap_or(i64::MAX);
                    Ok(LogChunk { bytes, next })
                };
                chunk.boxed_local()
            }
        }
    }
}

/// The pieces of a log.
struct Pieces {
    source: Source,
    /// How many more bytes may follow, once the job is known to have ended.
    left: Option<usize>,
    reading: ReadAhead,
    in_flight: FuturesOrdered<LocalBoxFuture<'static, Answered>>,
}

/// A call, and its answer.
type Answered = (Call, Result<LogChunk, RpcError>);

/// The limit for the bytes of a log that are read after its job has ended: more than a slow reader ever lags behind.
const REST_BYTES: usize = 1 << 30;

/// The time limit for each piece of the log of a job that has ended. All of it exists, so the worker has no reason to
/// wait. A network failure must not truncate the log, so this is longer than a connection's own timeout.
const REST_TIME: Duration = KeepAlive::DEFAULT
    .unacknowledged
    .saturating_add(Duration::from_secs(30));

impl LogReader {
    /// The usual limit for calls in flight. With pieces of 256 KiB that is 2 MiB, enough for 1 Gbit/s at 16 ms.
    pub const WINDOW: usize = 8;

    /// Returns a reader at the log's beginning, with up to `window` calls in flight.
    pub fn new(job: Job, window: usize) -> Self {
        Self::of(Source::Job(job), 0, window)
    }

    /// Returns a reader of an attempt at a durable job, at an offset of its log.
    pub(crate) fn of_attempt(job: DurableJob, attempt: u32, start: u64) -> Self {
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        Self::of(Source::Attempt(job, attempt), start, Self::WINDOW)
    }

    fn of(source: Source, start: i64, window: usize) -> Self {
        let pieces = Pieces {
            source,
            left: None,
            reading: ReadAhead::starting_at(start, window),
            in_flight: FuturesOrdered::new(),
        };
        Self {
            pieces,
            ended: None,
        }
    }

    /// Returns this reader for a job that has ended when `ended` resolves. Then it behaves as after
    /// [`job_ended`](Self::job_ended).
    #[must_use]
    pub fn until(mut self, ended: impl Future<Output = ()> + 'static) -> Self {
        self.ended = Some(ended.boxed_local());
        self
    }

    /// Limits the rest of the log, because the job has ended: to 1 GiB, and to three minutes for each piece.
    ///
    /// Otherwise a malicious worker could keep its reader forever.
    pub fn job_ended(&mut self) {
        self.pieces.left.get_or_insert(REST_BYTES);
    }

    /// Waits for the next piece; `None` at the end. It is cancel safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// When the worker or the connection is lost, when the worker cannot read the log, or when the log has no end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RpcError> {
        if let Some(ended) = &mut self.ended {
            tokio::select! {
                piece = self.pieces.next() => return piece,
                () = ended => {}
            }
            self.ended = None;
            self.job_ended();
        }
        self.pieces.next().await
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("reading", &self.pieces.reading)
            .finish_non_exhaustive()
    }
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, RpcError> {
        loop {
            while let Some(call) = self.reading.ask() {
                let answer = self.source.log(call.start);
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
                        "cannot read the job's log: its worker sent {length} bytes at offset {start} and {next} as the \
                         next offset, which does not advance"
                    )));
                }
                Answer::Restart => self.in_flight.clear(),
                Answer::Take { skip, restart } => {
                    if restart {
                        self.in_flight.clear();
                    }
                    chunk.bytes.drain(..skip);
                    self.count(chunk.bytes.len())?;
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

    fn count(&mut self, bytes: usize) -> Result<(), RpcError> {
        let Some(left) = &mut self.left else {
            return Ok(());
        };
        *left = left.checked_sub(bytes).ok_or_else(|| {
            RpcError::failed(format!(
                "cannot read the job's log: the job has ended, but its log continues for more than {REST_BYTES} bytes"
            ))
        })?;
        Ok(())
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
        /// The offset at which the connection is lost.
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

    /// Reads a job's log, and returns it, the result of reading, and the highest number of calls in flight.
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
    fn large_pieces_are_read_with_several_calls_in_flight() {
        let length = 5_000_000;
        let (out, outcome, most) = read(Finished::new(length, 256 * 1024));
        outcome.unwrap();
        assert!(out == bytes(0..length), "{} of {length} bytes", out.len());
        assert_eq!(most, LogReader::WINDOW);
    }

    #[test]
    fn small_pieces_are_read_with_one_call_in_flight() {
        let length = 100_000;
        let (out, outcome, most) = read(Finished::new(length, 10 * 1024));
        outcome.unwrap();
        assert!(out == bytes(0..length), "{} of {length} bytes", out.len());
        assert_eq!(most, 1);
    }

    /// A job that has ended, but whose log has no end: it does not advance, or repeats itself.
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

    /// Reads until there is an error, and returns it and how many pieces were requested.
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
    fn a_log_without_an_end_is_an_error() {
        let (error, asked) = read_endless(false);
        assert!(
            error.ends_with("and 0 as the next offset, which does not advance"),
            "{error}"
        );
        assert_eq!(asked, 1);
        let (error, asked) = read_endless(true);
        assert!(
            error.ends_with("but its log continues for more than 1073741824 bytes"),
            "{error}"
        );
        assert!(asked < 300, "{asked}");
    }

    /// A job that has ended, but whose log has neither bytes nor an end.
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
    fn an_ended_job_has_three_minutes_to_end_its_log() {
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
        let expected = "cannot read the job's log: the job has ended, but its worker has not ended the log within \
                        180 s";
        assert_eq!(read.unwrap_err().reason, expected);
        let read = tokio::task::LocalSet::new().block_on(&runtime, async {
            let reader = LogReader::new(Job::serve(Rc::new(Silent)), 1);
            let mut reader = reader.until(tokio::time::sleep(Duration::from_secs(60)));
            reader.next().await
        });
        assert_eq!(read.unwrap_err().reason, expected);
    }

    #[test]
    fn the_log_of_a_lost_worker_is_read_up_to_the_loss() {
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
