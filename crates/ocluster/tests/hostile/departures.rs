//! Peers that leave much behind.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Job, Registration};

use crate::bystander::{Idle, connect};
use crate::harness::{Bounds, Target};
use crate::raw::{RawPeer, answer_to, finish, first_of, pop, register, submit};
use crate::unread::Talking;

/// How long the bystander runs after a peer has left.
const AFTERMATH: Duration = Duration::from_secs(3);

#[test]
fn the_jobs_of_a_disconnected_client_are_removed_in_batches() {
    const JOBS: u32 = 20_000;
    let mut target = Target::start(&[]);
    // Each of them is logged when it comes.
    target.suffers(Bounds::friend(256, u64::from(JOBS) * 400), async |target| {
        let mut client = RawPeer::bootstrapped(&target.cap("submission")).await;
        let submits = (1..=JOBS).map(|question| submit(question, answer_to(0), "many"));
        client.send_all(submits).await;
        assert_eq!(client.answer(JOBS).await, Ok(()));
        drop(client);
        tokio::time::sleep(AFTERMATH).await;
    });
}

#[test]
fn a_worker_that_releases_many_capabilities_at_once_delays_no_others() {
    const POPS: u32 = 10_000;
    let mut target = Target::start(&[]);
    target.suffers(Bounds::friend(192, 64 * 1024), async |target| {
        let mut worker = RawPeer::bootstrapped(&target.cap("pool-q")).await;
        worker.send(&register(1, answer_to(0), "many", 1)).await;
        let pops = (2..2 + POPS).map(|question| {
            pop(question, first_of(1), |mut job| {
                job.set_sender_hosted(question);
            })
        });
        worker.send_all(pops).await;
        worker.send_all((2..2 + POPS).map(finish)).await;
        let pops = (2 + POPS..2 + 2 * POPS).map(|question| {
            pop(question, first_of(1), |mut job| {
                job.set_sender_hosted(question);
            })
        });
        worker.send_all(pops).await;
        drop(worker);
        tokio::time::sleep(AFTERMATH).await;
    });
}

#[test]
fn a_connection_with_many_workers_breaks_with_a_short_message() {
    const WORKERS: u32 = 1500;
    let mut target = Target::start(&[]);
    target.suffers(
        Bounds::friend(64, u64::from(WORKERS) * 2000),
        async |target| {
            let pool = connect(&target.cap("pool-q")).await;
            let registration = Registration::from_client(pool.bootstrap());
            let mut queues = Vec::new();
            let mut pops = Vec::new();
            for index in 0..WORKERS {
                let worker = cluster_api::Worker::serve(Rc::new(Idle));
                let name = format!("worker-{index}-{}", "x".repeat(50));
                // Only so many may come through one connection.
                if let Ok(queue) = registration.register(&name, worker, 1).await {
                    // Each call that is not answered breaks with all that the connection is called.
                    pops.push(queue.pop(Job::serve(Rc::new(Talking))));
                    queues.push(queue);
                }
            }
            pool.close("done");
            drop((queues, pops));
            tokio::time::sleep(AFTERMATH).await;
        },
    );
}
