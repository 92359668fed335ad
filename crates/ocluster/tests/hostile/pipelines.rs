//! Long chains: each call on the promised answer of the one before, each promise resolved to the next.

use crate::harness::{Bounds, Target};
use crate::raw::{
    JOB, RawPeer, TICKET, answer_to, bare, finish, first_of, pop, register, resolve, submit,
};

/// More calls than the stack has room for.
const CALLS: u32 = 4000;

/// More promises than the stack has room for.
const PROMISES: u32 = 200_000;

#[test]
fn calls_on_answers_of_calls_end_only_the_connection_they_come_from() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::friend(64, 64 * 1024), async |target| {
        let chain = |question| bare(question, first_of(question - 1), (JOB, 1));
        let mut client = RawPeer::bootstrapped(&target.cap("submission")).await;
        client.send(&submit(1, answer_to(0), "deep")).await;
        client.send(&bare(2, first_of(1), (TICKET, 0))).await;
        client.send_all((3..CALLS).map(chain)).await;
        let reason = client.abort_reason().await.expect("it receives the reason");
        assert!(reason.contains("more than 16 calls in a row"), "{reason}");

        let mut worker = RawPeer::bootstrapped(&target.cap("pool-q")).await;
        worker.send(&register(1, answer_to(0), "deep", 1)).await;
        worker
            .send(&pop(2, first_of(1), |mut job| job.set_sender_hosted(2)))
            .await;
        worker.send_all((3..CALLS).map(chain)).await;
        let reason = worker.abort_reason().await.expect("it receives the reason");
        assert!(reason.contains("more than 16 calls in a row"), "{reason}");
    });
}

#[test]
fn promises_that_become_promises_do_no_harm() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::friend(64, 64 * 1024), async |target| {
        let mut worker = RawPeer::bootstrapped(&target.cap("pool-q")).await;
        worker
            .send(&register(1, answer_to(0), "promising", 1))
            .await;
        assert_eq!(worker.answer(1).await, Ok(()));
        worker
            .send(&pop(2, first_of(1), |mut job| job.set_sender_promise(10)))
            .await;
        let promises = 10..10 + PROMISES;
        worker
            .send_all(promises.map(|promise| resolve(promise, promise + 1)))
            .await;
        // The first of them is let go of, and with it all others.
        worker.send(&finish(2)).await;
        // All of that has been read once this is answered, if only by the end of the connection.
        worker.send(&bare(3, first_of(1), (JOB, 1))).await;
        let _answered = worker.answer(3).await;
    });
}
