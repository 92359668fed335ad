//! Everybody's durable jobs, and the audit log: each value on the wire is the same on the other side.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    Admin, AdminJobQuery, AuditEntry, AuditPage, AuditQuery, DurableAttempt, DurableDetails,
    DurableLogChunk, DurableOutcome, DurableStage, DurableStatus, JobDetails, JobQuery, JobState,
    JobSummary, Label, ListedJob, ListedJobs, PoolAdmin, RpcError, RpcErrorKind, ServeAdmin,
    Submission,
};

use crate::admin::FakeAdmin;
use crate::support::{Events, run, through_connection};

/// An administration that knows one job.
struct Keeper {
    events: Events,
}

impl Keeper {
    fn connect() -> (Events, Admin) {
        let events = Events::default();
        let admin = Admin::serve(Rc::new(Self {
            events: events.clone(),
        }));
        let admin = Admin::from_client(through_connection(admin.into_client()));
        (events, admin)
    }
}

fn listed() -> ListedJob {
    ListedJob {
        summary: JobSummary {
            id: "28t5cy4tqkff".to_owned(),
            pool: "linux".to_owned(),
            kind: "docker".to_owned(),
            labels: vec![Label {
                name: "branch".to_owned(),
                value: "main".to_owned(),
            }],
            state: JobState::TimedOut,
            submitted_ago: Duration::from_secs(3),
            changed_ago: Duration::from_secs(2),
            attempts: 2,
            worker: Some("w2".to_owned()),
            attached: true,
        },
        client: "alice".to_owned(),
    }
}

fn details() -> JobDetails {
    let ListedJob { summary, client } = listed();
    let attempt = DurableAttempt {
        number: 1,
        worker: "w1".to_owned(),
        started_ago: Duration::from_millis(1_500),
        log_length: 77,
        end: None,
    };
    JobDetails {
        job: DurableDetails {
            summary,
            status: DurableStatus {
                version: 4,
                stage: DurableStage::Ended {
                    attempt: 1,
                    outcome: DurableOutcome::RunLimit,
                },
            },
            key: Some("build-1".to_owned()),
            urgent: true,
            attempts: vec![attempt],
            retryable: true,
        },
        client,
        cache_hint: "app".to_owned(),
    }
}

fn audited() -> AuditPage {
    let text = |text: &str| format!("the {text}");
    AuditPage {
        entries: vec![AuditEntry {
            time: Duration::from_millis(1_764_000_000_123),
            service: text("service"),
            address: text("address"),
            by: text("by"),
            action: text("action"),
            pool: text("pool"),
            object: text("object"),
            detail: text("detail"),
            error: text("error"),
        }],
        next: Some(9),
    }
}

impl ServeAdmin for Keeper {
    async fn pools(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(Vec::new())
    }

    async fn pool(self: Rc<Self>, _: String) -> Result<PoolAdmin, RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn add_client(self: Rc<Self>, _: String) -> Result<Submission, RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn remove_client(self: Rc<Self>, _: String) -> Result<(), RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn list_clients(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(Vec::new())
    }

    fn identify(self: Rc<Self>, by: String) -> Result<(), RpcError> {
        self.events.add(format!("identify {by}"));
        Ok(())
    }

    async fn list_jobs(self: Rc<Self>, query: AdminJobQuery) -> Result<ListedJobs, RpcError> {
        self.events.add(format!("{query:?}"));
        Ok(ListedJobs {
            jobs: vec![listed()],
            next: Some(5),
        })
    }

    async fn job_details(self: Rc<Self>, id: String) -> Result<JobDetails, RpcError> {
        self.events.add(format!("job {id}"));
        Ok(details())
    }

    async fn job_log(
        self: Rc<Self>,
        id: String,
        attempt: u32,
        start: u64,
    ) -> Result<DurableLogChunk, RpcError> {
        Ok(DurableLogChunk {
            bytes: format!("{id}.{attempt}").into_bytes(),
            next: start + 1,
        })
    }

    async fn cancel_job(self: Rc<Self>, id: String) -> Result<String, RpcError> {
        Ok(format!("{id}5cy4tqkff"))
    }

    async fn audit(self: Rc<Self>, query: AuditQuery) -> Result<AuditPage, RpcError> {
        self.events.add(format!("{query:?}"));
        Ok(audited())
    }
}

#[test]
fn queries_arrive_as_they_were_sent() {
    run(async {
        let (events, admin) = Keeper::connect();
        let query = AdminJobQuery {
            jobs: JobQuery {
                labels: listed().summary.labels,
                states: vec![JobState::Queued, JobState::Lost],
                submitted_within: Some(Duration::from_secs(60)),
                before: Some(8),
                at_most: Some(7),
            },
            client: Some("alice".to_owned()),
            pool: Some("linux".to_owned()),
        };
        admin.list_jobs(&query).await.unwrap();
        admin.list_jobs(&AdminJobQuery::default()).await.unwrap();
        let audit = AuditQuery {
            within: Some(Duration::from_millis(1)),
            before: Some(2),
            at_most: Some(3),
        };
        admin.audit(&audit).await.unwrap();
        admin.audit(&AuditQuery::default()).await.unwrap();
        let sent = [
            format!("{query:?}"),
            format!("{:?}", AdminJobQuery::default()),
            format!("{audit:?}"),
            format!("{:?}", AuditQuery::default()),
        ];
        assert_eq!(events.take(), sent);
    });
}

#[test]
fn answers_arrive_as_they_were_sent() {
    run(async {
        let (events, admin) = Keeper::connect();
        admin.identify("alice@desk").await.unwrap();
        let page = admin.list_jobs(&AdminJobQuery::default()).await.unwrap();
        assert_eq!((page.jobs, page.next), (vec![listed()], Some(5)));
        assert_eq!(admin.job_details("28t").await.unwrap(), details());
        let chunk = admin.job_log("28t", 2, 40).await.unwrap();
        assert_eq!((chunk.bytes, chunk.next), (b"28t.2".to_vec(), 41));
        assert_eq!(admin.cancel_job("28t").await.unwrap(), "28t5cy4tqkff");
        let page = admin.audit(&AuditQuery::default()).await.unwrap();
        assert_eq!(page, audited());
        assert_eq!(events.take()[0], "identify alice@desk");
    });
}

#[test]
fn a_name_is_bounded_and_a_scheduler_that_keeps_no_jobs_says_so() {
    run(async {
        let (events, admin) = Keeper::connect();
        let error = admin.identify(&"x".repeat(256)).await.unwrap_err();
        assert_eq!(error.reason, "by has 256 bytes, and the limit is 255");
        assert!(events.take().is_empty());
        let older = Admin::serve(FakeAdmin::new(&events));
        let older = Admin::from_client(through_connection(older.into_client()));
        let error = older.identify("alice").await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
        let error = older.audit(&AuditQuery::default()).await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
    });
}
