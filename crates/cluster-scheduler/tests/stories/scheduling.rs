//! Who gets which job, end to end; and jobs, names and calls that are not as they should be.

use std::time::Duration;

use capnp::any_pointer;
use capnp::capability::Client;
use cluster_api::{Description, Job, Registration, RpcError, Ticket, TicketStatus, Worker};

use testkit::{
    BuildOutcome, MockBuilder, MockWorker, Site, docker, docker_with_hint, follow, follow_ticket,
    story, until,
};

async fn submit(client: &cluster_api::Submission, dockerfile: &str, hint: &str) -> Ticket {
    client
        .submit("pool", &docker_with_hint(dockerfile, hint), false)
        .await
        .unwrap()
}

#[test]
fn a_ticket_in_a_workers_queue() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let other = MockWorker::start(&site, "w2", 1, &builder).await;
        other.queue.set_active(false).await.unwrap();
        let first = submit(&client, "example", "a").await;
        builder.starts("example").await;
        other.queue.set_active(true).await.unwrap();
        // It waits for the worker that has the hint, though another is free.
        let next = submit(&client, "example2", "a").await;
        let assigned = TicketStatus::Assigned {
            worker: "w1".to_owned(),
            ahead: 0,
        };
        assert_eq!(next.status().await, Ok(assigned));
        wait_for(&[first, next], &builder, &["example", "example2"]).await;
        drop((worker, other));
        site.finish().await;
    });
}

#[test]
fn a_ticket_does_not_wait_forever_for_its_worker() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let first = submit(&client, "example", "a").await;
        builder.starts("example").await;
        let other = MockWorker::start(&site, "w2", 1, &builder).await;
        site.shows("queue: (ready) [w2]").await;
        let next = submit(&client, "example2", "a").await;
        site.shows("w1 (10): [client:a@").await;

        // By then it would have been built from scratch.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
        builder.starts("example2").await;
        assert_eq!(builder.started(), ["w1 example", "w2 example2"]);
        wait_for(&[first, next], &builder, &["example", "example2"]).await;
        drop((worker, other));
        site.finish().await;
    });
}

async fn wait_for(tickets: &[Ticket], builder: &MockBuilder, names: &[&str]) {
    for (ticket, name) in tickets.iter().zip(names) {
        builder.end(name, BuildOutcome::Succeeded(""));
        assert_eq!(
            follow_ticket(ticket).await.result,
            Ok(String::new()),
            "{name}"
        );
    }
}

#[test]
fn jobs_with_a_hint_go_where_it_is_cached() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;

        let first = [
            submit(&client, "a1", "a").await,
            submit(&client, "b1", "b").await,
        ];
        wait_for(&first, &builder, &["a1", "b1"]).await;
        // Each job goes back to the worker that has its hint, whichever has waited longest.
        for round in 2..5 {
            let (b, a) = (format!("b{round}"), format!("a{round}"));
            let tickets = [
                submit(&client, &b, "b").await,
                submit(&client, &a, "a").await,
            ];
            wait_for(&tickets, &builder, &[&b, &a]).await;
        }
        let mut started = builder.started();
        started.sort();
        let a_worker = started[0].split_once(' ').unwrap().0.to_owned();
        let on_one: Vec<_> = started
            .iter()
            .filter(|s| s.starts_with(&a_worker))
            .collect();
        let letter = on_one[0].split_once(' ').unwrap().1.chars().next().unwrap();
        assert_eq!(on_one.len(), 4, "{started:?}");
        assert!(
            on_one
                .iter()
                .all(|s| s.split_once(' ').unwrap().1.starts_with(letter))
        );
        assert!(site.logs.contains("(preferred)"));
        drop((w1, w2, first));
        site.finish().await;
    });
}

#[test]
fn clients_get_their_shares() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (alice, _a) = site.client("alice").await;
        let (bob, _b) = site.client("bob").await;
        let (pool, _admin) = site.pool_admin().await;
        pool.set_rate("alice", 5.0).await.unwrap();
        // Ten minutes each: alice's start two minutes apart, bob's ten.
        let mut tickets = Vec::new();
        for (client, name) in [(&alice, "a"), (&bob, "b")] {
            for number in 1..4 {
                tickets.push(submit(client, &format!("{name}{number}"), "").await);
            }
        }
        for name in ["a1", "a2", "a3", "b1", "b2", "b3"] {
            builder.end(name, BuildOutcome::Succeeded(""));
        }
        let worker = MockWorker::start(&site, "w", 1, &builder).await;
        for ticket in &tickets {
            assert_eq!(follow_ticket(ticket).await.result, Ok(String::new()));
        }
        assert_eq!(
            builder.started(),
            ["w a1", "w b1", "w a2", "w a3", "w b2", "w b3"]
        );
        let requests: Vec<_> = site.logs.scheduler_messages();
        let alices = "Received new job request from \"alice\" (urgent=false)";
        let alices = requests.iter().filter(|line| line.starts_with(alices));
        assert_eq!(alices.count(), 3);
        drop((worker, tickets));
        site.finish().await;
    });
}

#[test]
fn urgent_jobs_go_first() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let later = submit(&client, "later", "").await;
        let urgent = client
            .submit("pool", &docker_with_hint("urgent", ""), true)
            .await
            .unwrap();
        assert!(
            site.logs
                .contains("Received new job request from \"client\" (urgent=true)")
        );
        let worker = MockWorker::start(&site, "w", 1, &builder).await;
        wait_for(&[urgent, later], &builder, &["urgent", "later"]).await;
        assert_eq!(builder.started(), ["w urgent", "w later"]);
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn a_pop_that_is_taken_back_gets_no_job() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        // It asks for a job, and then does not want one any more.
        let fickle = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = Registration::from_client(fickle.client.clone());
        let object = Worker::broken(RpcError::failed("unused"));
        let queue = registration.register("fickle", object, 1).await.unwrap();
        let (_resolver, job) = Job::promise();
        let pop = queue.pop(job.job());
        site.shows("queue: (ready) [fickle]").await;
        drop(pop);
        site.shows("queue: (ready) []").await;

        let ticket = submit(&client, "example", "").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        wait_for(&[ticket], &builder, &["example"]).await;
        drop((worker, queue, registration, fickle));
        site.finish().await;
    });
}

#[test]
fn an_unknown_pool() {
    story(async {
        let site = Site::start_with(|config| {
            let names = ["pool", "arm"].map(|name| cluster_scheduler::FileName::new(name).unwrap());
            config.pools = names.into_iter().collect();
        })
        .await;
        let (client, _connected) = site.client("client").await;
        let ticket = client.submit("zz", &docker("example"), false);
        let job = ticket.job();
        let refused = "Failed: Pool ID \"zz\" not one of {arm, pool}";
        assert_eq!(follow(&job).await.result.unwrap_err(), refused);
        assert_eq!(ticket.cancel().await.unwrap_err().to_string(), refused);
        assert_eq!(ticket.status().await.unwrap_err().to_string(), refused);
        drop((ticket, job));
        site.finish().await;
    });
}

fn queued(ahead: u32, obstacle: Option<&str>) -> Result<TicketStatus, RpcError> {
    let obstacle = obstacle.map(str::to_owned);
    Ok(TicketStatus::Queued { ahead, obstacle })
}

#[test]
fn the_status_of_a_ticket() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example", "").await;
        let next = submit(&client, "example2", "").await;
        let nobody = Some(
            "no worker has ever registered in pool pool; ask an operator to start one, or use another pool",
        );
        assert_eq!(ticket.status().await, queued(0, nobody));
        assert_eq!(next.status().await, queued(1, nobody));
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        builder.starts("example").await;
        assert_eq!(
            ticket.status().await,
            Ok(TicketStatus::Running {
                worker: "w1".to_owned()
            })
        );
        until("it is next", async || {
            next.status().await == queued(0, None)
        })
        .await;
        builder.end("example", BuildOutcome::Succeeded(""));
        follow_ticket(&ticket).await.result.unwrap();
        until("it has ended", async || {
            ticket.status().await == Ok(TicketStatus::Finished)
        })
        .await;
        next.cancel().await.unwrap_or(());
        drop((worker, ticket, next));
        site.finish().await;
    });
}

#[test]
fn a_client_leaves_with_many_queued_jobs() {
    story(async {
        let site = Site::start().await;
        let (client, connected) = site.client("client").await;
        let mut tickets = Vec::new();
        for _ in 0..1_500 {
            tickets.push(
                client
                    .submit("pool", &docker("example"), false)
                    .await
                    .unwrap(),
            );
        }
        site.shows("(500 more)").await;
        drop((tickets, client, connected));
        site.shows("queue: (backlog) []").await;
        site.finish().await;
    });
}

/// A call with a text that is not UTF-8, as upstream's peers may send.
mod raw {
    use super::*;

    /// Parameters of `data` words and some pointers, the first of which is the text `\xff`.
    fn params(mut root: any_pointer::Builder<'_>, data: u8, pointers: u8) {
        let after = u32::from(pointers) - 1;
        let mut words = [0, 0, 0, 0, data, 0, pointers, 0].to_vec();
        words.resize(words.len() + 8 * usize::from(data), 0);
        words.extend((after << 2 | 1).to_le_bytes());
        words.extend((2_u32 << 3 | 2).to_le_bytes());
        words.resize(words.len() + 8 * usize::from(pointers - 1), 0);
        words.extend([0xff, 0, 0, 0, 0, 0, 0, 0]);
        let segments = [words.as_slice()];
        let segments = capnp::message::SegmentArray::new(&segments);
        let message = capnp::message::Reader::new(segments, capnp::message::ReaderOptions::new());
        root.set_as(message.get_root::<any_pointer::Reader<'_>>().unwrap())
            .unwrap();
    }

    async fn call(client: &Client, interface: u64, method: u16, data: u8, pointers: u8) -> String {
        let mut request =
            client.new_call::<any_pointer::Owned, any_pointer::Owned>(interface, method, None);
        params(request.get(), data, pointers);
        match request.send().promise.await {
            Ok(_) => panic!("method {method} of {interface:#x} accepted it"),
            Err(error) => RpcError::from(error).to_string(),
        }
    }

    #[test]
    fn names_that_are_not_utf8() {
        story(async {
            let site = Site::start().await;
            let (client, _a) = site.client("client").await;
            let submission = client.into_client();
            let submitted = call(&submission, 0xf4e8_a768_b32a_7c42, 0, 1, 2).await;
            assert_eq!(submitted, "Failed: pool is not valid UTF-8");
            let connected = site.connect(&site.cap("pool-pool.cap")).await;
            let registered = call(&connected.client, 0xe098_a12b_91e3_5740, 0, 1, 2).await;
            assert_eq!(registered, "Failed: name is not valid UTF-8");
            let (admin, _b) = site.admin().await;
            let (pool, _c) = site.pool_admin().await;
            let (admin, pool) = (admin.into_client(), pool.into_client());
            for (method, field) in [(1, "name"), (2, "id"), (3, "id")] {
                let refused = call(&admin, 0xdd51_f355_40da_c6ad, method, 0, 1).await;
                assert_eq!(refused, format!("Failed: {field} is not valid UTF-8"));
            }
            for method in 2..8 {
                let refused = call(&pool, 0xd906_b771_b408_2451, method, 1, 2).await;
                let field = match method {
                    3 => "name",
                    5 => "id",
                    _ => "worker",
                };
                assert!(
                    refused.ends_with("is not valid UTF-8"),
                    "{method} {field}: {refused}"
                );
            }
            drop((submission, admin, pool, connected));
            site.finish().await;
        });
    }
}

#[test]
fn names_that_cannot_be_workers() {
    story(async {
        let site = Site::start().await;
        let connected = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = Registration::from_client(connected.client.clone());
        for (name, why) in [
            ("", "name is empty; use at least one character"),
            (
                "a\nb",
                "name contains the control character '\\n'; use printable characters",
            ),
        ] {
            let object = Worker::broken(RpcError::failed("unused"));
            let error = registration.register(name, object, 1).await.unwrap_err();
            assert_eq!(error.to_string(), format!("Failed: worker's {why}"));
        }
        let (admin, _connected) = site.admin().await;
        let error = admin.add_client("a\tb").await.unwrap_err();
        assert!(
            error
                .reason
                .starts_with("client's name contains the control character"),
            "{error}"
        );
        drop((registration, connected));
        site.finish().await;
    });
}

#[test]
fn a_released_queue() {
    story(async {
        let site = Site::start().await;
        let connected = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = Registration::from_client(connected.client.clone());
        let object = || Worker::broken(RpcError::failed("unused"));
        let queue = registration.register("w1", object(), -3).await.unwrap();
        let (_resolver, job) = Job::promise();
        let pop = queue.pop(job.job());
        site.shows("capacity: 0\nqueue: (ready) [w1]").await;
        // The connection stays, and the name is free for the next registration.
        drop(queue);
        let error = pop.await.unwrap_err();
        assert_eq!(error.to_string(), "Failed: Worker disconnected");
        let queue = registration.register("w1", object(), 2).await.unwrap();
        site.shows("capacity: 2").await;
        drop((queue, registration, connected));
        site.finish().await;
    });
}

/// A description is passed on as it came, whatever is in it.
#[test]
fn a_description_is_not_read() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let mut description: Description = docker("example");
        description.repository = "not a URL".to_owned();
        description.commits = vec!["not a commit".to_owned(); 3];
        let ticket = client.submit("pool", &description, false).await.unwrap();
        wait_for(&[ticket], &builder, &["example"]).await;
        assert_eq!(worker.last_description(), Some(description));
        drop(worker);
        site.finish().await;
    });
}
