//! What operators call a job: its id in the history, or its pool and its number there.

use std::time::Duration;

use cluster_api::RpcError;

use crate::admin::service::{About, Service};
use cli::error::CommandError;
use cli::quote::printable;

/// How often a job that was just submitted is looked for in the history, where it is within a second.
const TRIES: u32 = 5;

/// How long to wait before the next time.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// Returns the id of a job, which is given by that, by the beginning of that, or as POOL/NUMBER.
pub(in crate::admin) async fn id_of(
    service: &Service,
    name: String,
) -> Result<String, CommandError> {
    // No id has a slash. The name of a pool may have one.
    let Some((pool, number)) = name.rsplit_once('/') else {
        return Ok(name);
    };
    let Ok(ticket) = number.parse() else {
        return Err(CommandError::usage(format_args!(
            "argument JOB: invalid value '{}', expected an id, or a pool and a number such as linux/7",
            printable(&name)
        )));
    };
    let asked = service.pool(pool).job_ids(&[ticket]).await;
    match asked {
        Ok(ids) => match ids.into_iter().next().flatten() {
            Some(id) => Ok(in_history(service, id).await),
            None => Err(no_id(service, pool, ticket).await),
        },
        Err(error) => Err(failed(service, "PoolExplanations.jobIds", pool, error).await),
    }
}

/// Waits until the history has a job, but not for long.
async fn in_history(service: &Service, id: String) -> String {
    for _ in 0..TRIES {
        // Who asks next gets the error.
        if service.admin().job_details(&id).await.is_ok() {
            break;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
    id
}

/// Returns the error about a job without an id, with what is known of it.
async fn no_id(service: &Service, pool: &str, ticket: u64) -> CommandError {
    match service.pool(pool).explain_job(ticket).await {
        Ok(explanation) => CommandError::failed(format_args!(
            "cannot find job {ticket} of pool \"{}\" in the history: it is not kept there, as too many jobs were \
             submitted at once",
            printable(pool)
        ))
        .hint(format_args!("it is {}", printable(&explanation.text))),
        Err(error) => {
            let failed = failed(service, "PoolExplanations.explainJob", pool, error).await;
            failed.hint("'ocluster-admin jobs CAP' lists the jobs that have ended, with their ids")
        }
    }
}

async fn failed(service: &Service, method: &str, pool: &str, error: RpcError) -> CommandError {
    service.failed(method, About::pool(pool), error).await
}
