//! How long the phases of attempts took, for metrics.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use cluster_api::{Phase, PhaseKind};
use prometheus_text::Histogram;

/// A cached base image takes a moment, a step may take a night.
const SECONDS: &[f64] = &[
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0,
];

/// How long phases took, by pool and kind.
pub(crate) type PhaseHistograms = BTreeMap<(Arc<str>, PhaseKind), Histogram>;

/// Counts how long phases took that have ended.
pub(crate) struct PhaseSeconds(RefCell<PhaseHistograms>);

impl PhaseSeconds {
    /// Returns one for these pools, with nothing counted yet.
    pub(crate) fn of_pools<'a>(pools: impl IntoIterator<Item = &'a str>) -> Self {
        let pools = pools.into_iter().map(Arc::<str>::from);
        let kinds = |pool: Arc<str>| PhaseKind::ALL.map(|kind| (Arc::clone(&pool), kind));
        let counted = pools.flat_map(kinds);
        let counted = counted.map(|key| (key, Histogram::new(SECONDS)));
        Self(RefCell::new(counted.collect()))
    }

    /// Counts a phase of a pool's job, unless it has not ended, or its result was there already.
    pub(crate) fn add(&self, pool: Arc<str>, phase: &Phase) {
        let Some(ended) = phase.ended.filter(|_| !phase.cached) else {
            return;
        };
        let took = ended.saturating_sub(phase.started);
        let mut histograms = self.0.borrow_mut();
        let histogram = histograms.entry((pool, phase.kind));
        let histogram = histogram.or_insert_with(|| Histogram::new(SECONDS));
        histogram.add(took.as_secs_f64());
    }

    pub(crate) fn read(&self) -> PhaseHistograms {
        self.0.borrow().clone()
    }
}
