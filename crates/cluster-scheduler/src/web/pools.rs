//! Pools as pages show them: computed at most once a second, for all that ask.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster_api::{AdminJobQuery, JobQuery, JobState, Label};
use cluster_web::ClusterError;
use cluster_web::cluster::{Activity, PoolState, Recent};
use jobs::JobId;
use pool::Time;

use super::service::{WebService, refused};
use crate::reactor::Reactor;

/// How long what has become of jobs is shared: it is read from the disk.
const MAX_AGE_OF_RECENT: Duration = Duration::from_secs(15);

/// How long what pools did of late is shared.
const MAX_AGE_OF_ACTIVITY: Duration = Duration::from_secs(15);

/// The same of a pool that has done nothing: there is little to read, and what comes first is new.
const MAX_AGE_OF_NO_ACTIVITY: Duration = Duration::from_secs(2);

/// The time that [`Recent`] is about.
const RECENT: Duration = Duration::from_secs(60 * 60);

/// How many jobs [`Recent`] is about, at most.
const MAX_RECENT: u32 = 1_000;

/// How many jobs of a page of the history are read at once.
const PAGE: u32 = 250;

/// How many queued jobs of each queue are shown. As many have a position of their own.
const MAX_QUEUED: u32 = 1_000;

/// How many labels are read at once.
const MAX_READ: usize = 250;

impl WebService {
    /// Returns all pools.
    pub(super) async fn pools(&self) -> Result<Vec<Arc<PoolState>>, ClusterError> {
        let mut pools = Vec::new();
        let reactors: Vec<_> = self.cluster.pools().values().cloned().collect();
        for reactor in reactors {
            pools.push(self.state(&reactor).await?);
            // Each takes a millisecond or more when it is large.
            tokio::task::yield_now().await;
        }
        Ok(pools)
    }

    /// Returns a pool.
    pub(super) async fn pool(&self, name: &str) -> Result<Arc<PoolState>, ClusterError> {
        let reactor = self.cluster.pool(name).cloned();
        let unknown = || ClusterError::NotFound("There is no such pool.".to_owned());
        let reactor = reactor.ok_or_else(unknown)?;
        self.state(&reactor).await
    }

    async fn state(&self, reactor: &Reactor) -> Result<Arc<PoolState>, ClusterError> {
        let compute = async || {
            let recent = self.recent(reactor).await?;
            let mut state = reactor.web_state(MAX_QUEUED, recent).await;
            state.activity = self.activity(reactor);
            state.disks = self.readings.disks(&state.name, reactor.now());
            self.add_labels(&mut state).await?;
            Ok(state)
        };
        let name = reactor.name().to_string();
        self.pools
            .states
            .get(&name, || reactor.now(), compute)
            .await
    }

    /// Adds the labels of jobs. They do not change, so each is read once.
    async fn add_labels(&self, state: &mut PoolState) -> Result<(), ClusterError> {
        let ids = |state: &PoolState| -> Vec<JobId> {
            let ids = state.notes_of.values();
            ids.filter_map(|note| note.id.parse().ok()).collect()
        };
        let shown = ids(state);
        let unknown: Vec<JobId> = {
            let labels = self.pools.labels.borrow();
            let known = labels.get(&state.name);
            let is_unknown = |id: &&JobId| known.is_none_or(|known| !known.contains_key(*id));
            shown
                .iter()
                .filter(is_unknown)
                .copied()
                .take(MAX_READ)
                .collect()
        };
        let read = match unknown.is_empty() {
            true => Vec::new(),
            false => self.jobs.labels(unknown).await.map_err(refused)?,
        };
        let mut labels = self.pools.labels.borrow_mut();
        let before = labels.remove(&state.name).unwrap_or_default();
        let known: HashMap<JobId, Vec<Label>> = before.into_iter().chain(read).collect();
        let mut kept = HashMap::new();
        for note in state.notes_of.values_mut() {
            if let Some((id, labels)) = note.id.parse().ok().and_then(|id| known.get_key_value(&id))
            {
                note.labels.clone_from(labels);
                kept.insert(*id, labels.clone());
            }
        }
        labels.insert(state.name.clone(), kept);
        Ok(())
    }

    /// Returns what a pool did of late, as far as that was read, and has it read again if that is long ago. No page
    /// waits for it.
    pub(super) fn activity(&self, reactor: &Reactor) -> Arc<Activity> {
        let name = reactor.name().to_string();
        let now = reactor.now();
        let known = self.pools.activity.borrow().get(&name).cloned();
        let is_fresh = |(taken, activity): &(Time, Arc<Activity>)| {
            let age = match activity.served.is_empty() {
                true => MAX_AGE_OF_NO_ACTIVITY,
                false => MAX_AGE_OF_ACTIVITY,
            };
            now < *taken + age
        };
        if !known.as_ref().is_some_and(is_fresh)
            && self.pools.reading.borrow_mut().insert(name.clone())
        {
            let (jobs, pools) = (Rc::clone(&self.jobs), Rc::clone(&self.pools));
            tokio::task::spawn_local(async move {
                match jobs.activity(name.clone()).await {
                    Ok(activity) => {
                        let activity = (now, Arc::new(activity));
                        pools.activity.borrow_mut().insert(name.clone(), activity);
                    }
                    // The next page tries again.
                    Err(error) => tracing::warn!(
                        target: "web",
                        "Cannot read the last jobs of pool {name:?}: {error}"
                    ),
                }
                pools.reading.borrow_mut().remove(&name);
            });
        }
        known.map(|(_, activity)| activity).unwrap_or_default()
    }

    async fn recent(&self, reactor: &Reactor) -> Result<Recent, ClusterError> {
        let name = reactor.name().to_string();
        let known = self.pools.recent.borrow().get(&name).copied();
        if let Some((taken, recent)) = known
            && reactor.now() < taken + MAX_AGE_OF_RECENT
        {
            return Ok(recent);
        }
        let recent = self.read_recent(&name).await?;
        let taken = (reactor.now(), recent);
        self.pools.recent.borrow_mut().insert(name, taken);
        Ok(recent)
    }

    async fn read_recent(&self, pool: &str) -> Result<Recent, ClusterError> {
        let mut recent = Recent::default();
        let mut waits = Vec::new();
        let mut before = None;
        let mut read = 0;
        while read < MAX_RECENT {
            let query = AdminJobQuery {
                jobs: JobQuery {
                    submitted_within: Some(RECENT),
                    before,
                    at_most: Some(PAGE),
                    ..JobQuery::default()
                },
                pool: Some(pool.to_owned()),
                ..AdminJobQuery::default()
            };
            let page = self.jobs.waits(query).await.map_err(refused)?;
            for (state, waited) in &page.jobs {
                match state {
                    JobState::Succeeded => recent.succeeded += 1,
                    JobState::Failed | JobState::TimedOut => recent.failed += 1,
                    JobState::Lost => recent.lost += 1,
                    JobState::Queued | JobState::Running | JobState::Cancelled => {}
                }
                waits.extend(waited);
            }
            before = page.next;
            read += PAGE;
            if before.is_none() {
                break;
            }
        }
        waits.sort();
        recent.median_wait = waits.get(waits.len() / 2).copied();
        Ok(recent)
    }
}
