//! The options of a cluster.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::Description;
use vat::{Backoff, DialOptions};

/// How a [`Cluster`](crate::Cluster) treats jobs and its connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many jobs of one pool and urgency may wait at the scheduler at once; further ones wait here. A job waits
    /// until a worker has taken it: running jobs do not count. At least 1. 200 by default, as in OCurrent's plugin.
    pub max_waiting: usize,
    /// How many workers may be lost with a job before it is given up, in case the job crashes them. A worker that stops
    /// the job because it is shutting down does not count. At least 1. 5 by default.
    pub max_lost: u32,
    /// How long a job waits for a scheduler that cannot be reached before it is given up. 10 minutes by default.
    pub reconnect_timeout: Duration,
    /// The longest wait between two attempts to connect. 10 s by default, as for workers.
    pub reconnect_interval: Duration,
    /// What to do when the connection is lost, besides reconnecting: by default, to log a warning.
    pub on_lost: LossReport,
    /// Which jobs are urgent. None by default.
    pub urgency: Urgency,
    /// How to connect.
    pub dial: DialOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_waiting: 200,
            max_lost: 5,
            reconnect_timeout: Duration::from_secs(10 * 60),
            reconnect_interval: Backoff::LONGEST,
            on_lost: LossReport::default(),
            urgency: Urgency::Never,
            dial: DialOptions::default(),
        }
    }
}

/// What to do when the connection is lost, besides reconnecting: by default, to log a warning.
#[derive(Clone, Default)]
pub struct LossReport(Option<Rc<ReportLoss>>);

/// Reports the loss of a connection, given a text that names it and has the reason.
type ReportLoss = dyn Fn(&str);

impl LossReport {
    /// Calls a function instead, with a text that names the connection and has the reason.
    pub fn to(report: impl Fn(&str) + 'static) -> Self {
        Self(Some(Rc::new(report)))
    }

    pub(crate) fn lost(&self, what: &str) {
        match &self.0 {
            Some(report) => report(what),
            None => tracing::warn!("{what}; reconnecting"),
        }
    }
}

impl fmt::Debug for LossReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "To(..)",
            None => "Logged",
        })
    }
}

/// Which jobs are scheduled before all that are not urgent.
#[derive(Clone, Default)]
pub enum Urgency {
    /// None.
    #[default]
    Never,
    /// All.
    Always,
    /// Those for which the function returns `true`, given the pool and the description.
    Of(Rc<IsUrgent>),
}

/// Returns whether a job is urgent.
type IsUrgent = dyn Fn(&str, &Description) -> bool;

impl Urgency {
    /// Makes those jobs urgent for which `is_urgent` returns `true`, given the pool and the description.
    pub fn of(is_urgent: impl Fn(&str, &Description) -> bool + 'static) -> Self {
        Self::Of(Rc::new(is_urgent))
    }

    pub(crate) fn is_urgent(&self, pool: &str, description: &Description) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Of(is_urgent) => is_urgent(pool, description),
        }
    }
}

impl fmt::Debug for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::Always => "Always",
            Self::Of(_) => "Of(..)",
        })
    }
}
