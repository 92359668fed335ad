//! `job`: shows all that is known of a durable job.

use std::ffi::OsString;

use cluster_api::{
    AttemptDetails, DurableOutcome, DurableStage, JobDetails, ListedJob, LostAttempt, Outcome,
};

use super::{compact, job, labels};
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::json::jobs::{Attempt, AttemptEnd, Job, JobDetails as Details};
use cli::error::CommandError;
use cli::human::table;
use cli::quote::printable;

/// Show a durable job: its state, its attempts and how it ended
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
    let shown = on_output(details);
    common.format().print(|| text(&shown), || &shown)
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

fn on_output(details: JobDetails) -> Details {
    let JobDetails {
        summary,
        client,
        key,
        urgent,
        cache_hint,
        status,
        attempts,
    } = details;
    let (status, output) = described(status.stage);
    Details {
        job: job(ListedJob { summary, client }),
        status,
        output,
        key,
        urgent,
        cache_hint,
        runs: attempts.into_iter().map(attempt).collect(),
    }
}

fn attempt(attempt: AttemptDetails) -> Attempt {
    let AttemptDetails {
        number,
        worker,
        started_ago,
        log_length,
        end,
    } = attempt;
    Attempt {
        number,
        worker,
        started_ago_seconds: started_ago.as_secs_f64(),
        log_bytes: log_length,
        end: end.map(|end| AttemptEnd {
            result: end.word,
            ended_ago_seconds: end.ago.as_secs_f64(),
            detail: end.detail,
        }),
    }
}

/// Returns how far a job has come in a sentence, and its output if it succeeded.
fn described(stage: DurableStage) -> (String, Option<String>) {
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
            compact(remaining.as_secs_f64())
        ),
        DurableStage::Ended { outcome, .. } => return ended(outcome),
    };
    (text, None)
}

fn ended(outcome: DurableOutcome) -> (String, Option<String>) {
    let text = match outcome {
        DurableOutcome::Done(Outcome::Succeeded(output)) => {
            return ("succeeded".to_owned(), Some(output));
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
        DurableOutcome::Lost(lost) => format!("lost: {}", losses(&lost)),
        DurableOutcome::Refused { reason } => format!("refused: {reason}"),
    };
    (text, None)
}

fn losses(lost: &[LostAttempt]) -> String {
    match lost.last() {
        Some(last) => format!(
            "all {} attempts were lost with their workers, the last one as {}",
            lost.len(),
            last.reason
        ),
        None => "its workers were lost".to_owned(),
    }
}

fn text(details: &Details) -> String {
    let Details {
        job,
        status,
        output,
        key,
        urgent,
        cache_hint,
        runs,
    } = details;
    let mut rows = vec![
        ("job", job.id.clone()),
        ("state", job.state.clone()),
        ("status", printable(status)),
        ("client", printable(&job.client)),
        ("pool", printable(&job.pool)),
        ("kind", kind(job)),
        (
            "submitted",
            format!("{} ago", compact(job.submitted_ago_seconds)),
        ),
    ];
    let optional = [
        ("output", output.as_deref().map(printable)),
        ("labels", Some(labels(job))),
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
    lines.collect::<String>() + &attempts_text(runs)
}

/// Returns the kind of a job, and whether it is attached.
fn kind(job: &Job) -> String {
    let attached = if job.attached { ", attached" } else { "" };
    printable(&job.kind) + attached
}

fn attempts_text(runs: &[Attempt]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let heading = ["  ATTEMPT", "WORKER", "STARTED", "RAN", "LOG", "RESULT"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(|run| {
        let ended = run.end.as_ref().map_or(0.0, |end| end.ended_ago_seconds);
        vec![
            format!("  {}", run.number),
            printable(&run.worker),
            format!("{} ago", compact(run.started_ago_seconds)),
            compact(run.started_ago_seconds - ended),
            visible::Size(run.log_bytes).to_string(),
            result(run.end.as_ref()),
        ]
    }));
    format!("attempts:\n{}", table(&rows))
}

fn result(end: Option<&AttemptEnd>) -> String {
    match end {
        None => "-".to_owned(),
        // A job has its output above.
        Some(end) if end.result == "succeeded" || end.detail.is_empty() => printable(&end.result),
        Some(end) => format!("{}: {}", printable(&end.result), printable(&end.detail)),
    }
}
