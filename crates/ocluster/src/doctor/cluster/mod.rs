//! Checks of a running cluster: its workers, their responsiveness, and the queue.

mod pool;
mod upstream;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use cluster_api::{Admin, RpcError, RpcErrorKind};
use cluster_json::findings::Commands;

use super::cap_files::judge_file;
use super::check::Check;
use super::schedulers::Schedulers;
use cli::capability_args::AlsoArgs;

/// The time limit for an answer of the scheduler, which has it in memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the cluster whose `admin.cap` is at `cap`.
pub(super) async fn checks(cap: &Path, also: &AlsoArgs) -> Vec<Check> {
    let name = format!("cap file {}", cap.display());
    let file = judge_file(&name, cap, cap.metadata());
    let Ok(target) = vat::cap_file::load(cap) else {
        // The check of the file reports the error.
        return super::cap_files::checks(cap, also).await;
    };
    let schedulers = Schedulers::dial(&target, also).await;
    let mut checks = vec![file];
    checks.extend(schedulers.judge("scheduler"));
    let Some(session) = schedulers.leader() else {
        return checks;
    };
    let admin = Admin::from_client(session.bootstrap());
    match within(admin.pools()).await {
        Ok(pools) => {
            let each = pools.iter().map(|pool| check_pool(&admin, pool, cap));
            checks.extend(futures::future::join_all(each).await.concat());
        }
        Err(error) => checks.push(Check::problem(
            "admin",
            format!("cannot list pools: {error}"),
            "use the scheduler's admin.cap",
        )),
    }
    checks
}

async fn within<T>(answer: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
    tokio::time::timeout(TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(RpcError::failed("no answer within 10 s")))
}

async fn check_pool(admin: &Admin, name: &str, cap: &Path) -> Vec<Check> {
    let pool = admin.pool(name);
    let cap = cap.display().to_string();
    let commands = Commands {
        cap: &cap,
        pool: name,
    };
    match within(pool.details()).await {
        Ok(details) => pool::judge(commands, &details),
        // Upstream's scheduler.
        Err(error) if error.kind == RpcErrorKind::Unimplemented => {
            match within(pool.workers()).await {
                Ok(workers) => upstream::judge(commands, &workers),
                Err(error) => vec![unanswered(name, &error)],
            }
        }
        Err(error) => vec![unanswered(name, &error)],
    }
}

fn unanswered(pool: &str, error: &RpcError) -> Check {
    Check::problem(
        format!("pool {pool}"),
        format!("cannot read the state: {error}"),
        "see its log",
    )
}
