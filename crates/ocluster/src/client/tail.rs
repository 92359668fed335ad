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
