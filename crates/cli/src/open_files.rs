//! How many files and connections a program may have open.
//!
//! The usual limit of 1024 is there for programs that use `select`, and the system lets others raise theirs. A scheduler
//! has a connection for each worker and client; a builder copies deep trees.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as a service of systemd may have. Engines let containers have a thousand million, and then those of our
/// children that close every number before they start something take seconds for it.
const MOST: u64 = 524_288;

/// Raises the limit as far as the system lets us, to `MOST`.
///
/// A failure is not fatal: exceeding the limit is an error of its own.
pub fn allow_many() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(maximum.map_or(MOST, |maximum| maximum.min(MOST))),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("Cannot raise the limit of open files: {error}");
    }
}

/// How many files a worker has open itself, and for each job that it runs: pipes, logs, processes, and the directories that are being
/// copied.
const OF_WORKER: u64 = 64;
const OF_JOB: u64 = 32;

/// Logs a warning if the limit of open files is too low for `jobs` jobs at once: jobs would fail at random.
pub fn warn_if_few(jobs: u64) {
    let limit = getrlimit(Resource::Nofile).current;
    if let Some(text) = too_few(limit, jobs) {
        tracing::warn!("{text}");
    }
}

fn too_few(limit: Option<u64>, jobs: u64) -> Option<String> {
    let wanted = OF_WORKER.saturating_add(OF_JOB.saturating_mul(jobs));
    let limit = limit.filter(|limit| *limit < wanted)?;
    Some(format!(
        "The limit of open files is {limit}, but {jobs} jobs at once may need {wanted}: some will fail; raise the hard limit \
         (\"ulimit -Hn\", or LimitNOFILE= of the service), or lower --capacity"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_for_all_jobs_are_told_of() {
        assert_eq!(too_few(None, 30), None);
        assert_eq!(too_few(Some(1024), 30), None);
        assert_eq!(too_few(Some(524_288), 1000), None);
        let text = too_few(Some(64), 30).unwrap();
        assert!(
            text.starts_with("The limit of open files is 64, but 30 jobs at once may need 1024:")
        );
    }

    #[test]
    fn the_limit_is_what_the_system_lets_us_have() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let usual = Rlimit {
            current: Some(1024),
            maximum,
        };
        setrlimit(Resource::Nofile, usual).unwrap();
        allow_many();
        let most = maximum.unwrap_or(u64::MAX).min(MOST);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
    }
}
