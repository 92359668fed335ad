//! `jobs`: lists the durable jobs of a client.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::builder::RangedI64ValueParser;
use cluster_api::{JobQuery, JobState, JobSummary, Label};
use visible::CompactElapsed;

use super::access::Access;
use crate::json::kept_jobs::{KeptJob, KeptJobs};
use crate::labels::{label, labels};
use crate::pages;
use cli::appearance::has_colour;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::human::table;
use cli::output::Format;
use cli::print::print_bytes;
use cli::quantities::age;
use cli::quote::printable;

/// List your jobs that the scheduler keeps, the latest first
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client jobs [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Only jobs with this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<Label>,
    /// Only jobs in this state: queued, running, succeeded, failed, cancelled, timed-out or lost; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = state, value_delimiter = ',')]
    states: Vec<JobState>,
    /// Only jobs that were submitted within this time, such as 30m, 12h or 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    since: Option<Duration>,
    /// Upper limit for the number of jobs
    #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = limit())]
    limit: u32,
}

fn limit() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=100_000)
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (access, positionals) = Access::from_args(connect, args.positionals).await?;
    positionals.finish()?;
    let query = JobQuery {
        labels: args.labels,
        states: args.states,
        submitted_within: args.since,
        before: None,
        at_most: None,
    };
    let fetch = async |before, at_most| {
        let query = JobQuery {
            before,
            at_most: Some(at_most),
            ..query.clone()
        };
        page(&access, &query).await
    };
    let listed = pages::list(args.limit, fetch).await?;
    let jobs = &listed.entries;
    match format {
        Format::Text => print_bytes(text(jobs).as_bytes())?,
        Format::Json => format.print(String::new, || KeptJobs {
            jobs: jobs.iter().map(KeptJob::of).collect(),
            more: listed.are_more,
        })?,
    }
    pages::print_rest(format, jobs.len(), listed.are_more, "jobs");
    Ok(())
}

/// Returns a page of jobs, and where the next one begins.
pub(super) async fn page(
    access: &Access,
    query: &JobQuery,
) -> Result<(Vec<JobSummary>, Option<u64>), CommandError> {
    match access.cluster().list_durable(query).await {
        Ok(page) => Ok((page.jobs, page.next)),
        Err(error) => Err(access.failed(error).await),
    }
}

fn state(text: &str) -> Result<JobState, String> {
    let states = [
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::TimedOut,
        JobState::Lost,
    ];
    let found = states.into_iter().find(|state| state.to_string() == text);
    found.ok_or_else(|| {
        let names = states.map(|state| state.to_string());
        format!("expected one of {}", names.join(", "))
    })
}

/// Where the states are in the table: after an id and two blanks.
const STATE_COLUMN: usize = 14;

/// The width that a table for a terminal has.
const WIDTH: usize = 80;

fn text(jobs: &[JobSummary]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let headings = ["JOB", "STATE", "AGE", "FOR", "POOL", "WORKER", "LABELS"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(row));
    let width = width();
    let colour = has_colour(&io::stdout());
    let table = table(&rows);
    let states = std::iter::once(None).chain(jobs.iter().map(|job| Some(job.state)));
    let lines = table.lines().zip(states).map(|(line, state)| {
        let line = match width {
            Some(width) => cut(line, width),
            None => line.to_owned(),
        };
        match state {
            Some(state) if colour => coloured(&line, state) + "\n",
            _ => line + "\n",
        }
    });
    lines.collect()
}

fn row(job: &JobSummary) -> Vec<String> {
    let worker = job
        .worker
        .as_deref()
        .map_or_else(|| "-".to_owned(), printable);
    vec![
        printable(&job.id),
        job.state.to_string(),
        CompactElapsed(job.submitted_ago).to_string(),
        CompactElapsed(job.changed_ago).to_string(),
        printable(&job.pool),
        worker,
        labels(&job.labels),
    ]
}

/// Returns how wide the terminal is; `None` if the output goes elsewhere.
fn width() -> Option<usize> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        size.map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
            .unwrap_or(WIDTH)
    })
}

/// Returns a line that is not wider than the terminal.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let shown: String = line.chars().take(width.saturating_sub(1)).collect();
    shown + "…"
}

/// Returns a line of the table with its state in a colour.
fn coloured(line: &str, state: JobState) -> String {
    let word = state.to_string();
    let colour = match state {
        JobState::Queued => return line.to_owned(),
        JobState::Running => 36,
        JobState::Succeeded => 32,
        JobState::Failed | JobState::TimedOut | JobState::Lost => 31,
        JobState::Cancelled => 33,
    };
    match (
        line.get(..STATE_COLUMN),
        line.get(STATE_COLUMN + word.len()..),
    ) {
        (Some(before), Some(after)) => format!("{before}\x1b[{colour}m{word}\x1b[0m{after}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_its_state_has_a_colour() {
        assert_eq!(cut("JOB  STATE", 10), "JOB  STATE");
        assert_eq!(cut("JOB  STATE", 9), "JOB  STA…");
        assert_eq!(
            coloured("28t5cy4tqkff  lost  1s", JobState::Lost),
            "28t5cy4tqkff  \x1b[31mlost\x1b[0m  1s"
        );
        assert_eq!(coloured("28t5", JobState::Lost), "28t5");
    }

    #[test]
    fn states_are_called_as_they_are_shown() {
        assert_eq!(state("timed-out"), Ok(JobState::TimedOut));
        assert!(
            state("ended")
                .unwrap_err()
                .starts_with("expected one of queued, running")
        );
    }
}
