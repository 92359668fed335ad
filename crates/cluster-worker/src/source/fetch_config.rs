//! The settings for fetching jobs' sources.

use std::time::Duration;

/// How the sources of jobs are fetched, with submodules and large files, and the time limits. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchConfig {
    /// How long nothing may arrive.
    pub silence: Option<Duration>,
    /// How long all fetches of a job may take. Waiting for another job that fetches the same does not count.
    pub total: Option<Duration>,
    /// Whether files in Git LFS are fetched.
    pub large_files: LargeFiles,
}

impl Default for FetchConfig {
    /// Returns limits that are enough for a large repository on a slow line: two minutes, and an hour.
    fn default() -> Self {
        Self {
            silence: Some(Duration::from_secs(120)),
            total: Some(Duration::from_secs(60 * 60)),
            large_files: LargeFiles::default(),
        }
    }
}

/// Whether the files that a repository keeps in Git LFS are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LargeFiles {
    /// If the program `git-lfs` is there.
    #[default]
    IfInstalled,
    /// Never: jobs get the pointers, which is logged.
    Never,
}
