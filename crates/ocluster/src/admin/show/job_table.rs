//! Tables of running jobs.

use cli::human::table;
use cli::quote::printable;
use visible::CompactElapsed;

use crate::json::pools::Job;

/// Returns a table of rows that end with the columns of [`job_row`]. `first` are the headings of the columns before
/// those.
pub(super) fn job_table(first: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if !rows.is_empty() {
        let columns = first.iter().chain(&["CLIENT", "FOR", "CACHE HINT"]);
        rows.insert(0, columns.map(|column| (*column).to_owned()).collect());
    }
    table(&rows)
}

/// Returns the columns of a job.
pub(super) fn job_row(indent: &str, job: &Job) -> Vec<String> {
    let hint = match job.cache_hint.as_str() {
        "" => "(no cache hint)".to_owned(),
        hint => printable(hint),
    };
    let urgent = if job.urgent { " (urgent)" } else { "" };
    vec![
        format!("{indent}{}", job.ticket),
        printable(&job.client),
        CompactElapsed::from_seconds(job.running_seconds).to_string(),
        format!("{hint}{urgent}"),
    ]
}
