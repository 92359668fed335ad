//! `status`: shows a durable job.

use std::ffi::OsString;
use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableStage, Explanation,
};
use cluster_client::{DurableError, DurableJob};
use visible::CompactElapsed;

use super::access::Access;
use crate::columns::for_stdout;
use crate::json::kept_jobs::DescribedJob;
use crate::labels::labels;
use crate::timeline::{self, AttemptPhases, MAX_ATTEMPTS};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::quote::printable;
use cluster_json::outcome;

/// Where the values begin, in columns.
const INDENT: usize = 13;

/// Show a job that the scheduler keeps
///
/// The job is given by its id, or by the beginning of its id. It is left out if the cap file is that of a job (share).
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client status [OPTIONS] [CAP] [JOB]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (access, mut positionals) = Access::from_args(connect, args.positionals).await?;
    let id = positionals.optional("JOB")?;
    positionals.finish()?;
    let job = access.observe(id.as_deref()).await?;
    let details = match job.describe().await {
        Ok(details) => details,
        Err(error) => return Err(access.failed(error).await),
    };
    let explanation = match job.explanation().await {
        Ok(explanation) => explanation,
        Err(error) => return Err(access.failed(error).await),
    };
    let explanation = explanation.as_ref();
    let phases = match phases(&job, &details.attempts).await {
        Ok(phases) => phases,
        Err(error) => return Err(access.failed(error).await),
    };
    format.print(
        || for_stdout(text(&details, explanation, &phases), INDENT),
        || {
            let described = DescribedJob::of(&details).explained(explanation);
            phases
                .iter()
                .fold(described, |described, (number, phases)| {
                    described.with_phases(*number, phases)
                })
        },
    )
}

/// Returns the phases of the latest attempts; none if the scheduler does not keep them.
async fn phases(
    job: &DurableJob,
    attempts: &[DurableAttempt],
) -> Result<AttemptPhases, DurableError> {
    let mut all = AttemptPhases::new();
    for DurableAttempt { number, .. } in attempts.iter().rev().take(MAX_ATTEMPTS) {
        match job.phases(*number).await {
            Ok(phases) => drop(all.insert(*number, phases)),
            Err(DurableError::Unsupported) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn text(
    details: &DurableDetails,
    explanation: Option<&Explanation>,
    phases: &AttemptPhases,
) -> String {
    let DurableDetails {
        summary,
        status,
        key,
        urgent,
        attempts,
        retryable,
    } = details;
    let mut text = format!(
        "Job {}: {}\n",
        printable(&summary.id),
        outcome::explained_status(&status.stage, explanation)
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<11}{value}\n"));
        }
    };
    let urgent = if *urgent { " (urgent)" } else { "" };
    line("pool", format!("{}{urgent}", printable(&summary.pool)));
    line("kind", printable(&summary.kind));
    line("labels", labels(&summary.labels));
    // Random keys are of no interest to people.
    let key = key.as_deref().filter(|key| !key.starts_with("random-"));
    line("key", key.map(printable).unwrap_or_default());
    line("submitted", ago(summary.submitted_ago));
    if let DurableStage::Ended { outcome, attempt } = &status.stage {
        line("ended", ago(summary.changed_ago));
        if let Ok(output) = outcome::result(*attempt, outcome, None) {
            line("result", printable(&output));
        }
    }
    for attempt in attempts {
        line(&format!("attempt {}", attempt.number), described(attempt));
        let phases = phases.get(&attempt.number).into_iter();
        for phase in phases.flat_map(|phases| timeline::lines(phases, attempt)) {
            line("", phase);
        }
    }
    if *retryable {
        line("retry", "possible".to_owned());
    }
    text
}

fn ago(time: Duration) -> String {
    format!("{} ago", CompactElapsed(time))
}

fn described(attempt: &DurableAttempt) -> String {
    let worker = printable(&attempt.worker);
    let log = match attempt.log_length {
        0 => String::new(),
        length => format!(", log {}", visible::Size(length)),
    };
    match &attempt.end {
        None => {
            format!(
                "on {worker} for {}{log}",
                CompactElapsed(attempt.started_ago)
            )
        }
        Some(DurableAttemptEnd {
            after,
            result: AttemptResult::Lost,
            detail,
        }) => format!(
            "on {worker}, lost after {}: {}{log}",
            CompactElapsed(*after),
            printable(detail)
        ),
        Some(DurableAttemptEnd { after, .. }) => {
            format!("on {worker}, took {}{log}", CompactElapsed(*after))
        }
    }
}
