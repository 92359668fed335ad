//! Names, hints and descriptions of any length and with any characters.

use std::rc::Rc;

use cluster_api::{
    Action, Admin, Description, DockerBuild, Dockerfile, Registration, RpcError, Submission, Worker,
};

use crate::bystander::{Idle, connect};
use crate::harness::{Bounds, Target};

fn description(dockerfile: String, cache_hint: String) -> Description {
    let dockerfile = Dockerfile::Contents(dockerfile);
    let mut description = Description::new(Action::Docker(DockerBuild {
        dockerfile,
        ..DockerBuild::default()
    }));
    description.cache_hint = cache_hint;
    description
}

fn reason<T>(outcome: Result<T, RpcError>) -> String {
    outcome.err().map(|error| error.reason).unwrap_or_default()
}

#[test]
fn long_and_misleading_names_are_refused() {
    let mut target = Target::start(&[]);
    // What the messages themselves take, three times over.
    target.suffers(Bounds::friend(200, 16 << 10), async |target| {
        let pool = connect(&target.cap("pool-p")).await;
        let registration = Registration::from_client(pool.bootstrap());
        for name in [
            "w".repeat(30 << 20),
            "w".repeat(256),
            "w\u{202e}".to_owned(),
            "w\u{200b}".to_owned(),
            "w\u{2028}".to_owned(),
            " ".to_owned(),
            "(backlog)".to_owned(),
            "../../x".to_owned(),
        ] {
            let worker = Worker::serve(Rc::new(Idle));
            let refused = reason(registration.register(&name, worker, 1).await);
            assert!(refused.contains("name "), "{refused:?}");
        }
        let client = connect(&target.cap("submission")).await;
        let submission = Submission::from_client(client.bootstrap());
        let job = description("FROM scratch".to_owned(), String::new());
        let refused = submission.submit(&"p".repeat(60 << 20), &job, false).await;
        assert_eq!(
            reason(refused),
            "pool has 62914560 bytes, and the limit is 65536"
        );
    });
}

#[test]
fn long_hints_are_neither_logged_nor_shown() {
    let mut target = Target::start(&[]);
    target.suffers(Bounds::friend(256, 32 << 10), async |target| {
        let client = connect(&target.cap("submission")).await;
        let submission = Submission::from_client(client.bootstrap());
        let mut tickets = Vec::new();
        for n in 0..4 {
            let hint = "\u{1}".repeat(7 << 20) + &n.to_string();
            let job = description("FROM scratch".to_owned(), hint);
            tickets.push(submission.submit("p", &job, false).await.expect("a ticket"));
        }
        let admin = connect(&target.cap("admin")).await;
        let pool = Admin::from_client(admin.bootstrap()).pool("p");
        let shown = pool.show().await.expect("the pool is shown");
        assert!(shown.len() < 16 << 10, "{} bytes", shown.len());
    });
}

#[test]
fn the_bytes_of_queued_jobs_of_a_client_are_limited() {
    // In a pool without workers.
    let options = ["--max-client-queue-size=32MiB", "--pools=q"];
    let mut target = Target::start(&options);
    target.suffers(Bounds::friend(160, 32 << 10), async |target| {
        let client = connect(&target.cap("submission")).await;
        let submission = Submission::from_client(client.bootstrap());
        let mut tickets = Vec::new();
        let mut refused = String::new();
        for _ in 0..20 {
            let job = description("x".repeat(7 << 20), String::new());
            let ticket = submission.submit("q", &job, false).await.expect("a ticket");
            if ticket.status().await.is_err() {
                refused = reason(ticket.job().result().await);
            }
            tickets.push(ticket);
        }
        assert!(
            refused.contains("and the limit is 33554432 (--max-client-queue-size)"),
            "{refused:?}"
        );
    });
}
