//! `job`: shows all that is known of a job.

use std::ffi::OsString;
use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableOutcome, DurableStage,
    JobDetails, JobSummary, Outcome,
};
use visible::CompactElapsed;

use super::job_name::id_of;
use super::known_job::{FailedCall, KnownJob};
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::columns::for_stdout;
use crate::json::jobs::JobDetails as Details;
use crate::labels::labels;
use crate::timeline::{self, AttemptPhases};
use cli::error::CommandError;
use cli::human::table;
use cli::quote::printable;
use cluster_json::outcome;

/// Where the values begin, in columns.
pub(crate) const INDENT: usize = 12;

/// Show a job: its state, its attempts and how it ended
///
/// A job is given by its id, which may be shortened while it is unique, or by its pool and its number there, such as
/// linux/7: show lists the numbers. What the job runs is not shown, as that may contain secrets.
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
    let id = id_of(&service, id).await?;
    let job = match KnownJob::ask(service.admin(), &id).await {
        Ok(job) => job,
        Err(FailedCall { method, error }) => {
            return Err(service.failed(method, About::default(), error).await);
        }
    };
    let shown = || for_stdout(text(&job), INDENT);
    common.format().print(shown, || json(&job))
}

fn json(job: &KnownJob) -> Details {
    let stage = &job.details.job.status.stage;
    let described = Details::of(&job.details).explained(stage, job.explanation.as_ref());
    let phases = job.phases.iter();
    phases.fold(described, |described, (number, phases)| {
        described.with_phases(*number, phases)
    })
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

/// Returns all that is known of a job, for people.
pub(crate) fn text(known: &KnownJob) -> String {
    let KnownJob {
        details,
        explanation,
        phases,
    } = known;
    let JobDetails {
        job,
        client,
        cache_hint,
    } = details;
    let DurableDetails {
        summary,
        status,
        key,
        urgent,
        attempts,
        retryable: _,
    } = job;
    let output = match &status.stage {
        DurableStage::Ended {
            outcome: DurableOutcome::Done(Outcome::Succeeded(output)),
            ..
        } => Some(printable(output)),
        _ => None,
    };
    // Random keys are of no interest to people.
    let chosen_key = key.as_deref().filter(|key| !key.starts_with("random-"));
    let mut rows = vec![
        ("job", printable(&summary.id)),
        ("state", summary.state.to_string()),
        (
            "status",
            outcome::explained_status(&status.stage, explanation.as_ref()),
        ),
        ("client", printable(client)),
        ("pool", printable(&summary.pool)),
        ("kind", kind(summary)),
        ("submitted", ago(summary.submitted_ago)),
    ];
    let optional = [
        ("output", output),
        ("labels", Some(labels(&summary.labels))),
        ("key", chosen_key.map(printable)),
        ("cache hint", Some(printable(cache_hint))),
        ("urgent", urgent.then(|| "yes".to_owned())),
    ];
    let given =
        |(name, value): (_, Option<String>)| Some((name, value.filter(|value| !value.is_empty())?));
    rows.extend(optional.into_iter().filter_map(given));
    let lines = rows
        .into_iter()
        .map(|(name, value)| format!("{:12}{value}\n", format!("{name}:")));
    lines.collect::<String>() + &attempts_text(attempts) + &phases_text(attempts, phases)
}

/// Returns the kind of a job, and whether it is attached.
fn kind(job: &JobSummary) -> String {
    let attached = if job.attached { ", attached" } else { "" };
    printable(&job.kind) + attached
}

fn ago(time: Duration) -> String {
    format!("{} ago", CompactElapsed(time))
}

fn attempts_text(attempts: &[DurableAttempt]) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let heading = ["  ATTEMPT", "WORKER", "STARTED", "RAN", "LOG", "RESULT"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(attempts.iter().map(|attempt| {
        let end = attempt.end.as_ref();
        let ran = end.map_or(attempt.started_ago, |end| end.after);
        vec![
            format!("  {}", attempt.number),
            printable(&attempt.worker),
            ago(attempt.started_ago),
            CompactElapsed(ran).to_string(),
            visible::Size(attempt.log_length).to_string(),
            result(end),
        ]
    }));
    format!("attempts:\n{}", table(&rows))
}

fn phases_text(attempts: &[DurableAttempt], phases: &AttemptPhases) -> String {
    let mut text = String::new();
    for attempt in attempts {
        let phases = phases.get(&attempt.number).into_iter();
        let lines: Vec<_> = phases
            .flat_map(|phases| timeline::lines(phases, attempt))
            .collect();
        if !lines.is_empty() {
            text += &format!("phases of attempt {}:\n", attempt.number);
        }
        for line in lines {
            text += &format!("  {line}\n");
        }
    }
    text
}

fn result(end: Option<&DurableAttemptEnd>) -> String {
    let Some(DurableAttemptEnd { result, detail, .. }) = end else {
        return "-".to_owned();
    };
    match result {
        AttemptResult::Unknown => "-".to_owned(),
        // A job has its output above.
        AttemptResult::Succeeded => result.to_string(),
        result if detail.is_empty() => result.to_string(),
        result => format!("{result}: {}", printable(detail)),
    }
}
