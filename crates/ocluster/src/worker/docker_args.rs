//! Options about Docker.

use clap::ValueEnum;
use cluster_worker::{DockerConfig, FreeThreshold, Gigabytes, PullPolicy};

use super::free_threshold::free_threshold;

/// Options about Docker, shared with `ocluster dev`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DockerArgs {
    /// Prune Docker's files below this much free disk space: percent, or a size such as 20GiB
    #[arg(long, value_name = "PERCENT|SIZE", value_parser = free_threshold)]
    prune_threshold: Option<FreeThreshold>,
    /// Prune Docker's files above this total size, in GB
    ///
    /// This includes images, containers and the build cache.
    #[arg(long, value_name = "GB")]
    docker_max_df_size: Option<Gigabytes>,
    /// When docker build pulls the base image
    #[arg(long, value_name = "WHEN", default_value = "always")]
    docker_pull: Pull,
    /// BuildKit frontends that jobs may name in a syntax directive: REPO or REPO:TAG
    ///
    /// Without this option, only the engine's own frontend may be used.
    #[arg(long, value_name = "IMAGE,...", value_delimiter = ',')]
    buildkit_frontends: Vec<String>,
}

impl From<DockerArgs> for DockerConfig {
    fn from(args: DockerArgs) -> Self {
        Self {
            pull: args.docker_pull.into(),
            prune_threshold: args.prune_threshold,
            max_df_size: args.docker_max_df_size,
            frontends: args.buildkit_frontends,
            ..Self::default()
        }
    }
}

/// When `docker build` pulls the base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// Before each build, so that it is the newest.
    #[value(help = "before each build, to get its newest version")]
    Always,
    /// When it is missing.
    #[value(help = "only if it is not present")]
    Missing,
    /// Never; the image must be present.
    #[value(help = "do not pull; the image must be present")]
    Never,
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Always => Self::Always,
            Pull::Missing => Self::Missing,
            Pull::Never => Self::Never,
        }
    }
}
