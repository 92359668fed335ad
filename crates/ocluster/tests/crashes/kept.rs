//! What the scheduler keeps, and what it does not keep any more.

use std::collections::BTreeSet;

use cluster_api::{JobQuery, JobState, Label};

use crate::job::SeenJob;
use crate::plan::Plan;
use crate::site::{INTERVAL, Site};

/// Waits until all jobs of a round have ended, also those whose clients got no answer, and checks that a key has made
/// no second one.
pub(crate) async fn everything_has_ended(site: &Site, plan: &Plan) -> Result<(), String> {
    let query = JobQuery {
        labels: vec![Label {
            name: "round".to_owned(),
            value: plan.number.to_string(),
        }],
        ..JobQuery::default()
    };
    let has_ended = |state| !matches!(state, JobState::Queued | JobState::Running);
    let jobs = loop {
        let page = site
            .client
            .call(async |client| Ok(client.list_durable(&query).await?));
        let jobs = page.await?.jobs;
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

/// Waits until an old job is removed, with its logs.
pub(crate) async fn is_removed(site: &Site, job: &SeenJob) -> Result<(), String> {
    let id = job.id();
    loop {
        let found = site.client.call(async |client| {
            client.find_durable(&id).await?;
            Ok(())
        });
        let is_known = match found.await {
            Ok(()) => true,
            Err(error) if error.contains("you have no job") => false,
            Err(error) => return Err(error),
        };
        if !is_known && site.log_files(&id).is_empty() {
            return Ok(());
        }
        job.doing.set(match is_known {
            true => "waiting for its removal",
            false => "waiting for the removal of its logs",
        });
        tokio::time::sleep(INTERVAL).await;
    }
}
