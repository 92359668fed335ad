//! What became of the jobs with a label, as an Atom feed.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use cluster_api::JobState;
use jiff::{SignedDuration, Timestamp};

use super::fill::require;
use super::label_address::LabelRequest;
use super::reply::{self, Reply};
use crate::cluster::FoundJob;
use crate::log::escaped;

/// How many jobs a feed has.
const ENTRIES: u32 = 50;

/// Returns the feed of a label: `/feed/branch=main.atom`.
pub(super) async fn of_label(request: LabelRequest, headers: HeaderMap) -> Reply {
    require(request.visitor.may_list_jobs())?;
    let jobs = request.last(ENTRIES).await?;
    let base = request.site.origin(&headers);
    let feed = feed(&request.label, &base, &jobs, Timestamp::now());
    Ok(reply::typed(feed, "application/atom+xml; charset=utf-8"))
}

fn feed(label: &str, base: &str, jobs: &[FoundJob], now: Timestamp) -> String {
    let shown = |text: &str| escaped(&visible::Shown(text).to_string());
    let ended = jobs
        .iter()
        .filter(|job| !matches!(job.summary.state, JobState::Queued | JobState::Running));
    let ended: Vec<(&FoundJob, Timestamp)> = ended
        .map(|job| {
            let ago = SignedDuration::try_from(job.summary.changed_ago).unwrap_or_default();
            (job, now.checked_sub(ago).unwrap_or(now))
        })
        .collect();
    let updated = ended.iter().map(|(_, time)| *time).max().unwrap_or(now);
    let (label, base) = (shown(label), escaped(base));
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <id>urn:ocluster:label:{label}</id>\n<title>{label}</title>\n<updated>{updated:.0}</updated>\n\
         <author><name>OCluster</name></author>\n"
    );
    for (job, time) in ended {
        let summary = &job.summary;
        let (id, state) = (escaped(&summary.id), summary.state);
        let value = |name: &str| {
            let label = summary.labels.iter().find(|label| label.name == name);
            label.map(|label| shown(&label.value))
        };
        let what = [value("repo"), value("branch"), value("commit")];
        let what: Vec<String> = what.into_iter().flatten().collect();
        let what = match what.is_empty() {
            true => id.clone(),
            false => what.join(" "),
        };
        let pool = shown(&summary.pool);
        // Writing to a string does not fail.
        write!(
            feed,
            "<entry>\n<id>urn:ocluster:job:{id}</id>\n<title>{state}: {what}</title>\n\
             <updated>{time:.0}</updated>\n<link href=\"{base}/job/{id}\"/>\n\
             <summary>{state} in pool {pool}</summary>\n</entry>\n"
        )
        .unwrap_or_default();
    }
    feed.push_str("</feed>\n");
    feed
}
