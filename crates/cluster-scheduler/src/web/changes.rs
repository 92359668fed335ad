//! Signals that something has happened in a pool, at most once a second.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::PoolName;
use crate::reactor::Reactor;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// The signals of all pools.
pub(super) struct Changes {
    all: watch::Sender<u64>,
    pools: Vec<(Rc<Reactor>, watch::Sender<u64>)>,
}

/// The other ends.
#[derive(Clone)]
pub(super) struct Receivers {
    pub(super) all: watch::Receiver<u64>,
    pub(super) pools: BTreeMap<String, watch::Receiver<u64>>,
}

impl Changes {
    pub(super) fn new(pools: &BTreeMap<PoolName, Rc<Reactor>>) -> Self {
        let pools = pools.values().map(|pool| {
            let (sender, _) = watch::channel(pool.changes());
            (Rc::clone(pool), sender)
        });
        Self {
            all: watch::Sender::new(0),
            pools: pools.collect(),
        }
    }

    pub(super) fn receivers(&self) -> Receivers {
        let pools = self
            .pools
            .iter()
            .map(|(pool, sender)| (pool.name().to_string(), sender.subscribe()));
        Receivers {
            all: self.all.subscribe(),
            pools: pools.collect(),
        }
    }

    /// Signals what has changed. Never ends.
    pub(super) async fn run(self) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let mut sum = 0u64;
            for (pool, sender) in &self.pools {
                let changes = pool.changes();
                sum = sum.wrapping_add(changes);
                sender.send_if_modified(|before| std::mem::replace(before, changes) != changes);
            }
            self.all
                .send_if_modified(|before| std::mem::replace(before, sum) != sum);
        }
    }
}
