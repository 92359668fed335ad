//! How many workers a pool would need, for programs that start and stop machines.

use pool::{ByPriority, Stats};

/// Returns how many workers would run all jobs at once that run or wait, and those that are paused in addition, as they
/// run nothing; 0 if there is no job.
///
/// A worker counts with the average capacity of those that are connected, or with `last_capacity`, that of the latest
/// one, while none is.
pub(super) fn workers_wanted(stats: &Stats, last_capacity: u32) -> u64 {
    let queued = |ByPriority { high, low }: ByPriority| (high + low) as u64;
    let on_workers = stats.workers.iter();
    let on_workers = on_workers.map(|worker| worker.running as u64 + queued(worker.queued));
    let jobs = queued(stats.backlog) + on_workers.sum::<u64>();
    if jobs == 0 {
        return 0;
    }
    // One worker has `capacity / connected`, but not in whole numbers.
    let (capacity, connected) = match (stats.capacity, stats.connected as u64) {
        (0, _) | (_, 0) => (u64::from(last_capacity.max(1)), 1),
        known => known,
    };
    jobs.saturating_mul(connected).div_ceil(capacity) + stats.paused as u64
}

#[cfg(test)]
mod tests {
    use pool::{WorkerName, WorkerStats};

    use super::*;

    /// Returns a pool whose workers run that many jobs each, and in which that many wait.
    fn pool(running: &[usize], capacity: u64, waiting: usize) -> Stats {
        let worker = |running: &usize| WorkerStats {
            name: WorkerName::new("w").unwrap(),
            queued: ByPriority::default(),
            running: *running,
        };
        Stats {
            connected: running.len(),
            capacity,
            workers: running.iter().map(worker).collect(),
            backlog: ByPriority {
                high: 0,
                low: waiting,
            },
            ..Stats::default()
        }
    }

    #[test]
    fn as_many_as_would_run_all_jobs() {
        assert_eq!(workers_wanted(&pool(&[0, 0], 8, 0), 4), 0);
        assert_eq!(workers_wanted(&pool(&[1, 0], 8, 0), 4), 1);
        assert_eq!(workers_wanted(&pool(&[4, 4], 8, 0), 4), 2);
        assert_eq!(workers_wanted(&pool(&[4, 4], 8, 1), 4), 3);
        // Of different sizes: 3 on average.
        assert_eq!(workers_wanted(&pool(&[2, 4], 6, 3), 4), 3);
    }

    #[test]
    fn what_waits_at_a_worker_counts_too() {
        let mut stats = pool(&[1], 1, 0);
        stats.workers[0].queued = ByPriority { high: 1, low: 1 };
        assert_eq!(workers_wanted(&stats, 1), 3);
    }

    #[test]
    fn without_workers_the_last_one_counts() {
        assert_eq!(workers_wanted(&pool(&[], 0, 9), 4), 3);
        assert_eq!(workers_wanted(&pool(&[], 0, 9), 0), 9);
        // A worker of capacity 0 runs nothing.
        assert_eq!(workers_wanted(&pool(&[0], 0, 1), 0), 1);
    }

    #[test]
    fn paused_workers_come_on_top() {
        let mut stats = pool(&[1, 0], 2, 1);
        stats.paused = 1;
        assert_eq!(workers_wanted(&stats, 1), 3);
        stats.backlog = ByPriority::default();
        stats
            .workers
            .iter_mut()
            .for_each(|worker| worker.running = 0);
        assert_eq!(workers_wanted(&stats, 1), 0);
    }
}
