//! Which of a worker's pages is meant.

use cluster_api::MetricsSource;

/// Which of a worker's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Standard(MetricsSource),
    /// One that the worker was configured with.
    Additional(String),
}
