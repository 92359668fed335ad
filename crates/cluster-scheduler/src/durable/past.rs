//! What pools learn at the start, from the history of jobs.

use std::collections::BTreeMap;

use job_store::FinishedAttempt;
use pool::{CacheHint, ClientId, PastJob};

use super::warmth::Warmth;

/// How many of the latest jobs are looked at.
pub(super) const MAX_JOBS: u32 = 10_000;

/// Returns the jobs of each pool, from the attempts in the order in which they started.
///
/// [`Warmth`] tells which were warm. The pool, which knows more of caches, is not asked, as that was another process.
pub(super) fn by_pool(attempts: Vec<FinishedAttempt>) -> BTreeMap<String, Vec<PastJob>> {
    let mut pools: BTreeMap<String, Vec<PastJob>> = BTreeMap::new();
    let mut warmth = Warmth::default();
    for attempt in attempts {
        let FinishedAttempt {
            pool,
            client,
            hint,
            worker,
            started,
            ended,
        } = attempt;
        let is_warm = warmth.ran(&pool, &worker, &hint);
        // One that was renamed by hand is of no use.
        let Ok(client) = ClientId::new(&client) else {
            continue;
        };
        let job = PastJob {
            client,
            is_warm,
            hint: CacheHint::new(&hint),
            took: ended.since(started),
        };
        pools.entry(pool).or_default().push(job);
    }
    pools
}

#[cfg(test)]
mod tests {
    use job_store::FinishedAttempt;
    use pool::Time;

    use super::by_pool;

    #[test]
    fn the_first_job_of_a_hint_on_a_worker_is_cold() {
        let attempt = |pool: &str, worker: &str, hint: &str| FinishedAttempt {
            pool: pool.to_owned(),
            client: "alice".to_owned(),
            hint: hint.to_owned(),
            worker: worker.to_owned(),
            started: Time::from_secs(10),
            ended: Time::from_secs(70),
        };
        let jobs = by_pool(vec![
            attempt("a", "w1", "x"),
            attempt("a", "w1", "x"),
            attempt("a", "w2", "x"),
            attempt("b", "w1", "x"),
            attempt("a", "w1", ""),
            attempt("a", "w1", ""),
        ]);
        let warm = |pool: &str| jobs[pool].iter().map(|job| job.is_warm).collect::<Vec<_>>();
        assert_eq!(warm("a"), [false, true, false, false, false]);
        assert_eq!(warm("b"), [false]);
        assert_eq!(jobs["b"][0].took.as_secs(), 60);
    }
}
