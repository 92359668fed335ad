//! What the scheduler keeps, and what it does not keep any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use cluster_api::{JobQuery, JobState, JobSummary, Label};

use crate::job::SeenJob;
use crate::plan::Plan;
use crate::site::{INTERVAL, Site};

/// How many jobs a page has: fewer than a round.
const PAGE: u32 = 2;

/// Waits until all jobs of a round have ended, also those whose clients got no answer, and checks that a key has made
/// no second one.
pub(crate) async fn everything_has_ended(site: &Site, plan: &Plan) -> Result<(), String> {
    let query = JobQuery {
        labels: vec![Label {
            name: "round".to_owned(),
            value: plan.number.to_string(),
        }],
        at_most: Some(PAGE),
        ..JobQuery::default()
    };
    let has_ended = |state| !matches!(state, JobState::Queued | JobState::Running);
    let jobs = loop {
        let jobs = all_pages(site, &query).await?;
        if jobs.iter().all(|job| has_ended(job.state)) {
            break jobs;
        }
        tokio::time::sleep(INTERVAL).await;
    };
    let with_key = plan.jobs.iter().filter(|job| job.has_key);
    let mut missing: BTreeSet<_> = with_key.map(|job| job.name.as_str()).collect();
    let is_keyed = |name: &str| plan.jobs.iter().any(|job| job.has_key && job.name == name);
    for label in jobs.iter().flat_map(|job| &job.labels) {
        if label.name == "name" && !missing.remove(&*label.value) && is_keyed(&label.value) {
            return Err(format!("there are two jobs with the key {}", label.value));
        }
    }
    match missing.first() {
        Some(name) => Err(format!("{name} is in no list")),
        None => Ok(()),
    }
}

/// Returns the jobs of all pages.
async fn all_pages(site: &Site, query: &JobQuery) -> Result<Vec<JobSummary>, String> {
    let mut query = query.clone();
    let mut jobs = Vec::new();
    loop {
        let page = site
            .user
            .client
            .call(async |client| Ok(client.list_durable(&query).await?));
        let page = page.await?;
        jobs.extend(page.jobs);
        match page.next {
            Some(next) => query.before = Some(next),
            None => return Ok(jobs),
        }
    }
}

/// Waits until an old job is removed, with its logs.
pub(crate) async fn is_removed(site: &Site, job: &SeenJob) -> Result<(), String> {
    let id = job.id();
    loop {
        let found = site.user.client.call(async |client| {
            client.find_durable(&id).await?;
            Ok(())
        });
        let is_known = match found.await {
            Ok(()) => true,
            Err(error) if error.contains("you have no job") => false,
            Err(error) => return Err(error),
        };
        if !is_known && log_files(site, &id).is_empty() {
            return Ok(());
        }
        job.doing.set(match is_known {
            true => "waiting for its removal",
            false => "waiting for the removal of its logs",
        });
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns the files that are kept of the logs of a job.
fn log_files(site: &Site, id: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(site.folder().join("state/job-logs"));
    let folders = folders.expect("the folder of logs").flatten();
    let files =
        folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let of_job = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(id))
    };
    files.map(|file| file.path()).filter(of_job).collect()
}
