//! `jobs`: lists the durable jobs of all clients.

use std::ffi::OsString;

use super::filter::FilterArgs;
use super::{compact, job, labels};
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::json::jobs::{Job, Jobs};
use cli::error::CommandError;
use cli::human::table;
use cli::print::print_error;
use cli::quote::printable;

/// How many jobs are asked for at a time.
const PAGE: u32 = 500;

/// List durable jobs of all clients, the latest first
///
/// Durable jobs are those that outlive the connections of their clients. They are kept after their end (--keep-jobs of
/// the scheduler). Other jobs are shown by show, as long as they have not ended.
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
    let jobs = fetch(&service, &args.filter, args.limit as usize).await?;
    if jobs.jobs.is_empty() {
        print_error("No jobs.\n");
    }
    common.format().print(|| text(&jobs), || &jobs)
}

/// Asks for pages until there are enough jobs, or no more.
async fn fetch(service: &Service, filter: &FilterArgs, limit: usize) -> Result<Jobs, CommandError> {
    let mut jobs = Vec::new();
    let mut before = None;
    loop {
        let missing = u32::try_from(limit - jobs.len()).unwrap_or(PAGE);
        let query = filter.query(before, missing.min(PAGE));
        let page = match service.admin().list_jobs(&query).await {
            Ok(page) => page,
            Err(error) => {
                let about = About::default();
                return Err(service.failed("JobsAdmin.list", about, error).await);
            }
        };
        jobs.extend(page.jobs.into_iter().take(limit - jobs.len()).map(job));
        // It gets smaller with each page. A scheduler for which it does not would be asked for ever.
        let next = page
            .next
            .filter(|next| before.is_none_or(|before| *next < before));
        if next.is_none() || jobs.len() == limit {
            return Ok(Jobs {
                jobs,
                more: next.is_some(),
            });
        }
        before = next;
    }
}

fn text(jobs: &Jobs) -> String {
    if jobs.jobs.is_empty() {
        return String::new();
    }
    let heading = ["ID", "STATE", "AGE", "CLIENT", "POOL", "WORKER", "LABELS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(jobs.jobs.iter().map(row));
    let more = match jobs.more {
        true => "There are more; see --limit.\n",
        false => "",
    };
    table(&rows) + more
}

fn row(job: &Job) -> Vec<String> {
    vec![
        job.id.clone(),
        job.state.clone(),
        compact(job.submitted_ago_seconds),
        printable(&job.client),
        printable(&job.pool),
        job.worker.as_deref().map_or("-".to_owned(), printable),
        labels(job),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_list_fits_a_terminal() {
        let job = |id: &str, state: &str, worker: Option<&str>| Job {
            id: id.to_owned(),
            client: "alice".to_owned(),
            pool: "linux-x86_64".to_owned(),
            kind: "docker".to_owned(),
            labels: [("branch".to_owned(), "ma\u{1b}in".to_owned())].into(),
            state: state.to_owned(),
            submitted_ago_seconds: 302.0,
            changed_ago_seconds: 10.0,
            attempts: 1,
            worker: worker.map(str::to_owned),
            attached: false,
        };
        let jobs = Jobs {
            jobs: vec![
                job("28t5cy4tqkff", "queued", None),
                job("0vd8f3k2m9xw", "succeeded", Some("w1")),
            ],
            more: true,
        };
        expect![[r#"
            ID            STATE      AGE    CLIENT  POOL          WORKER  LABELS
            28t5cy4tqkff  queued     5m02s  alice   linux-x86_64  -       branch=ma�in
            0vd8f3k2m9xw  succeeded  5m02s  alice   linux-x86_64  w1      branch=ma�in
            There are more; see --limit.
        "#]]
        .assert_eq(&text(&jobs));
    }
}
