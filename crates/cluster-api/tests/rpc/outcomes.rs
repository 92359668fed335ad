//! Outcomes and progress as data, and as text where the peer knows no more.

use std::cell::RefCell;
use std::rc::Rc;

use cluster_api::{
    CancelledBy, Job, LogChunk, Outcome, Progress, ProgressStatus, RpcError, ServeJob,
    ServeProgress,
};

use crate::support::{Connection, Events, connect, run, settle, through_connection};

/// A job that has ended.
struct EndedJob {
    outcome: Outcome,
    /// Whether it is served by a program that knows outcomes.
    is_typed: bool,
    events: Events,
}

impl ServeJob for EndedJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        self.events.add(format!("log {start}"));
        Ok(LogChunk {
            bytes: b"\n".to_vec(),
            next: 1,
        })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        self.events.add("result");
        self.outcome.clone().into_result()
    }

    async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
        self.events.add("outcome");
        match self.is_typed {
            true => Ok(self.outcome.clone()),
            false => Err(RpcError::unimplemented("Unknown interface 1UL")),
        }
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

fn ended(outcome: &Outcome, is_typed: bool, events: &Events) -> Job {
    let job = Job::serve(Rc::new(EndedJob {
        outcome: outcome.clone(),
        is_typed,
        events: events.clone(),
    }));
    Job::from_client(through_connection(job.into_client()))
}

/// Every outcome that a worker reports, with the one that is read from its text.
fn reported() -> Vec<(Outcome, Outcome)> {
    let detail = |exit_code| Outcome::Failed {
        detail: "the job was killed".to_owned(),
        exit_code,
    };
    let same = |outcome: Outcome| (outcome.clone(), outcome);
    let cancelled = Outcome::Cancelled;
    vec![
        (detail(Some(3)), detail(None)),
        same(detail(None)),
        (
            cancelled(CancelledBy::Client),
            cancelled(CancelledBy::Unknown),
        ),
        (
            cancelled(CancelledBy::Operator),
            cancelled(CancelledBy::Unknown),
        ),
        same(cancelled(CancelledBy::Unknown)),
        same(Outcome::TimedOut {
            detail: "the job was stopped: it took longer than a day".to_owned(),
        }),
        same(Outcome::WorkerUnfit {
            problem: "disk full".to_owned(),
            had_begun: true,
        }),
        same(Outcome::WorkerUnfit {
            problem: String::new(),
            had_begun: false,
        }),
        same(Outcome::Abandoned),
        same(Outcome::Crashed),
    ]
}

#[test]
fn an_outcome_arrives_as_it_is_or_as_its_text() {
    run(async {
        let events = Events::default();
        for (outcome, from_text) in reported() {
            for (is_typed, expected) in [(true, &outcome), (false, &from_text)] {
                let job = ended(&outcome, is_typed, &events);
                let error = job.result().await.unwrap_err();
                assert_eq!(job.explain(error).await, *expected);
                assert_eq!(events.take(), ["result", "outcome"]);
            }
        }
        let succeeded = Outcome::Succeeded("sha256:1234".to_owned());
        let job = ended(&succeeded, true, &events);
        assert_eq!(job.outcome().await, Ok(succeeded));
        assert_eq!(job.result().await.unwrap(), "sha256:1234");
    });
}

#[test]
fn an_error_that_no_worker_reports_is_not_asked_about() {
    run(async {
        let events = Events::default();
        let job = ended(&Outcome::Crashed, true, &events);
        for error in [
            RpcError::overloaded("the scheduler is shutting down"),
            RpcError::unimplemented("Unknown interface 1UL"),
        ] {
            let outcome = job.explain(error.clone()).await;
            assert_eq!(outcome, Outcome::Other(error));
        }
        settle().await;
        assert!(events.take().is_empty());
    });
}

#[test]
fn a_job_that_is_lost_or_never_taken_cannot_report() {
    run(async {
        let lost = RpcError::disconnected("worker \"w1\" disconnected");
        for (error, expected) in [
            (
                lost.clone(),
                Outcome::Lost {
                    reason: lost.reason.clone(),
                },
            ),
            (
                RpcError::failed("Ticket cancelled"),
                Outcome::Cancelled(CancelledBy::Client),
            ),
        ] {
            let job = Job::broken(error.clone());
            assert_eq!(job.taken().await, Err(error.clone()));
            assert_eq!(job.outcome().await, Err(error.clone()));
            assert_eq!(job.explain(error).await, expected);
        }
    });
}

#[test]
fn a_worker_that_claims_success_does_not_hide_an_error() {
    run(async {
        let job = ended(&Outcome::Succeeded(String::new()), true, &Events::default());
        let outcome = job.explain(RpcError::failed("Build failed")).await;
        let failed = Outcome::Failed {
            detail: String::new(),
            exit_code: None,
        };
        assert_eq!(outcome, failed);
    });
}

#[test]
fn an_outcome_with_a_text_that_is_too_long_is_read_from_the_error() {
    run(async {
        let too_long = || "x".repeat((64 << 10) + 1);
        for outcome in [
            Outcome::Failed {
                detail: too_long(),
                exit_code: None,
            },
            Outcome::TimedOut { detail: too_long() },
            Outcome::WorkerUnfit {
                problem: too_long(),
                had_begun: true,
            },
        ] {
            let job = ended(&outcome, true, &Events::default());
            let refused = job.outcome().await.unwrap_err();
            assert!(refused.reason.ends_with("the limit is 65536"), "{refused}");
            let outcome = job.explain(RpcError::failed("Internal error")).await;
            assert_eq!(outcome, Outcome::Crashed);
        }
    });
}

#[test]
fn an_outcome_that_stands_for_a_loss_is_an_error_on_the_wire() {
    run(async {
        let events = Events::default();
        let lost = Outcome::Lost {
            reason: "gone".to_owned(),
        };
        let other = RpcError::overloaded("full");
        for (outcome, error) in [
            (lost, RpcError::disconnected("gone")),
            (Outcome::Other(other.clone()), other),
        ] {
            let job = ended(&outcome, true, &events);
            assert_eq!(job.outcome().await, Err(error));
        }
    });
}

#[test]
fn a_job_is_taken_when_its_log_can_be_read() {
    run(async {
        let events = Events::default();
        let job = ended(&Outcome::Crashed, true, &events);
        job.taken().await.unwrap();
        assert_eq!(events.take(), ["log -1"]);
    });
}

/// A program that shows progress.
#[derive(Default)]
struct Shown {
    statuses: RefCell<Vec<ProgressStatus>>,
    /// Whether it takes no data, as upstream's.
    is_upstreams: bool,
}

impl ServeProgress for Shown {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        assert!(self.is_upstreams, "this is for programs that know no data");
        self.statuses.borrow_mut().push(status.into());
        Ok(())
    }

    async fn report_status(self: Rc<Self>, status: ProgressStatus) -> Result<(), RpcError> {
        if self.is_upstreams {
            return Err(RpcError::unimplemented("Unknown interface 1UL"));
        }
        self.statuses.borrow_mut().push(status);
        Ok(())
    }
}

#[test]
fn a_status_arrives_as_data_or_as_its_text() {
    run(async {
        for is_upstreams in [false, true] {
            let shown = Rc::new(Shown {
                is_upstreams,
                ..Shown::default()
            });
            let served = Progress::serve(Rc::clone(&shown)).into_client();
            let progress = Progress::from_client(through_connection(served));
            let statuses = [
                ProgressStatus::RunningJobs(u32::MAX),
                ProgressStatus::Restarting,
                ProgressStatus::NotConnected,
                ProgressStatus::Other("waiting".to_owned()),
            ];
            for status in statuses.clone() {
                progress.report_status(status).await.unwrap();
            }
            assert_eq!(*shown.statuses.borrow(), statuses);
        }
    });
}

/// A program that shows lines of text.
struct Lines(Events);

impl ServeProgress for Lines {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        self.0.add(status);
        Ok(())
    }
}

#[test]
fn a_program_that_shows_text_gets_a_status_as_text() {
    run(async {
        let events = Events::default();
        let connection: Connection =
            connect(Progress::serve(Rc::new(Lines(events.clone()))).into_client());
        let progress = Progress::from_client(connection.client.clone());
        let status = ProgressStatus::RunningJobs(2);
        progress.report_status(status).await.unwrap();
        assert_eq!(events.take(), ["Running jobs: 2"]);
        connection.cut();
        let lost = progress.report_status(ProgressStatus::Restarting).await;
        assert_eq!(
            lost.unwrap_err().kind,
            cluster_api::RpcErrorKind::Disconnected
        );
    });
}
