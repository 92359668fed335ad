//! Answers that are not read.

use std::rc::Rc;

use cluster_api::{Job, LogChunk, Registration, RpcError, ServeJob};

use crate::bystander::{Idle, connect};
use crate::harness::{Bounds, Target};
use crate::raw::{RawPeer, TICKET, answer_to, bare, first_of, log, submit};

/// How many answers are asked for, of [`CHUNK`] bytes each.
const ANSWERS: u32 = 2000;

const CHUNK: usize = 256 << 10;

/// A job that is never done, with a log without end.
pub(crate) struct Talking;

impl ServeJob for Talking {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let bytes = vec![b'x'; CHUNK];
        let next = start + CHUNK as i64;
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        std::future::pending().await
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

#[test]
fn a_peer_that_asks_for_much_and_reads_nothing_is_closed() {
    let mut target = Target::start(&["--max-unsent=64MiB"]);
    target.suffers(Bounds::friend(320, 64 * 1024), async |target| {
        let pool = connect(&target.cap("pool-q")).await;
        let registration = Registration::from_client(pool.bootstrap());
        let worker = cluster_api::Worker::serve(Rc::new(Idle));
        let queue = registration.register("talking", worker, 1);
        let queue = queue.await.expect("registered");
        let others = target.sockets();
        let mut client = RawPeer::bootstrapped(&target.cap("submission")).await;
        client.send(&submit(1, answer_to(0), "talking")).await;
        client.send(&bare(2, first_of(1), (TICKET, 0))).await;
        let popped = queue.pop(Job::serve(Rc::new(Talking)));
        popped.await.expect("a job");
        client
            .send_all((3..3 + ANSWERS).map(|question| log(question, first_of(2))))
            .await;
        // Its socket is full, and so is what waits for it, until it is closed.
        while target.sockets() > others {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(
        target
            .log()
            .contains("the unsent data of all connections exceeded")
    );
}
