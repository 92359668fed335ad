//! Options about Git repositories: how the sources of jobs are fetched, and which clones are kept.

use std::time::Duration;

use clap::ValueEnum;
use cluster_worker::{CloneLimits, FetchConfig, Gigabytes, LargeFiles};

use cli::quantities::seconds;

/// Options about Git repositories.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct GitArgs {
    /// Remove clones of Git repositories that no job has used for this many days
    #[arg(long, value_name = "DAYS", default_value = "30")]
    git_cache_age: u16,
    /// Remove the least recently used clones above this total size, in GB
    #[arg(long, value_name = "GB", default_value = "50")]
    git_cache_size: Gigabytes,
    /// Longest time without data while fetching a job's source, in seconds (0: no limit)
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    git_silence_timeout: Duration,
    /// Time limit for fetching a job's source with submodules, in seconds (0: no limit)
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    git_timeout: Duration,
    /// When to fetch files from Git LFS
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    git_lfs: GitLfs,
}

/// When files in Git LFS are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GitLfs {
    /// If git-lfs is installed.
    #[value(help = "if git-lfs is installed; otherwise jobs get the pointer files")]
    Auto,
    /// Never.
    #[value(help = "do not fetch; jobs get the pointer files")]
    Never,
}

impl GitArgs {
    /// Returns which clones are kept.
    pub(crate) fn clone_limits(&self) -> CloneLimits {
        CloneLimits {
            age: Duration::from_secs(u64::from(self.git_cache_age) * 24 * 60 * 60),
            size: self.git_cache_size.bytes(),
        }
    }
}

impl From<GitArgs> for FetchConfig {
    fn from(args: GitArgs) -> Self {
        let limit = |time: Duration| Some(time).filter(|time| !time.is_zero());
        Self {
            silence: limit(args.git_silence_timeout),
            total: limit(args.git_timeout),
            large_files: match args.git_lfs {
                GitLfs::Auto => LargeFiles::IfInstalled,
                GitLfs::Never => LargeFiles::Never,
            },
        }
    }
}
