//! Judges what our scheduler reports about a pool.

use cluster_api::PoolDetails;
use cluster_json::findings::{self, Commands, Finding, Severity};

use crate::doctor::check::Check;

/// Judges a pool and each of its workers.
pub(super) fn judge(commands: Commands<'_>, details: &PoolDetails) -> Vec<Check> {
    let findings = findings::of_pool(commands, details, None).into_iter();
    findings
        .map(|finding| check(commands.pool, finding))
        .collect()
}

fn check(pool: &str, finding: Finding) -> Check {
    let Finding {
        worker,
        severity,
        found,
        advice,
    } = finding;
    let name = match worker {
        Some(worker) => format!("worker {worker} of {pool}"),
        None => format!("pool {pool}"),
    };
    let advice = advice.unwrap_or_default();
    match severity {
        Severity::Fine => Check::fit(name, found),
        Severity::Warning => Check::warning(name, found, advice),
        Severity::Problem => Check::problem(name, found, advice),
    }
}
