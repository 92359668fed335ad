//! The state of a pool: all that our scheduler reports, or the little that any scheduler does.

use std::collections::{BTreeSet, HashMap};

use cluster_api::{
    Explanation, MAX_TICKETS, PoolAdmin, PoolExplanations, PoolOverview, RpcError, RpcErrorKind,
    WorkerInfo, WorkerNote,
};
use cluster_json::explanation::{JobExplanation, WorkerExplanation};
use visible::natural;

use crate::json::pools as json;
use cli::error::CommandError;

/// The state of a pool.
pub(crate) struct State {
    /// In natural order.
    pub(crate) workers: Vec<json::Worker>,
    /// The queued jobs; `None` if the scheduler cannot report them.
    pub(crate) queue: Option<json::Queue>,
    /// The state as text for people; `None` if the scheduler has only upstream's.
    pub(crate) text: Option<String>,
}

/// Why the state of a pool cannot be read: the failed method, and its error.
pub(crate) type Failure = (&'static str, RpcError);

/// Returns the state of a pool, with at most `most` jobs of each queue.
pub(crate) async fn pool(pool: &PoolAdmin, most: u32) -> Result<State, Failure> {
    let (details, overview, explanations) =
        futures::join!(pool.details(), pool.overview(most), pool.explain(most));
    let details = optional("PoolDetails.details", details)?;
    let overview = optional("PoolControl.overview", overview)?;
    let explanations = optional("PoolExplanations.explain", explanations)?;
    let mut state = match details {
        Some(details) => State {
            queue: Some(json::Queue::of(&details)),
            workers: details.workers.into_iter().map(json::Worker::of).collect(),
            text: None,
        },
        None => {
            let workers = pool.workers().await;
            let workers = workers.map_err(|error| ("PoolAdmin.workers", error))?;
            State {
                queue: None,
                workers: workers.into_iter().map(in_short).collect(),
                text: None,
            }
        }
    };
    if let Some(overview) = overview {
        add_overview(&mut state, overview);
    }
    if let Some(explanations) = explanations {
        add_explanations(&mut state, explanations);
        add_ids(&mut state, pool).await?;
    }
    state.workers.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(state)
}

/// Returns a scheduler's answer, or `None` if it does not have the method.
fn optional<T>(method: &'static str, answer: Result<T, RpcError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == RpcErrorKind::Unimplemented => Ok(None),
        Err(error) => Err((method, error)),
    }
}

fn add_overview(state: &mut State, overview: PoolOverview) {
    let PoolOverview {
        state: text,
        workers,
        queued,
        more,
    } = overview;
    let mut notes: HashMap<String, WorkerNote> = workers
        .into_iter()
        .map(|note| (note.name.clone(), note))
        .collect();
    for worker in &mut state.workers {
        if let Some(note) = notes.remove(&worker.name) {
            worker.version = note.version;
            worker.pause = note.pause.map(json::Pause::of);
        }
    }
    if let Some(queue) = &mut state.queue {
        queue.jobs = queued.into_iter().map(json::QueuedJob::of).collect();
        queue.more = more;
    }
    state.text = Some(text);
}

fn add_explanations(state: &mut State, explanations: PoolExplanations) {
    let PoolExplanations { jobs, workers } = explanations;
    let jobs: HashMap<u64, Explanation> = jobs.into_iter().collect();
    let mut workers: HashMap<String, Explanation> = workers.into_iter().collect();
    for job in state.queue.iter_mut().flat_map(|queue| &mut queue.jobs) {
        job.explanation = jobs.get(&job.ticket).map(JobExplanation::of);
    }
    for worker in &mut state.workers {
        let explanation = workers.remove(&worker.name);
        worker.explanation = explanation.map(WorkerExplanation::of);
    }
}

/// Adds the ids of the first queued jobs, as far as the scheduler reports them.
async fn add_ids(state: &mut State, pool: &PoolAdmin) -> Result<(), Failure> {
    let jobs = || state.queue.iter().flat_map(|queue| &queue.jobs);
    let tickets: Vec<u64> = jobs().take(MAX_TICKETS).map(|job| job.ticket).collect();
    if tickets.is_empty() {
        return Ok(());
    }
    let ids = pool.job_ids(&tickets).await;
    let ids = optional("PoolExplanations.jobIds", ids)?.unwrap_or_default();
    let jobs = state.queue.iter_mut().flat_map(|queue| &mut queue.jobs);
    for (job, id) in jobs.zip(ids) {
        job.id = id;
    }
    Ok(())
}

/// Returns those of the `known` workers that stay paused across reconnects. Upstream's scheduler has no other pause.
pub(super) async fn paused_for_good(
    pool: &PoolAdmin,
    known: &[WorkerInfo],
) -> Result<BTreeSet<String>, CommandError> {
    match pool.details().await {
        Ok(details) => {
            let paused = details.workers.into_iter().filter(|worker| worker.paused);
            Ok(paused.map(|worker| worker.name).collect())
        }
        Err(error) if error.kind == RpcErrorKind::Unimplemented => {
            let paused = known.iter().filter(|worker| !worker.active);
            Ok(paused.map(|worker| worker.name.clone()).collect())
        }
        Err(error) => Err(CommandError::failed(format_args!(
            "PoolDetails.details: {error}"
        ))),
    }
}

/// Returns the totals of a pool.
pub(super) async fn totals(name: String, admin: &PoolAdmin) -> Result<json::Totals, Failure> {
    Ok(totals_of(name, &pool(admin, 0).await?))
}

/// Returns the totals of a pool whose state is known.
pub(crate) fn totals_of(name: String, state: &State) -> json::Totals {
    let State { workers, queue, .. } = state;
    let connections = || {
        workers
            .iter()
            .filter_map(|worker| worker.connection.as_ref())
    };
    let inactive = |worker: &&json::Worker| {
        let reasons = worker
            .connection
            .as_ref()
            .map(|there| !there.inactive.is_empty());
        worker.connected && reasons.unwrap_or(worker.paused)
    };
    json::Totals {
        name,
        workers: workers.len(),
        connected: workers.iter().filter(|worker| worker.connected).count(),
        inactive: workers.iter().filter(inactive).count(),
        capacity: queue
            .as_ref()
            .map(|_| connections().map(|there| u64::from(there.capacity)).sum()),
        running: queue
            .as_ref()
            .map(|_| connections().map(|there| there.running.len()).sum()),
        queued: queue.as_ref().map(|queue| {
            let local: u64 = connections().map(|there| u64::from(there.queued)).sum();
            local.saturating_add(u64::from(queue.backlog))
        }),
        oldest_wait_seconds: queue.as_ref().map(|queue| queue.oldest_wait_seconds),
    }
}

fn in_short(worker: WorkerInfo) -> json::Worker {
    json::Worker {
        name: worker.name,
        connected: worker.connected,
        paused: !worker.active,
        registrations: None,
        version: None,
        pause: None,
        explanation: None,
        left_seconds: None,
        connection: None,
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use cluster_api::{PoolDetails, Progress, RpcError, ServePoolAdmin, Worker, WorkerDetails};

    use super::*;

    /// A pool of a scheduler that knows no more than upstream's.
    struct Upstream;

    impl ServePoolAdmin for Upstream {
        async fn show(self: Rc<Self>) -> Result<String, RpcError> {
            Ok(String::new())
        }

        async fn workers(self: Rc<Self>) -> Result<Vec<WorkerInfo>, RpcError> {
            let worker = |name: &str, active, connected| WorkerInfo {
                name: name.into(),
                active,
                connected,
            };
            Ok(vec![
                worker("w1", true, true),
                worker("w2", false, true),
                worker("w3", true, false),
                worker("w4", true, true),
            ])
        }

        async fn details(self: Rc<Self>) -> Result<PoolDetails, RpcError> {
            Err(unimplemented())
        }

        async fn worker_details(self: Rc<Self>, _: String) -> Result<WorkerDetails, RpcError> {
            Err(unimplemented())
        }

        async fn set_active(self: Rc<Self>, _: String, _: bool, _: bool) -> Result<(), RpcError> {
            Err(unimplemented())
        }

        async fn pause_worker(self: Rc<Self>, _: String, _: bool) -> Result<(), RpcError> {
            Err(unimplemented())
        }

        async fn worker(self: Rc<Self>, _: String) -> Result<Worker, RpcError> {
            Err(unimplemented())
        }

        async fn update(self: Rc<Self>, _: String, _: Option<Progress>) -> Result<(), RpcError> {
            Err(unimplemented())
        }

        async fn set_rate(self: Rc<Self>, _: String, _: f64) -> Result<(), RpcError> {
            Err(unimplemented())
        }

        async fn forget(self: Rc<Self>, _: String) -> Result<(), RpcError> {
            Err(unimplemented())
        }

        async fn drain(self: Rc<Self>, _: String, _: Option<Progress>) -> Result<(), RpcError> {
            Err(unimplemented())
        }
    }

    fn unimplemented() -> RpcError {
        RpcError::from(capnp::Error::unimplemented("Unknown interface".to_owned()))
    }

    #[test]
    fn totals_of_a_scheduler_without_details() {
        let totals = cli::runtime::block_on(async {
            let pool = PoolAdmin::serve(Rc::new(Upstream));
            let totals = totals("linux-x86_64".to_owned(), &pool).await;
            totals
                .map_err(|(method, error)| CommandError::failed(format_args!("{method}: {error}")))
        });
        let totals = serde_json::to_string_pretty(&totals.unwrap()).unwrap();
        expect_test::expect![[r#"
            {
              "name": "linux-x86_64",
              "workers": 4,
              "connected": 3,
              "inactive": 1,
              "capacity": null,
              "running": null,
              "queued": null,
              "oldest_wait_seconds": null
            }"#]]
        .assert_eq(&totals);
    }
}
