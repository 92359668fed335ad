//! `job`: shows all that is known of a job.

use std::ffi::OsString;
use std::time::Duration;

use cluster_api::{
    AttemptDetails, AttemptEnd, DurableOutcome, DurableStage, JobDetails, JobSummary, LostAttempt,
    Outcome,
};
use visible::{CompactElapsed, counted};

use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::json::jobs::JobDetails as Details;
use crate::labels::labels;
use cli::error::CommandError;
use cli::human::table;
use cli::quote::printable;

/// Show a job: its state, its attempts and how it ended
///
/// The ID may be shortened while it is unique. What the job runs is not shown, as that may contain secrets.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin job [OPTIONS] [CAP] <JOB>")]
pub(in crate::admin) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(in crate::admin) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let id = positionals.required("JOB")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let details = details(&service, &id).await?;
    let described = described(&details.status.stage);
    common.format().print(
        || text(&details, &described),
        || Details::of(&details, described.clone()),
    )
}

/// Asks for a job.
pub(super) async fn details(service: &Service, id: &str) -> Result<JobDetails, CommandError> {
    match service.admin().job_details(id).await {
        Ok(details) => Ok(details),
        Err(error) => Err(service
            .failed("JobsAdmin.job", About::default(), error)
            .await),
    }
}

/// Returns how far a job has come in a sentence, and its output if it succeeded.
fn described(stage: &DurableStage) -> (String, Option<String>) {
    let text = match stage {
        DurableStage::Queued { ahead, obstacle } => match obstacle {
            Some(obstacle) => format!("waits for a worker: {obstacle}"),
            None => format!("waits for a worker; {ahead} before it"),
        },
        DurableStage::Running { attempt, worker } => {
            format!("attempt {attempt} runs on {worker}")
        }
        DurableStage::Away {
            attempt,
            worker,
            remaining,
        } => format!(
            "attempt {attempt} waits for worker {worker} to return, for {} more",
            CompactElapsed(*remaining)
        ),
        DurableStage::Ended { outcome, .. } => return ended(outcome),
    };
    (text, None)
}

fn ended(outcome: &DurableOutcome) -> (String, Option<String>) {
    let text = match outcome {
        DurableOutcome::Done(Outcome::Succeeded(output)) => {
            return ("succeeded".to_owned(), Some(output.clone()));
        }
        DurableOutcome::Done(Outcome::Failed { detail, exit_code }) => match (detail, exit_code) {
            (detail, _) if !detail.is_empty() => format!("failed: {detail}"),
            (_, Some(code)) => format!("failed with exit code {code}"),
            (_, None) => "failed".to_owned(),
        },
        DurableOutcome::Done(Outcome::TimedOut { detail }) => format!("timed out: {detail}"),
        DurableOutcome::Done(other) => other.to_string(),
        DurableOutcome::CancelledByClient => "cancelled by its client".to_owned(),
        DurableOutcome::CancelledByOperator => "cancelled by an operator".to_owned(),
        DurableOutcome::CancelledUnwatched => {
            "cancelled, as no client watched it any more".to_owned()
        }
        DurableOutcome::QueueLimit => "timed out: it waited for too long".to_owned(),
        DurableOutcome::RunLimit => "timed out: it ran for too long".to_owned(),
        DurableOutcome::SilenceLimit => "timed out: it wrote nothing for too long".to_owned(),
        DurableOutcome::Lost(lost) => format!("lost: {}", losses(lost)),
        DurableOutcome::Refused { reason } => format!("refused: {reason}"),
    };
    (text, None)
}

fn losses(lost: &[LostAttempt]) -> String {
    match lost.last() {
        // Only an attached job can be lost while it waits.
        Some(last) if last.attempt == 0 => last.reason.clone(),
        Some(last) => format!(
            "it lost its worker in {}, in the last one as {}",
            counted(lost.len(), "attempt"),
            last.reason
        ),
        None => "its workers were lost".to_owned(),
    }
}

fn text(details: &JobDetails, (status, output): &(String, Option<String>)) -> String {
    let JobDetails {
        summary,
        client,
        key,
        urgent,
        cache_hint,
        status: _,
        attempts,
    } = details;
    let mut rows = vec![
        ("job", printable(&summary.id)),
        ("state", summary.state.to_string()),
        ("status", printable(status)),
        ("client", printable(client)),
        ("pool", printable(&summary.pool)),
        ("kind", kind(summary)),
        ("submitted", ago(summary.submitted_ago)),
    ];
    let optional = [
        ("output", output.as_deref().map(printable)),
        ("labels", Some(labels(&summary.labels))),
        ("key", key.as_deref().map(printable)),
        ("cache hint", Some(printable(cache_hint))),
        ("urgent", urgent.then(|| "yes".to_owned())),
    ];
    let given =
        |(name, value): (_, Option<String>)| Some((name, value.filter(|value| !value.is_empty())?));
    rows.extend(optional.into_iter().filter_map(given));
    let lines = rows
        .into_iter()
        .map(|(name, value)| format!("{:12}{value}\n", format!("{name}:")));
    lines.collect::<String>() + &attempts_text(attempts)
}

/// Returns the kind of a job, and whether it is attached.
fn kind(job: &JobSummary) -> String {
    let attached = if job.attached { ", attached" } else { "" };
    printable(&job.kind) + attached
}

fn ago(time: Duration) -> String {
    format!("{} ago", CompactElapsed(time))
}

fn attempts_text(attempts: &[AttemptDetails]) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let heading = ["  ATTEMPT", "WORKER", "STARTED", "RAN", "LOG", "RESULT"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(attempts.iter().map(|attempt| {
        let ended = attempt.end.as_ref().map_or(Duration::ZERO, |end| end.ago);
        let ran = attempt.started_ago.saturating_sub(ended);
        vec![
            format!("  {}", attempt.number),
            printable(&attempt.worker),
            ago(attempt.started_ago),
            CompactElapsed(ran).to_string(),
            visible::Size(attempt.log_length).to_string(),
            result(attempt.end.as_ref()),
        ]
    }));
    format!("attempts:\n{}", table(&rows))
}

fn result(end: Option<&AttemptEnd>) -> String {
    match end {
        None => "-".to_owned(),
        // A job has its output above.
        Some(end) if end.word == "succeeded" || end.detail.is_empty() => printable(&end.word),
        Some(end) => format!("{}: {}", printable(&end.word), printable(&end.detail)),
    }
}
