//! Upstream's service stories, under their names: one pool, a client, and mock workers, all over real
//! connections.
//!
//! Where a story ends with a lost connection, its texts are ours: upstream says `Connection closed`, which
//! leaves open whose.

use cluster_api::{Submission, Ticket};
use testkit::{
    BuildOutcome, MockBuilder, MockWorker, ProgressReports, Site, Transcript, custom, docker,
    follow, follow_ticket, story, until,
};

const SUCCEEDED: &str = "Building on worker-1\nBuilding example\nJob succeeded\n";
const CANCELLED: &str = "Building on worker-1\nBuilding example\nJob cancelled\n";

async fn submit(client: &Submission, dockerfile: &str) -> Ticket {
    client
        .submit("pool", &docker(dockerfile), false)
        .await
        .unwrap()
}

#[test]
fn simple() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;

        builder.end("example", BuildOutcome::Succeeded(""));
        let ticket = submit(&client, "example").await;
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(SUCCEEDED, Ok(""))
        );

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn simple_custom() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;

        let spec = "((from busybox))";
        builder.end(spec, BuildOutcome::Succeeded(""));
        let ticket = client
            .submit("pool", &custom("obuilder", spec), false)
            .await
            .unwrap();
        let log = format!(
            "Building on worker-1\nBuilding job obuilder\nGot spec {spec}\nJob succeeded\n"
        );
        assert_eq!(follow_ticket(&ticket).await, Transcript::new(&log, Ok("")));

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn fails() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;

        builder.end("example2", BuildOutcome::Failed("Build failed!"));
        let ticket = submit(&client, "example2").await;
        let log = "Building on worker-1\nBuilding example2\nBuild failed!\n";
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(log, Err("Failed: Build failed"))
        );

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn await_builder() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job().await.unwrap();
        let ended = tokio::task::spawn_local(async move { follow(&job).await });

        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        builder.end("example", BuildOutcome::Succeeded(""));
        assert_eq!(ended.await.unwrap(), Transcript::new(SUCCEEDED, Ok("")));

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn already_registered() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;

        site.expect_warning("Worker \"worker-1\" already registered!");
        let second = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = cluster_api::Registration::from_client(second.client.clone());
        let object = cluster_api::Worker::broken(cluster_api::RpcError::failed("unused"));
        let refused = registration
            .register("worker-1", object, 1)
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), "Failed: Worker already registered!");

        // The first goes on.
        let (client, _connected) = site.client("client").await;
        builder.end("example", BuildOutcome::Succeeded(""));
        let ticket = submit(&client, "example").await;
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(SUCCEEDED, Ok(""))
        );

        drop((worker, second, registration, ticket));
        site.finish().await;
    });
}

#[test]
fn builder_capacity() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 2, &builder).await;
        let (client, _connected) = site.client("client").await;
        let tickets = [
            submit(&client, "example1").await,
            submit(&client, "example2").await,
            submit(&client, "example3").await,
        ];
        builder.starts("example2").await;
        assert_eq!(builder.running(), 2, "no more than it has room for");

        for (ticket, name) in tickets.iter().zip(["example1", "example2", "example3"]) {
            builder.end(name, BuildOutcome::Succeeded(""));
            let log = format!("Building on worker-1\nBuilding {name}\nJob succeeded\n");
            assert_eq!(follow_ticket(ticket).await, Transcript::new(&log, Ok("")));
        }

        drop((worker, tickets));
        site.finish().await;
    });
}

/// All stories go over real connections; this one without TLS, to a Unix socket.
#[test]
fn network() {
    story(async {
        let site = Site::start_with(|config| {
            config.transport = cluster_scheduler::Transport::Plaintext;
            let socket = config.secrets_dir.join("socket");
            config.listen = format!("unix:{}", socket.display()).parse().unwrap();
        })
        .await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;

        builder.end("example", BuildOutcome::Succeeded(""));
        let ticket = submit(&client, "example").await;
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(SUCCEEDED, Ok(""))
        );

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn worker_disconnects() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        builder.end("example", BuildOutcome::Succeeded(""));
        let first = submit(&client, "example").await;
        assert_eq!(
            follow_ticket(&first).await,
            Transcript::new(SUCCEEDED, Ok(""))
        );

        worker.disconnect();
        site.shows("disconnected:\n  worker-1").await;
        let second = submit(&client, "example2").await;
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        builder.end("example2", BuildOutcome::Succeeded(""));
        let log = "Building on worker-1\nBuilding example2\nJob succeeded\n";
        assert_eq!(follow_ticket(&second).await, Transcript::new(log, Ok("")));

        drop((worker, first, second));
        site.finish().await;
    });
}

#[test]
fn client_disconnects() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        builder.starts("example").await;

        let job = ticket.job().await.unwrap();
        let followed = tokio::task::spawn_local(async move { follow(&job).await });
        site.shows("(1 running)").await;

        // Both ends of the connection are told.
        site.expect_warning("the network is down");
        connected.session.close("the network is down");
        let Transcript { log, result } = followed.await.unwrap();
        let lost = result.unwrap_err();
        assert!(lost.starts_with("Disconnected: "), "{lost}");
        assert!(
            log.ends_with(&format!("Error tailing logs: {lost}")),
            "{log}"
        );
        until("the job is cancelled", async || builder.running() == 0).await;
        drop((ticket, client));

        drop(worker);
        site.finish().await;
    });
}

#[test]
fn cancel() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job().await.unwrap();
        builder.starts("example").await;

        job.cancel().await.unwrap();
        assert_eq!(
            follow(&job).await,
            Transcript::new(CANCELLED, Err("Failed: Build cancelled"))
        );

        drop((worker, ticket, job));
        site.finish().await;
    });
}

#[test]
fn cancel_ticket() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job();

        ticket.cancel().await.unwrap();
        let refused = Transcript::new(
            "Error tailing logs: Failed: Ticket cancelled",
            Err("Failed: Ticket cancelled"),
        );
        assert_eq!(follow(&job).await, refused);
        let again = ticket.cancel().await.unwrap_err();
        assert_eq!(again.to_string(), "Failed: Ticket cancelled");

        drop((ticket, job));
        site.finish().await;
    });
}

#[test]
fn cancel_ticket_late() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        builder.starts("example").await;

        ticket.cancel().await.unwrap();
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(CANCELLED, Err("Failed: Build cancelled"))
        );

        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn release_ticket() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job().await.unwrap();
        let (log, result) = (job.log(0), job.result());

        drop((ticket, job));
        let released = "Failed: Ticket released (cancelled)";
        assert_eq!(log.await.unwrap_err().to_string(), released);
        assert_eq!(result.await.unwrap_err().to_string(), released);

        site.finish().await;
    });
}

#[test]
fn release_ticket_late() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job().await.unwrap();
        builder.starts("example").await;
        let logged = job.log(0).await.unwrap();
        assert_eq!(logged.bytes, b"Building on worker-1\nBuilding example\n");
        let (log, result) = (job.log(logged.next), job.result());

        drop((ticket, job));
        assert_eq!(log.await.unwrap().bytes, b"Job cancelled\n");
        assert_eq!(
            result.await.unwrap_err().to_string(),
            "Failed: Build cancelled"
        );

        drop(worker);
        site.finish().await;
    });
}

#[test]
fn drain() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 2, &builder).await;
        let (client, _connected) = site.client("client").await;
        let tickets = [
            submit(&client, "example1").await,
            submit(&client, "example2").await,
            submit(&client, "example3").await,
        ];
        builder.starts("example2").await;

        let (pool, _admin) = site.pool_admin().await;
        let (reports, progress) = ProgressReports::new();
        let drained = pool.drain("worker-1", progress);
        until("two are running", async || {
            reports.get() == ["Running jobs: 2"]
        })
        .await;
        builder.end("example1", BuildOutcome::Succeeded(""));
        until("one is running", async || reports.get().len() == 2).await;
        builder.end("example2", BuildOutcome::Succeeded(""));
        drained.await.unwrap();
        assert_eq!(
            reports.get(),
            ["Running jobs: 2", "Running jobs: 1", "Running jobs: 0"]
        );
        assert_eq!(builder.running(), 0, "the third job has to wait");

        pool.set_active("worker-1", true, false).await.unwrap();
        builder.end("example3", BuildOutcome::Succeeded(""));
        let log = "Building on worker-1\nBuilding example3\nJob succeeded\n";
        assert_eq!(
            follow_ticket(&tickets[2]).await,
            Transcript::new(log, Ok(""))
        );

        drop((worker, tickets));
        site.finish().await;
    });
}

#[test]
fn drain_crash() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        let ticket = submit(&client, "example").await;
        let job = ticket.job().await.unwrap();
        let followed = tokio::task::spawn_local(async move { follow(&job).await });
        builder.starts("example").await;

        let (pool, _admin) = site.pool_admin().await;
        let (reports, progress) = ProgressReports::new();
        let drained = pool.drain("worker-1", progress);
        until("one is running", async || {
            reports.get() == ["Running jobs: 1"]
        })
        .await;
        worker.disconnect();
        drained.await.unwrap();
        assert_eq!(reports.get(), ["Running jobs: 1", "Running jobs: 0"]);

        let Transcript { log, result } = followed.await.unwrap();
        let lost = result.unwrap_err();
        assert!(
            lost.starts_with("Disconnected: worker \"worker-1\" disconnected"),
            "{lost}"
        );
        assert_eq!(
            log,
            format!("Building on worker-1\nBuilding example\nError tailing logs: {lost}")
        );

        drop(ticket);
        site.finish().await;
    });
}

#[test]
fn admin() {
    story(async {
        let site = Site::start().await;
        let (admin, _connected) = site.admin().await;
        assert_eq!(admin.pools().await.unwrap(), ["pool"]);
        let pool = admin.pool("pool").await.unwrap();
        let workers = async || {
            let workers = pool.workers().await.unwrap().into_iter();
            workers
                .map(|w| (w.name, w.active, w.connected))
                .collect::<Vec<_>>()
        };

        pool.set_active("worker-1", false, true).await.unwrap();
        assert_eq!(workers().await, [("worker-1".to_owned(), false, false)]);
        pool.set_active("worker-1", true, false).await.unwrap();
        assert_eq!(workers().await, [("worker-1".to_owned(), true, false)]);
        pool.forget("worker-1").await.unwrap();
        assert_eq!(workers().await, []);

        site.finish().await;
    });
}

#[test]
fn clients() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (admin, _connected) = site.admin().await;
        let client2 = admin.add_client("client2").await.unwrap();
        let client1 = admin.add_client("client1").await.unwrap();
        assert_eq!(admin.list_clients().await.unwrap(), ["client1", "client2"]);

        admin.remove_client("client1").await.unwrap();
        let refused = client1.submit("pool", &docker("example1"), false);
        let revoked = Transcript::new(
            "Error tailing logs: Failed: Access has been revoked",
            Err("Failed: Access has been revoked"),
        );
        assert_eq!(follow_ticket(&refused).await, revoked);
        builder.end("example", BuildOutcome::Succeeded(""));
        let ticket = submit(&client2, "example").await;
        assert_eq!(
            follow_ticket(&ticket).await,
            Transcript::new(SUCCEEDED, Ok(""))
        );

        let again = admin.add_client("client2").await.unwrap_err();
        assert_eq!(
            again.to_string(),
            "Failed: Client \"client2\" already registered!"
        );
        let again = admin.remove_client("client1").await.unwrap_err();
        assert_eq!(again.to_string(), "Failed: Unknown client \"client1\"");

        drop((worker, ticket, refused));
        site.finish().await;
    });
}
