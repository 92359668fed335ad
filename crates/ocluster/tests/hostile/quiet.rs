//! What is measured when there is no attack.

use std::time::Duration;

use crate::harness::{Bounds, Target};
use crate::raw::{RawPeer, TICKET, answer_to, bare, first_of, submit};

#[test]
fn an_ordinary_client_costs_others_nothing() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::STRANGER, async |target| {
        let mut client = RawPeer::bootstrapped(&target.cap("submission")).await;
        client.send(&submit(1, answer_to(0), "ordinary")).await;
        client.send(&bare(2, first_of(1), (TICKET, 0))).await;
        assert_eq!(client.answer(2).await, Ok(()));
        // Time for the bystander to do a job or two.
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
}
