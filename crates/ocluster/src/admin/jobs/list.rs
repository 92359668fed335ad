//! `jobs`: lists the jobs of all clients.

use std::ffi::OsString;

use cluster_api::ListedJob;
use visible::CompactElapsed;

use super::filter::FilterArgs;
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::json::jobs::{Job, Jobs};
use crate::labels::labels;
use crate::pages;
use cli::error::CommandError;
use cli::human::table;
use cli::quote::printable;

/// List jobs of all clients, the latest first
///
/// Jobs are kept for some time after their end (--keep-jobs of the scheduler). Durable jobs outlive the connections of
/// their clients; others, which job calls attached, end with them, and are missing if there were too many.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin jobs [OPTIONS] [CAP]")]
pub(in crate::admin) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Limit of the jobs that are listed
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(in crate::admin) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = common.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let fetch = async |before, at_most| {
        let query = args.filter.query(before, at_most);
        match service.admin().list_jobs(&query).await {
            Ok(page) => Ok((page.jobs, page.next)),
            Err(error) => {
                let about = About::default();
                Err(service.failed("JobsAdmin.list", about, error).await)
            }
        }
    };
    let listed = pages::list(args.limit, fetch).await?;
    let jobs = &listed.entries;
    common.format().print(
        || text(jobs),
        || Jobs {
            jobs: jobs.iter().map(Job::of).collect(),
            more: listed.are_more,
        },
    )?;
    pages::print_rest(common.format(), jobs.len(), listed.are_more, "jobs");
    Ok(())
}

fn text(jobs: &[ListedJob]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let heading = ["ID", "STATE", "AGE", "CLIENT", "POOL", "WORKER", "LABELS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(row));
    table(&rows)
}

fn row(ListedJob { summary, client }: &ListedJob) -> Vec<String> {
    let worker = summary.worker.as_deref();
    vec![
        printable(&summary.id),
        summary.state.to_string(),
        CompactElapsed(summary.submitted_ago).to_string(),
        printable(client),
        printable(&summary.pool),
        worker.map_or("-".to_owned(), printable),
        labels(&summary.labels),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cluster_api::{JobState, JobSummary, Label};
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_list_fits_a_terminal() {
        let job = |id: &str, state: JobState, worker: Option<&str>| ListedJob {
            summary: JobSummary {
                id: id.to_owned(),
                pool: "linux-x86_64".to_owned(),
                kind: "docker".to_owned(),
                labels: vec![Label {
                    name: "branch".to_owned(),
                    value: "ma\u{1b}in".to_owned(),
                }],
                state,
                submitted_ago: Duration::from_secs(302),
                changed_ago: Duration::from_secs(10),
                attempts: 1,
                worker: worker.map(str::to_owned),
                attached: false,
            },
            client: "alice".to_owned(),
        };
        let jobs = [
            job("28t5cy4tqkff", JobState::Queued, None),
            job("0vd8f3k2m9xw", JobState::Succeeded, Some("w1")),
        ];
        expect![[r#"
            ID            STATE      AGE    CLIENT  POOL          WORKER  LABELS
            28t5cy4tqkff  queued     5m02s  alice   linux-x86_64  -       branch=ma�in
            0vd8f3k2m9xw  succeeded  5m02s  alice   linux-x86_64  w1      branch=ma�in
        "#]]
        .assert_eq(&text(&jobs));
    }
}
