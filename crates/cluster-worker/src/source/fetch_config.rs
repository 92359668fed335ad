//! The settings of fetching jobs' sources.

use std::time::Duration;

/// How the sources of jobs are fetched, and how long that may take: from git servers, whatever the protocol, with
/// submodules and large files. `None` is any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchConfig {
    /// While nothing arrives.
    pub silence: Option<Duration>,
    /// In all. Waiting for another job that fetches the same does not count.
    pub total: Option<Duration>,
    /// Whether what repositories keep in Git LFS is fetched.
    pub large_files: LargeFiles,
}

impl Default for FetchConfig {
    /// Returns limits that a large repository on a slow line does not meet: two minutes, and an hour.
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
