//! Letting go of the last reference is a message too.

use std::rc::Rc;

use cluster_api::{Job, Queue, Ticket};

use crate::support::{
    Events, FakeJob, FakeScheduler, FakeTicket, connect, run, settle, through_connection,
};

#[test]
fn the_last_reference_releases_an_object() {
    run(async {
        let events = Events::default();
        let job = Job::serve(FakeJob::new("job", &events));
        let other = job.clone();
        drop(job);
        assert_eq!(events.take(), [""; 0]);
        drop(other);
        assert_eq!(events.take(), ["job: released", "job: dropped"]);
    });
}

#[test]
fn an_object_is_released_across_a_connection() {
    run(async {
        let events = Events::default();
        let job = Job::serve(FakeJob::new("job", &events));
        let ticket = Ticket::serve(Rc::new(FakeTicket {
            job: Box::new(move || job.clone()),
            events: events.clone(),
        }));
        // Offered by way of a ticket, since a vat keeps what it offers itself.
        let connection = connect(ticket.into_client());
        let ticket = Ticket::from_client(connection.client.clone());
        let job = ticket.job().await.unwrap();
        assert_eq!(job.log(0).await.unwrap().next, 1);
        drop(job);
        settle().await;
        assert_eq!(events.take(), ["job: log 0"], "the ticket still holds it");
        connection.cut();
        settle().await;
        assert_eq!(
            events.take(),
            ["ticket: released", "job: released", "job: dropped"]
        );
    });
}

#[test]
fn a_waiting_call_does_not_hold_an_object() {
    run(async {
        let events = Events::default();
        let fake = FakeJob::new("job", &events);
        let job = Job::serve(Rc::clone(&fake));
        // A call from the outside is polled by its connection. Here we are the connection.
        let result = tokio::task::spawn_local(job.result());
        settle().await;
        assert_eq!(events.take(), ["job: result"]);
        drop(job);
        assert_eq!(events.take(), ["job: released"]);
        fake.end.notify_waiters();
        assert_eq!(result.await.unwrap(), Ok("output of job".to_owned()));
    });
}

#[test]
fn a_dropped_answer_cancels_its_call() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let queue = Queue::serve(Rc::clone(&scheduler));
        let queue = Queue::from_client(through_connection(queue.into_client()));
        let popped = queue.pop(Job::serve(FakeJob::new("job", &scheduler.events)));
        settle().await;
        assert_eq!(scheduler.events.take(), ["pop"]);
        drop(popped);
        settle().await;
        // The scheduler's side of the call is dropped, and with it the reference to the job.
        assert_eq!(scheduler.events.take(), ["job: released", "job: dropped"]);
    });
}

#[test]
fn a_lost_worker_lets_go_of_its_queue() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (registration, connection) = scheduler.connect_worker();
        let queue = registration.register("w1", crate::support::no_worker(), 1);
        let popped = queue.pop(Job::serve(FakeJob::new("job", &scheduler.events)));
        settle().await;
        scheduler.events.take();
        connection.cut();
        settle().await;
        let events = scheduler.events.take();
        assert!(events.contains(&"queue: released".to_owned()), "{events:?}");
        assert!(popped.await.is_err());
    });
}
