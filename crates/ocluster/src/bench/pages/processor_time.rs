//! How much time of the processors the visitors take themselves, and what the threads of the scheduler take.
//!
//! All programs share the processors of one machine here. What visitors take, browsers take elsewhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cli::error::CommandError;
use rustix::time::{ClockId, clock_gettime};

/// What the names of the threads begin with that make pages.
const PAGES: &str = "web";

/// How long the threads of a scheduler have had a processor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SchedulerTime {
    /// The thread that gives out jobs.
    pub(super) jobs: Duration,
    /// The threads that make pages.
    pub(super) pages: Duration,
    /// All others, also those that have ended.
    pub(super) others: Duration,
}

impl SchedulerTime {
    /// Reads what the system has counted so far.
    pub(super) fn read(pid: u32) -> Result<Self, CommandError> {
        let failed = |error: std::io::Error| {
            CommandError::failed(format_args!(
                "cannot read the processor time of process {pid}: {error}"
            ))
        };
        let process = Path::new("/proc").join(pid.to_string());
        let mut time = Self::default();
        for thread in fs::read_dir(process.join("task")).map_err(failed)? {
            let thread = thread.map_err(failed)?;
            let folder = thread.path();
            // It may have ended just now.
            let (Ok(name), Ok(counted)) = (
                fs::read_to_string(folder.join("comm")),
                fs::read_to_string(folder.join("schedstat")),
            ) else {
                continue;
            };
            let counted = nanos(&counted);
            if thread.file_name().to_str() == Some(&pid.to_string()) {
                time.jobs += counted;
            } else if name.starts_with(PAGES) {
                time.pages += counted;
            }
        }
        let all = fs::read_to_string(process.join("stat")).map_err(failed)?;
        time.others = all_threads(&all).saturating_sub(time.jobs + time.pages);
        Ok(time)
    }

    /// Returns what was added since an earlier time.
    pub(super) fn since(self, earlier: Self) -> Self {
        let Self {
            jobs,
            pages,
            others,
        } = self;
        Self {
            jobs: jobs.saturating_sub(earlier.jobs),
            pages: pages.saturating_sub(earlier.pages),
            others: others.saturating_sub(earlier.others),
        }
    }
}

/// Returns how long a thread has had a processor, from its `schedstat`.
fn nanos(schedstat: &str) -> Duration {
    let nanos = schedstat.split_whitespace().next();
    let nanos = nanos.and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Returns how long all threads of a process have had a processor, also those that have ended, from its `stat`.
fn all_threads(stat: &str) -> Duration {
    // The name of the program may have spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second)
}

/// Returns how long this thread has had a processor.
pub(super) fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (time.tv_sec, time.tv_nsec);
    Duration::new(
        u64::try_from(seconds).unwrap_or(0),
        u32::try_from(nanos).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_counted_is_read() {
        assert_eq!(nanos("1500000000 20 3\n"), Duration::from_millis(1_500));
        let per_second = rustix::param::clock_ticks_per_second();
        let stat = format!("7 (a ) b) S 1 7 7 0 -1 0 0 0 0 0 {per_second} {per_second} 9 9");
        assert_eq!(all_threads(&stat), Duration::from_secs(2));
        assert_eq!(all_threads(""), Duration::ZERO);
        let before = of_this_thread();
        let time = SchedulerTime::read(std::process::id()).unwrap();
        assert!(of_this_thread() >= before && time.pages == Duration::ZERO);
    }
}
