//! What the page of a worker has besides the state of its pool.

use std::sync::Arc;

use cluster_api::{AdminJobQuery, JobQuery};

use crate::access::Visitor;
use crate::cluster::{FoundJob, JobsQuery, PoolState};
use crate::server::reply::Refusal;
use crate::server::site::Site;
use crate::server::worker_parts::WorkerParts;

/// How many of the last jobs of a worker are shown.
const JOBS: u32 = 50;

/// Returns what the page of a worker has besides the state of its pool.
pub(super) async fn get(
    site: &Site,
    state: &Arc<PoolState>,
    worker: &str,
    visitor: &Visitor,
) -> Result<Arc<WorkerParts>, Refusal> {
    let key = (format!("{}/{worker}", state.name), visitor.is_admin());
    // An error means that its holder panicked: it is asked for again then.
    let known = site.worker_parts.lock().ok();
    if let Some(known) = known.and_then(|known| known.get(&key, state)) {
        return Ok(known);
    }
    let (pool, name) = (&state.name, worker.to_owned());
    let jobs = async {
        match visitor.is_admin() {
            true => Ok(Some(last_jobs(site, pool, worker).await?)),
            false => Ok(None),
        }
    };
    let cached = async {
        match visitor.may_see_details() {
            true => Ok(Some(site.cluster.cached(pool.clone(), name.clone()).await?)),
            false => Ok(None),
        }
    };
    let past =
        async { Ok::<_, Refusal>(site.cluster.worker_past(pool.clone(), name.clone()).await?) };
    let (jobs, cached, past) = futures::try_join!(jobs, cached, past)?;
    let parts = Arc::new(WorkerParts {
        state: Arc::clone(state),
        jobs,
        cached,
        past,
    });
    if let Ok(mut known) = site.worker_parts.lock() {
        known.put(key, Arc::clone(&parts));
    }
    Ok(parts)
}

async fn last_jobs(site: &Site, pool: &str, worker: &str) -> Result<Vec<FoundJob>, Refusal> {
    let query = JobsQuery {
        admin: AdminJobQuery {
            jobs: JobQuery {
                at_most: Some(JOBS),
                ..JobQuery::default()
            },
            pool: Some(pool.to_owned()),
            client: None,
        },
        worker: Some(worker.to_owned()),
        ..JobsQuery::default()
    };
    Ok(site.cluster.jobs(query).await?.jobs)
}
