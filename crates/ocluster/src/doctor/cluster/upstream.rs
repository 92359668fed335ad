//! Judges what upstream's scheduler reports about a pool.

use cluster_api::WorkerInfo;
use cluster_json::findings::Commands;

use crate::doctor::check::Check;

/// Judges a pool and each of its workers.
pub(super) fn judge(commands: Commands<'_>, workers: &[WorkerInfo]) -> Vec<Check> {
    let name = format!("pool {}", commands.pool);
    let active = workers
        .iter()
        .filter(|worker| worker.active && worker.connected)
        .count();
    let found = format!(
        "{active} of {} workers take jobs (this scheduler reports no more)",
        workers.len()
    );
    let pool = if active == 0 {
        Check::warning(
            name,
            found,
            "start a worker, or unpause one that is connected",
        )
    } else {
        Check::fit(name, found)
    };
    let mut checks = vec![pool];
    for worker in workers {
        let name = format!("worker {} of {}", worker.name, commands.pool);
        if !worker.connected {
            let forget = commands.line("forget", &worker.name);
            checks.push(Check::warning(
                name,
                "not connected",
                format!("start it, or if it is gone for good: {forget}"),
            ));
        } else if !worker.active {
            checks.push(Check::warning(
                name,
                "paused",
                commands.line("unpause", &worker.name),
            ));
        }
    }
    checks
}
