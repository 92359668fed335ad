//! Logs are bytes, in pieces of any size.

use std::rc::Rc;

use cluster_api::{Job, LogChunk, RpcError, ServeJob};

use crate::support::{run, through_connection};

/// A job whose log is of this many bytes, and comes in one piece.
struct Logged(usize);

impl Logged {
    /// Counts up, so that it is not UTF-8 and no piece of it is like the next.
    fn log(&self) -> Vec<u8> {
        (0..self.0)
            .map(|index| (index ^ index >> 8) as u8)
            .collect()
    }
}

impl ServeJob for Logged {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let start = usize::try_from(start).map_err(|error| RpcError::failed(error.to_string()))?;
        let log = Self::log(&self);
        let bytes = log.get(start..).unwrap_or_default().to_vec();
        Ok(LogChunk {
            bytes,
            next: self.0 as i64,
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

#[test]
fn a_chunk_of_any_size_arrives_as_it_was() {
    run(async {
        for size in [0, 1, 10_240, 256 << 10, 3 << 20] {
            let job = Job::serve(Rc::new(Logged(size)));
            let job = Job::from_client(through_connection(job.into_client()));
            let chunk = job.log(0).await.unwrap();
            assert_eq!(chunk.next, size as i64);
            assert!(
                chunk.bytes == Logged(size).log(),
                "a log of {size} bytes has changed"
            );
            let end = LogChunk {
                bytes: Vec::new(),
                next: chunk.next,
            };
            assert_eq!(job.log(chunk.next).await, Ok(end));
        }
    });
}
