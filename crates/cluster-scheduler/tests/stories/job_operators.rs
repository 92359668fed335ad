//! Operators and durable jobs: they see those of all clients, cancel them, and what they do is recorded.

use std::time::Duration;

use cluster_api::{
    Admin, AdminJobQuery, AttemptResult, AuditEntry, AuditQuery, DurableOutcome, DurableStage,
    JobQuery, JobState, NewPause, RpcErrorKind, Submission,
};
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story};

use crate::durable::{connect, ended, request, submit};

/// Returns what operators did, the first first, as "by action pool object detail error".
async fn audit(admin: &Admin) -> Vec<String> {
    let page = admin.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!(page.next, None);
    let line = |entry: &AuditEntry| {
        let AuditEntry {
            time,
            service,
            address,
            by,
            action,
            pool,
            object,
            detail,
            error,
        } = entry;
        assert!(!time.is_zero() && service == "admin" && !address.is_empty());
        [by, action, pool, object, detail, error]
            .map(String::as_str)
            .join("|")
    };
    page.entries.iter().rev().map(line).collect()
}

async fn list(admin: &Admin, query: AdminJobQuery) -> Vec<(String, JobState)> {
    let page = admin.list_jobs(&query).await.unwrap();
    page.jobs
        .into_iter()
        .map(|job| (job.client, job.summary.state))
        .collect()
}

#[test]
fn operators_see_the_jobs_of_all_clients() {
    story(async {
        let site = Site::start().await;
        let (shared, _connected) = connect(&site).await;
        let (alice, _alice_connected) = site.client("alice").await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&shared, &request("image")).await;
        builder.starts("image").await;
        let (_, _queued) = submit(&alice, &request("later")).await;
        let (admin, _admin_connected) = site.admin().await;
        let all = list(&admin, AdminJobQuery::default()).await;
        let running = ("submission".to_owned(), JobState::Running);
        let queued = ("alice".to_owned(), JobState::Queued);
        assert_eq!(all, [queued.clone(), running.clone()]);

        // Some of them.
        let of = |client: &str, pool: &str, states: &[JobState]| AdminJobQuery {
            jobs: JobQuery {
                states: states.to_vec(),
                ..JobQuery::default()
            },
            client: Some(client.to_owned()).filter(|text| !text.is_empty()),
            pool: Some(pool.to_owned()).filter(|text| !text.is_empty()),
        };
        assert_eq!(list(&admin, of("alice", "", &[])).await, [queued]);
        assert_eq!(list(&admin, of("", "other", &[])).await, []);
        assert_eq!(list(&admin, of("not\na client", "", &[])).await, []);
        let running_in_pool = of("", "pool", &[JobState::Running]);
        assert_eq!(list(&admin, running_in_pool).await, [running]);

        // One of them, by the beginning of its id.
        let details = admin.job_details(&id[..10]).await.unwrap().job;
        assert_eq!(details.summary.id, id);
        assert!(
            matches!(&details.status.stage, DurableStage::Running { attempt: 1, worker } if worker == "w1"),
            "{details:?}"
        );
        assert!(details.attempts[0].end.is_none(), "{details:?}");
        builder.end("image", BuildOutcome::Succeeded("repo@sha256:1"));
        ended(&job).await;
        let details = admin.job_details(&id).await.unwrap().job;
        let attempt = &details.attempts[0];
        let end = attempt.end.as_ref().unwrap();
        assert_eq!(
            (end.result, end.detail.as_str()),
            (AttemptResult::Succeeded, "repo@sha256:1")
        );
        // Its client sees the same.
        let seen = job.describe().await.unwrap();
        assert_eq!(
            (&seen.status, &seen.attempts[0].end),
            (&details.status, &attempt.end)
        );
        let chunk = admin.job_log(&id, 1, 0).await.unwrap();
        assert_eq!(chunk.bytes.len() as u64, attempt.log_length);
        assert!(
            String::from_utf8(chunk.bytes)
                .unwrap()
                .contains("Building image")
        );
        let rest = admin.job_log(&id, 1, chunk.next).await.unwrap();
        assert!(rest.bytes.is_empty());
        // No id has this letter.
        let error = admin.job_details("u").await.unwrap_err();
        assert!(error.reason.contains("there is no job \"u\""), "{error:?}");
    });
}

#[test]
fn a_job_that_an_operator_cancels_says_so() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (id, job) = submit(&client, &request("image")).await;
        let (admin, _admin_connected) = site.admin().await;
        assert_eq!(admin.cancel_job(&id[..10]).await.unwrap(), id);
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByOperator));
        let error = admin.cancel_job(&id).await.unwrap_err();
        assert_eq!(error.reason, "the job has ended");
        let first = format!("|cancel||job {}||", &id[..10]);
        let second = format!("|cancel||job {id}||the job has ended");
        assert_eq!(audit(&admin).await, [first, second]);
    });
}

#[test]
fn a_job_that_an_operator_cancels_by_the_number_of_its_ticket_is_not_tried_again() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        // It does not cancel by number, and does not report who cancelled a job.
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, job) = submit(&client, &request("image")).await;
        builder.starts("image").await;
        let (pool, _pool_connected) = site.pool_admin().await;
        let cancelled = pool.cancel(1, "carol").await;
        assert_eq!(cancelled, Ok(Some("w1".to_owned())));
        assert_eq!(ended(&job).await, (1, DurableOutcome::CancelledByOperator));
        builder.is_cancelled("image").await;
        assert_eq!(builder.started(), ["w1 image"]);
    });
}

/// What is recorded of it: who did what to what, and whether it failed.
const RECORDED: [(&str, bool); 11] = [
    ("alice@desk|pause|pool|w1|", false),
    ("alice@desk|unpause|pool|w1|", false),
    ("alice@desk|pause|pool|w1|until it reconnects", false),
    ("bob@lab|pause|pool|w1|new disk", false),
    ("alice@desk|drain|pool|w1|", false),
    ("alice@desk|forget|pool|w1|", true),
    ("bob@lab|cancel|pool|ticket 7|", true),
    ("alice@desk|update|pool|nobody|", true),
    ("alice@desk|add-client||carol|", false),
    ("alice@desk|set-rate|pool|carol|rate 2.5", false),
    ("alice@desk|remove-client||carol|", false),
];

#[test]
fn what_operators_do_is_recorded() {
    story(async {
        let mut site = Site::start_at_socket().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (admin, connected) = site.admin().await;
        let pool = admin.pool("pool").await.unwrap();
        // It holds for a pool that was obtained before, too.
        admin.identify("alice@desk").await.unwrap();
        pool.set_active("w1", false, false).await.unwrap();
        pool.set_active("w1", true, false).await.unwrap();
        pool.pause_worker("w1", true).await.unwrap();
        let pause = NewPause {
            by: "bob@lab".to_owned(),
            note: "new disk".to_owned(),
            ..NewPause::default()
        };
        pool.pause("w1", &pause).await.unwrap();
        pool.drain("w1", None).await.unwrap();
        pool.forget("w1").await.unwrap_err();
        pool.cancel(7, "bob@lab").await.unwrap_err();
        pool.update("nobody", None).await.unwrap_err();
        admin.add_client("carol").await.unwrap();
        pool.set_rate("carol", 2.5).await.unwrap();
        admin.remove_client("carol").await.unwrap();
        let found = audit(&admin).await;
        let without_error = |line: &String| {
            let (text, error) = line.rsplit_once('|').unwrap();
            (text.to_owned(), !error.is_empty())
        };
        let compared: Vec<_> = found.iter().map(without_error).collect();
        let expected = RECORDED.map(|(text, failed)| (text.to_owned(), failed));
        assert_eq!(compared, expected, "{found:#?}");

        // It outlives the scheduler, and another operator's program may say nothing of who uses it.
        drop((admin, pool, connected, worker));
        site.restart().await;
        let (admin, _connected) = site.admin().await;
        admin.add_client("dave").await.unwrap();
        let mut longer = found;
        longer.push("|add-client||dave||".to_owned());
        assert_eq!(audit(&admin).await, longer);

        // Some of it.
        let query = AuditQuery {
            at_most: Some(2),
            ..AuditQuery::default()
        };
        let page = admin.audit(&query).await.unwrap();
        assert_eq!(page.entries[0].object, "dave");
        assert_eq!(page.entries[1].object, "carol");
        let next = AuditQuery {
            before: page.next,
            ..query
        };
        let page = admin.audit(&next).await.unwrap();
        assert_eq!(page.entries[0].action, "set-rate");
        let recent = AuditQuery {
            within: Some(Duration::from_secs(3600)),
            ..AuditQuery::default()
        };
        assert_eq!(
            admin.audit(&recent).await.unwrap().entries.len(),
            longer.len()
        );
        let error = admin.identify(&"x".repeat(256)).await.unwrap_err();
        assert!(error.reason.contains("256 bytes"), "{error:?}");
    });
}

#[test]
fn clients_see_neither_the_jobs_of_others_nor_the_audit_log() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (id, _job) = submit(&client, &request("image")).await;
        let as_admin = Admin::from_client(Submission::into_client(client));
        let query = AdminJobQuery::default();
        for error in [
            as_admin.list_jobs(&query).await.map(drop).unwrap_err(),
            as_admin.job_details(&id).await.map(drop).unwrap_err(),
            as_admin.job_log(&id, 1, 0).await.map(drop).unwrap_err(),
            as_admin.cancel_job(&id).await.map(drop).unwrap_err(),
            as_admin
                .audit(&AuditQuery::default())
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, RpcErrorKind::Unimplemented, "{error:?}");
        }
    });
}
