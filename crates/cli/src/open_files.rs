//! The limit of open files and connections of a program.
//!
//! The usual limit of 1024 is there for programs that use `select`; others may raise theirs. A scheduler has a
//! connection for each worker and client; a builder copies deep trees.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of systemd's services. Engines give containers a thousand million, with which child processes that close
/// every number before they start another program take seconds.
const LIMIT: u64 = 524_288;

/// Raises the limit to [`LIMIT`], or as far as the system allows.
///
/// A program runs on if the system refuses: exceeding the limit is an error of its own. The error is for its log, which
/// starts later.
pub(crate) fn raise_limit() -> Result<(), String> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(maximum.map_or(LIMIT, |maximum| maximum.min(LIMIT))),
        maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("Cannot raise the limit of open files: {error}"))
}

/// The open files of a worker itself, and of each job that it runs: pipes, logs, processes, and directories that are
/// being copied.
const WORKER_FILES: u64 = 64;
const JOB_FILES: u64 = 32;

/// Logs a warning if the limit of open files is too low for `jobs` jobs at once: jobs would fail at random.
pub fn warn_if_few(jobs: u64) {
    let limit = getrlimit(Resource::Nofile).current;
    if let Some(text) = too_few(limit, jobs) {
        tracing::warn!("{text}");
    }
}

fn too_few(limit: Option<u64>, jobs: u64) -> Option<String> {
    let wanted = WORKER_FILES.saturating_add(JOB_FILES.saturating_mul(jobs));
    let limit = limit.filter(|limit| *limit < wanted)?;
    Some(format!(
        "The limit of open files is {limit}, but {jobs} jobs at once may need {wanted}: some will fail; raise the hard \
         limit (\"ulimit -Hn\", or LimitNOFILE= of the service), or lower --capacity"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_for_all_jobs_are_a_warning() {
        assert_eq!(too_few(None, 30), None);
        assert_eq!(too_few(Some(1024), 30), None);
        assert_eq!(too_few(Some(524_288), 1000), None);
        let text = too_few(Some(64), 30).unwrap();
        assert!(
            text.starts_with("The limit of open files is 64, but 30 jobs at once may need 1024:")
        );
    }

    #[test]
    fn the_limit_is_raised_as_far_as_allowed() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let usual = Rlimit {
            current: Some(1024),
            maximum,
        };
        setrlimit(Resource::Nofile, usual).unwrap();
        raise_limit().unwrap();
        let expected = maximum.unwrap_or(u64::MAX).min(LIMIT);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(expected));
    }
}
