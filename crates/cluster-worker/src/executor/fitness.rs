//! Whether a worker is fit for jobs, as its executors see it.

use std::fmt;

use tokio::sync::watch;

/// Why a worker should take no job just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// A job that can't fail has failed, and this is what it said.
    Unhealthy(String),
    /// There is too little room on the disk, and some is being made.
    MakingRoom,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy(reason) => write!(f, "Health check failed: {reason}"),
            Self::MakingRoom => f.write_str("Making room on the disk"),
        }
    }
}

/// What speaks against taking jobs, as that changes. `None` is the good news.
pub type Fitness = watch::Receiver<Option<Unfit>>;

/// Waits until nothing speaks against taking jobs.
pub(crate) async fn fit(fitness: &mut Fitness) {
    // Whoever could have said something has gone, so nothing more speaks against it.
    drop(fitness.wait_for(Option::is_none).await);
}

/// Waits until something does, which may be for ever.
pub(crate) async fn unfit(fitness: &mut Fitness) -> Unfit {
    let unfit = fitness.wait_for(Option::is_some).await;
    match unfit.ok().and_then(|unfit| unfit.clone()) {
        Some(unfit) => unfit,
        None => std::future::pending().await,
    }
}
