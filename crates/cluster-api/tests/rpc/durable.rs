//! Durable jobs: each value on the wire is the same on the other side.

use std::cell::RefCell;
use std::num::NonZeroU8;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableJob, DurableLogChunk,
    DurableOutcome, DurableStage, DurableStatus, EncodedDescription, JobPage, JobQuery, JobRequest,
    JobState, JobSummary, Label, LostAttempt, Outcome, ReturnTimeouts, RpcError, RpcErrorKind,
    ServeDurableJob, ServeExplained, ServeSubmission, Submission, Ticket, Unwatched,
};

use crate::support::{Events, connect, description, run, settle};

/// A scheduler that keeps one job, which is of any kind that a test wants.
struct Keeper {
    events: Events,
    requests: RefCell<Vec<JobRequest>>,
    stage: RefCell<DurableStage>,
    page: RefCell<JobPage>,
}

impl Keeper {
    fn connect() -> (Rc<Self>, Submission) {
        let keeper = Rc::new(Self {
            events: Events::default(),
            requests: RefCell::default(),
            stage: RefCell::new(DurableStage::Queued {
                ahead: 0,
                obstacle: None,
            }),
            page: RefCell::new(JobPage {
                jobs: Vec::new(),
                next: None,
            }),
        });
        let connection = connect(Submission::serve(Rc::clone(&keeper)).into_client());
        (keeper, Submission::from_client(connection.client))
    }

    fn job(self: &Rc<Self>) -> DurableJob {
        DurableJob::serve(Rc::new(KeptJob(Rc::clone(self))))
    }
}

impl ServeSubmission for Keeper {
    async fn submit(
        self: Rc<Self>,
        _: String,
        _: EncodedDescription,
        _: bool,
    ) -> Result<Ticket, RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn submit_durable(
        self: Rc<Self>,
        job: JobRequest,
    ) -> Result<(String, DurableJob), RpcError> {
        self.requests.borrow_mut().push(job);
        Ok(("28t5cy4tqkff".to_owned(), self.job()))
    }

    async fn find_durable(
        self: Rc<Self>,
        id: String,
        observing: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        if observing {
            self.events.add("observing");
        }
        Ok((format!("{id}5cy4tqkff"), self.job()))
    }

    async fn list_durable(self: Rc<Self>, query: JobQuery) -> Result<JobPage, RpcError> {
        self.events.add(format!("{query:?}"));
        Ok(self.page.borrow().clone())
    }
}

struct KeptJob(Rc<Keeper>);

impl ServeExplained for KeptJob {}

impl ServeDurableJob for KeptJob {
    async fn watch(self: Rc<Self>, version: Option<u64>) -> Result<DurableStatus, RpcError> {
        let stage = self.0.stage.borrow().clone();
        Ok(DurableStatus {
            version: version.unwrap_or(6) + 1,
            stage,
        })
    }

    async fn log(self: Rc<Self>, attempt: u32, start: u64) -> Result<DurableLogChunk, RpcError> {
        Ok(DurableLogChunk {
            bytes: attempt.to_string().into(),
            next: start + 1,
        })
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.0.events.add("cancel");
        Ok(())
    }

    async fn retry(
        self: Rc<Self>,
        key: Option<String>,
        continues: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        self.0.events.add(format!("retry {key:?} {continues}"));
        Ok(("7k5cy4tqkff2".to_owned(), self.0.job()))
    }

    async fn share(self: Rc<Self>) -> Result<String, RpcError> {
        Ok("capnp://somewhere".to_owned())
    }

    async fn describe(self: Rc<Self>) -> Result<DurableDetails, RpcError> {
        Ok(details())
    }

    fn released(&self) {
        self.0.events.add("released");
    }
}

fn label(name: &str) -> Label {
    Label {
        name: name.to_owned(),
        value: format!("{name}'s value"),
    }
}

fn request() -> JobRequest {
    JobRequest {
        pool: "pool".to_owned(),
        description: description("hint").encode().unwrap(),
        urgent: true,
        key: Some("key".to_owned()),
        labels: vec![label("branch"), label("pr")],
        attempts: NonZeroU8::new(5),
        queue_limit: Some(Duration::from_secs(1)),
        run_limit: Some(Duration::from_secs(2)),
        silence_limit: Some(Duration::from_secs(3)),
        unwatched: Unwatched::Cancelled(ReturnTimeouts {
            closed: Some(Duration::from_secs(4)),
            silent: None,
            restarted: Some(Duration::from_millis(5)),
        }),
    }
}

/// Everything but the description, which has no equality.
fn gist(request: &JobRequest) -> String {
    format!("{request:?}")
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        let bare = JobRequest {
            urgent: false,
            key: None,
            labels: Vec::new(),
            attempts: None,
            queue_limit: None,
            run_limit: None,
            silence_limit: None,
            unwatched: Unwatched::Continues,
            ..request()
        };
        for sent in [request(), bare] {
            let (id, _job) = submission.submit_durable(&sent).await.unwrap();
            assert_eq!(id, "28t5cy4tqkff");
            let arrived = keeper.requests.take();
            assert_eq!(arrived.iter().map(gist).collect::<Vec<_>>(), [gist(&sent)]);
            assert_eq!(
                arrived[0].description.decode().unwrap(),
                sent.description.decode().unwrap()
            );
        }
    });
}

#[test]
fn a_request_is_bounded() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        let many = JobRequest {
            labels: vec![label("a"); 17],
            ..request()
        };
        let long = JobRequest {
            key: Some("k".repeat(256)),
            ..request()
        };
        for request in [many, long] {
            let error = submission.submit_durable(&request).await.unwrap_err();
            assert!(error.reason.contains("limit"), "{error:?}");
        }
        assert!(keeper.requests.borrow().is_empty());
        let states = vec![JobState::Queued; 8];
        let query = JobQuery {
            states,
            ..JobQuery::default()
        };
        let error = submission.list_durable(&query).await.unwrap_err();
        assert!(error.reason.contains("limit"), "{error:?}");
    });
}

fn every_stage() -> Vec<DurableStage> {
    let worker = || "w1".to_owned();
    let lost = LostAttempt {
        attempt: 1,
        worker: worker(),
        reason: "it left".to_owned(),
    };
    let outcomes = [
        DurableOutcome::Done(Outcome::Succeeded("image".to_owned())),
        DurableOutcome::Done(Outcome::Failed {
            detail: "memory".to_owned(),
            exit_code: Some(3),
        }),
        DurableOutcome::CancelledByClient,
        DurableOutcome::CancelledByOperator,
        DurableOutcome::CancelledUnwatched,
        DurableOutcome::QueueLimit,
        DurableOutcome::RunLimit,
        DurableOutcome::SilenceLimit,
        DurableOutcome::Lost(vec![lost]),
    ];
    let ended = outcomes.into_iter().map(|outcome| DurableStage::Ended {
        attempt: 2,
        outcome,
    });
    let stages = [
        DurableStage::Queued {
            ahead: 7,
            obstacle: None,
        },
        DurableStage::Queued {
            ahead: 0,
            obstacle: Some("no worker".to_owned()),
        },
        DurableStage::Running {
            attempt: 1,
            worker: worker(),
        },
        DurableStage::Away {
            attempt: 1,
            worker: worker(),
            remaining: Duration::from_secs(9),
        },
    ];
    stages.into_iter().chain(ended).collect()
}

#[test]
fn each_stage_arrives_as_it_was_sent() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        let job = submission.find_durable("28t");
        for stage in every_stage() {
            keeper.stage.replace(stage.clone());
            assert_eq!(
                job.status().await,
                Ok(DurableStatus {
                    version: 7,
                    stage: stage.clone()
                })
            );
            assert_eq!(
                job.watch(40).await,
                Ok(DurableStatus { version: 41, stage })
            );
        }
        let chunk = DurableLogChunk {
            bytes: b"2".into(),
            next: 101,
        };
        assert_eq!(job.log(2, 100).await, Ok(chunk));
        assert_eq!(job.cancel().await, Ok(()));
        drop(job);
        settle().await;
        assert_eq!(keeper.events.take(), ["cancel", "released"]);
    });
}

fn details() -> DurableDetails {
    let worker = || "w1".to_owned();
    let attempt = |number: u32, end| DurableAttempt {
        number,
        worker: worker(),
        started_ago: Duration::from_secs(number.into()),
        log_length: u64::from(number) << 40,
        end,
    };
    let end = |result: AttemptResult| DurableAttemptEnd {
        after: Duration::from_millis(7),
        result,
        detail: format!("why it is {result}"),
    };
    let ends = [
        AttemptResult::Unknown,
        AttemptResult::Succeeded,
        AttemptResult::Failed,
        AttemptResult::TimedOut,
        AttemptResult::Refused,
        AttemptResult::Stopped,
        AttemptResult::Lost,
    ];
    let ends = ends.map(end).map(Some).into_iter().chain([None]);
    DurableDetails {
        summary: JobSummary {
            id: "28t5cy4tqkff".to_owned(),
            pool: "pool".to_owned(),
            kind: "docker".to_owned(),
            labels: vec![label("branch")],
            state: JobState::Running,
            submitted_ago: Duration::from_secs(9),
            changed_ago: Duration::from_secs(1),
            attempts: 3,
            worker: Some(worker()),
            attached: false,
        },
        status: DurableStatus {
            version: 8,
            stage: DurableStage::Running {
                attempt: 3,
                worker: worker(),
            },
        },
        key: Some("key".to_owned()),
        urgent: true,
        attempts: (1..)
            .zip(ends)
            .map(|(number, end)| attempt(number, end))
            .collect(),
        retryable: true,
    }
}

#[test]
fn a_job_is_observed_described_shared_and_retried() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        let job = submission.observe_durable("28t").await.unwrap();
        assert_eq!(job.describe().await, Ok(details()));
        assert_eq!(job.share().await, Ok("capnp://somewhere".to_owned()));
        let (id, _again) = job.retry(Some("key"), true).await.unwrap();
        assert_eq!(id, "7k5cy4tqkff2");
        let (_, _again) = job.retry(None, false).await.unwrap();
        assert_eq!(
            keeper.events.take(),
            ["observing", "retry Some(\"key\") true", "retry None false"]
        );
    });
}

#[test]
fn a_job_is_found_with_its_whole_id() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        for observing in [false, true] {
            let (id, _job) = submission.find_with_id("28t", observing).await.unwrap();
            assert_eq!(id, "28t5cy4tqkff");
        }
        let events = keeper.events.take();
        let observing = events.iter().filter(|event| *event == "observing");
        assert_eq!(observing.count(), 1, "{events:?}");
    });
}

#[test]
fn a_page_arrives_as_it_was_sent() {
    run(async {
        let (keeper, submission) = Keeper::connect();
        let summary = |state, worker: Option<&str>| JobSummary {
            id: "28t5cy4tqkff".to_owned(),
            pool: "pool".to_owned(),
            kind: "docker".to_owned(),
            labels: vec![label("branch")],
            state,
            submitted_ago: Duration::from_secs(10),
            changed_ago: Duration::from_millis(1),
            attempts: 2,
            worker: worker.map(str::to_owned),
            attached: worker.is_none(),
        };
        let states = [
            JobState::Queued,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
            JobState::TimedOut,
            JobState::Lost,
        ];
        let jobs = states
            .into_iter()
            .zip([None, Some("w1")].into_iter().cycle());
        let page = JobPage {
            jobs: jobs.map(|(state, worker)| summary(state, worker)).collect(),
            next: Some(12),
        };
        keeper.page.replace(page.clone());
        let query = JobQuery {
            labels: vec![label("pr")],
            states: states.to_vec(),
            submitted_within: Some(Duration::from_secs(60)),
            before: Some(99),
            at_most: Some(50),
        };
        assert_eq!(submission.list_durable(&query).await, Ok(page));
        assert_eq!(keeper.events.take(), [format!("{query:?}")]);
        submission.list_durable(&JobQuery::default()).await.unwrap();
        assert_eq!(keeper.events.take(), [format!("{:?}", JobQuery::default())]);
    });
}

#[test]
fn a_scheduler_that_keeps_no_jobs_does_not_implement_them() {
    run(async {
        struct Plain;
        impl ServeSubmission for Plain {
            async fn submit(
                self: Rc<Self>,
                _: String,
                _: EncodedDescription,
                _: bool,
            ) -> Result<Ticket, RpcError> {
                Err(RpcError::failed("not here"))
            }
        }
        let connection = connect(Submission::serve(Rc::new(Plain)).into_client());
        let submission = Submission::from_client(connection.client);
        let error = submission.submit_durable(&request()).await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
        let error = submission
            .list_durable(&JobQuery::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
    });
}
