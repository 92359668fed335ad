//! A client's life with its jobs: it submits them, cancels some, and follows them to their ends.

use std::cell::RefCell;

use cluster_api::{Description, DurableJob, DurableStage, JobRequest, Label, Unwatched};

use crate::client::CallError;
use crate::client_plan::{ClientCommand, ClientPlan};
use crate::client_program::ClientProgram;
use crate::job::SeenJob;
use crate::script::action;
use crate::site::{INTERVAL, POOL};
use crate::user::User;

/// Submits a job and sees it through.
pub(crate) async fn live(user: &User, job: &SeenJob, round: u64) -> Result<(), String> {
    match &job.plan.client {
        None => live_connected(user, job, round).await,
        Some(plan) => live_with_program(user, job, plan, round).await,
    }
}

/// Submits a job, or has it submitted by the client's program, which shows it to its end.
async fn live_with_program(
    user: &User,
    job: &SeenJob,
    plan: &ClientPlan,
    round: u64,
) -> Result<(), String> {
    let mut program = match plan.command {
        ClientCommand::Submit => ClientProgram::submitting(user, job, plan, round),
        ClientCommand::Follow => {
            submit(user, job, round).await?;
            ClientProgram::following(user, job, plan)
        }
    };
    program.run().await?;
    follow(user, job, Start::Beginning).await?;
    program.check()
}

async fn live_connected(user: &User, job: &SeenJob, round: u64) -> Result<(), String> {
    submit(user, job, round).await?;
    let again = async {
        match job.plan.is_sent_twice {
            true => submit(user, job, round).await,
            false => Ok(()),
        }
    };
    let cancelled = async {
        let Some(after) = job.plan.cancelled_after else {
            return Ok(());
        };
        tokio::time::sleep(after).await;
        cancel(user, job).await
    };
    let (again, cancelled, followed) =
        futures::join!(again, cancelled, follow(user, job, Start::Known));
    again.and(cancelled).and(followed)?;
    // A log that was followed is compressed now, and is the same.
    follow(user, job, Start::Beginning).await
}

pub(crate) async fn submit(user: &User, job: &SeenJob, round: u64) -> Result<(), String> {
    job.doing.set("submitting");
    let description = Description::new(action(user.folder(), &job.plan));
    let label = |name: &str, value: String| Label {
        name: name.to_owned(),
        value,
    };
    let request = JobRequest {
        pool: POOL.to_owned(),
        description: description.encode().expect("a short description"),
        urgent: false,
        key: job.plan.has_key.then(|| job.plan.name.clone()),
        labels: vec![
            label("round", round.to_string()),
            label("name", job.plan.name.clone()),
        ],
        attempts: Some(job.plan.attempts),
        queue_limit: None,
        run_limit: None,
        silence_limit: None,
        unwatched: Unwatched::Continues,
    };
    let id = user.client.call(async |client| {
        let (id, _job) = client.submit_durable(&request).await?;
        Ok(id)
    });
    job.is_accepted_as(id.await?)
}

/// Cancels a job, if it has not ended.
pub(crate) async fn cancel(user: &User, job: &SeenJob) -> Result<(), String> {
    let id = job.id();
    let cancelled = user.client.call(async |client| {
        let found = client.find_durable(&id).await?;
        job.may_be_cancelled.set(true);
        found.cancel().await?;
        Ok(())
    });
    match cancelled.await {
        Ok(()) => job.is_reported_as_cancelled(),
        // It had ended before.
        Err(error) if error.contains("ended") => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Where to read logs from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Where those end that are known.
    Known,
    /// The beginning, to compare.
    Beginning,
}

/// Follows a job to its end, with the logs of all attempts.
pub(crate) async fn follow(user: &User, job: &SeenJob, start: Start) -> Result<(), String> {
    let id = job.id();
    let wrong = RefCell::new(Ok(()));
    user.client
        .call(async |client| {
            job.doing.set("looking for it");
            let found = client.find_durable(&id).await?;
            let seen = follow_connected(&found, job, start).await;
            match seen {
                Ok(()) => Ok(()),
                Err(FollowError::Call(error)) => Err(error),
                Err(FollowError::Wrong(error)) => {
                    *wrong.borrow_mut() = Err(error);
                    Ok(())
                }
            }
        })
        .await?;
    wrong.into_inner()
}

enum FollowError {
    Call(CallError),
    /// What was seen before is not so.
    Wrong(String),
}

impl<E: Into<CallError>> From<E> for FollowError {
    fn from(error: E) -> Self {
        Self::Call(error.into())
    }
}

async fn follow_connected(
    found: &DurableJob,
    job: &SeenJob,
    start: Start,
) -> Result<(), FollowError> {
    let mut version = 0;
    loop {
        job.doing.set("watching it");
        let status = found.watch(version).await?;
        if status.version == version {
            // Nothing has happened yet since the scheduler started.
            tokio::time::sleep(INTERVAL).await;
        }
        version = status.version;
        match status.stage {
            DurableStage::Queued { .. } => {}
            DurableStage::Running { attempt, .. } | DurableStage::Away { attempt, .. } => {
                read_log(found, job, attempt, Start::Known).await?;
            }
            DurableStage::Ended { attempt, outcome } => {
                for attempt in 1..=attempt {
                    read_log(found, job, attempt, start).await?;
                }
                job.doing.set("done");
                return job.has_ended(attempt, outcome).map_err(FollowError::Wrong);
            }
        }
    }
}

async fn read_log(
    found: &DurableJob,
    job: &SeenJob,
    attempt: u32,
    start: Start,
) -> Result<(), FollowError> {
    job.doing.set("reading its log");
    let mut offset = match start {
        Start::Known => job.log_length(attempt),
        Start::Beginning => 0,
    };
    loop {
        let chunk = found.log(attempt, offset).await?;
        if chunk.bytes.is_empty() {
            return job.log_ends_at(attempt, offset).map_err(FollowError::Wrong);
        }
        job.shows(attempt, offset, &chunk.bytes)
            .map_err(FollowError::Wrong)?;
        offset = chunk.next;
    }
}
