//! A scheduler that does not lead yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use cluster_postgres::{Candidate, Lease, Look, SchedulerId, SchedulerRow, Settings};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use vat::{BoundAddress, Identity};

use super::error::StartError;
use super::start::{self, Bound, Opened, WritableStore, elsewhere};
use super::{Metrics, Scheduler, cap_files};
use crate::clock::Clock;
use crate::config::{SchedulerConfig, StoreSettings};
use crate::db;
use crate::leading::{Event, Keeper, LeaseError, LeaseState, check_key, timing};
use crate::service::restore::Services;
use crate::state_dir::StateDir;
use crate::web::Pages;

/// How long after a failure to read the database it is read again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A scheduler that waits until it leads. Its address is refused to peers, so that they go on to another scheduler, and
/// its health checks say that it waits.
///
/// One whose state is in files leads at once.
pub struct Standby {
    config: SchedulerConfig,
    clock: Clock,
    /// `None` if the state is in files.
    waiting: Option<Waiting>,
    tasks: JoinSet<()>,
    /// Locks the state until the end.
    state_dir: StateDir,
}

/// What a scheduler with a database has while it waits.
struct Waiting {
    settings: Settings,
    identity: Identity,
    /// Where it does not listen yet.
    address: BoundAddress,
    metrics: Option<Metrics>,
    pages: Option<Pages>,
    keeper: Rc<Keeper>,
    /// Once it has it.
    lease: Cell<Option<Lease>>,
}

impl Standby {
    /// Begins to wait. Needs a `LocalSet`.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be used. Without pools or a secrets directory, nothing has been written.
    pub async fn open(config: SchedulerConfig) -> Result<Self, StartError> {
        start::check(&config)?;
        let state_dir = StateDir::open(&config.state_dir)?;
        let clock = Clock::start();
        let mut tasks = JoinSet::new();
        let waiting = match &config.store {
            StoreSettings::Files => None,
            StoreSettings::Postgres(settings) => {
                Some(wait(&config, settings.clone(), &state_dir, clock, &mut tasks).await?)
            }
        };
        Ok(Self {
            config,
            clock,
            waiting,
            tasks,
            state_dir,
        })
    }

    /// Waits for the right to lead.
    ///
    /// # Errors
    ///
    /// [`StartError`] says why it cannot have it.
    pub async fn wait(&self) -> Result<(), StartError> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        while waiting.lease.get().is_none() {
            match waiting.keeper.next_event().await {
                Event::Lead(lease) => waiting.lease.set(Some(lease)),
                Event::Failed(error) => return Err(error.into()),
                Event::Stop(reason) => return Err(StartError::Stopped(reason)),
                Event::Probe | Event::Drain | Event::Ended => {}
            }
        }
        Ok(())
    }

    /// Leads: when this returns, the scheduler listens and its cap files are written.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be used; [`StartError::Stopped`], that another scheduler may lead before this
    /// one was ready.
    pub async fn lead(self) -> Result<Scheduler, StartError> {
        self.wait().await?;
        let Self {
            config,
            clock,
            waiting,
            mut tasks,
            state_dir,
        } = self;
        let Some(waiting) = waiting else {
            // Before a key is made: a database that cannot be used must leave nothing behind.
            let store = WritableStore::Files(&state_dir).open(clock.date())?;
            let identity = start::identity(&config.key)?;
            let opened = Opened::open(&config, &state_dir, &identity, clock, store)?;
            let bound = Bound::bind(&config, &identity).await?;
            let metrics = bound
                .http
                .map(|server| Metrics::serve(server, None, clock.start_date(), &mut tasks));
            let settings = config.web.clone();
            let pages = settings.map(|settings| Pages::start(settings, &identity, None));
            let pages = pages.transpose()?;
            let parts = Parts {
                identity,
                address: bound.address,
                metrics,
                pages,
                keeper: None,
            };
            return begin(config, parts, opened, clock, tasks, state_dir).await;
        };
        let opened = waiting.read(&config, &state_dir, clock).await;
        let Waiting {
            identity,
            address,
            metrics,
            pages,
            keeper,
            ..
        } = waiting;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(give_up(&keeper, error).await),
        };
        let parts = Parts {
            identity,
            address,
            metrics,
            pages,
            keeper: Some(keeper),
        };
        begin(config, parts, opened, clock, tasks, state_dir).await
    }

    /// Ends: other schedulers do not expect this one any more.
    pub async fn shut_down(self) {
        if let Some(waiting) = self.waiting {
            end(&waiting.keeper).await;
        }
    }

    /// Returns a summary in one line, for operators.
    pub fn status(&self) -> String {
        let lease_state = self
            .waiting
            .as_ref()
            .map(|waiting| waiting.keeper.lease_state());
        let leader = lease_state.and_then(|lease_state| lease_state.borrow().leader.clone());
        match leader {
            Some(leader) => format!("standby; {} leads", leader.name),
            None => "standby".to_owned(),
        }
    }
}

/// Gives the lease up, or waits for it no longer.
pub(super) async fn end(keeper: &Keeper) {
    keeper.shut_down();
    while !matches!(keeper.next_event().await, Event::Ended | Event::Failed(_)) {}
}

/// Gives the lease up after an error, unless it is lost anyway.
async fn give_up(keeper: &Keeper, error: StartError) -> StartError {
    if !matches!(error, StartError::Stopped(_)) {
        end(keeper).await;
    }
    error
}

/// Begins to wait for the lease.
async fn wait(
    config: &SchedulerConfig,
    settings: Settings,
    state_dir: &StateDir,
    clock: Clock,
    tasks: &mut JoinSet<()>,
) -> Result<Waiting, StartError> {
    // Before a key is made: a database that cannot be used must leave nothing behind.
    if !config.has_led {
        elsewhere(|| cluster_postgres::prepare(&settings, &[])).map_err(db::OpenError::from)?;
    }
    let identity = start::identity(&config.key)?;
    let Bound { address, http } = Bound::bind(config, &identity).await?;
    let (publish, lease_state) = watch::channel(LeaseState::default());
    let settings_of_pages = config.web.clone();
    let pages = settings_of_pages
        .map(|settings| Pages::start(settings, &identity, Some(lease_state.clone())))
        .transpose()?;
    let id = SchedulerId::new(state_dir.id()?);
    let key = identity.fingerprint().to_string();
    let row = SchedulerRow {
        id,
        name: start::name(),
        address: start::public_address(config, address.local_address()).to_string(),
        pages: pages.as_ref().map_or("", Pages::url).to_owned(),
        key: key.clone(),
    };
    let candidate = Candidate::new(&settings, row, timing().lease).map_err(db::OpenError::from)?;
    let candidate = if config.has_led {
        candidate
    } else {
        let (candidate, look) = elsewhere(|| look(candidate))?;
        check_key(&key, &look)?;
        if config.log_store.is_none() && look.holder.is_some_and(|holder| holder != id) {
            tracing::warn!(
                target: "scheduler",
                "Logs of jobs that have ended are only on the disk of the scheduler that led then, as there is no \
                 --log-store: they cannot be read after another one has taken over"
            );
        }
        publish.send_modify(|lease_state| lease_state.looked(&look));
        candidate
    };
    let keeper = Keeper::start(candidate, key, id, publish);
    let keeper = Rc::new(keeper.map_err(LeaseError::Threads)?);
    let metrics =
        http.map(|server| Metrics::serve(server, Some(lease_state), clock.start_date(), tasks));
    Ok(Waiting {
        settings,
        identity,
        address,
        metrics,
        pages,
        keeper,
        lease: Cell::new(None),
    })
}

/// Looks at the lease for the first time.
fn look(mut candidate: Candidate) -> Result<(Candidate, Look), StartError> {
    let failed = |error: cluster_postgres::Error| {
        StartError::Database(db::OpenError::Postgres(error.into()))
    };
    candidate.prepare().map_err(db::OpenError::from)?;
    let look = candidate.look(true).map_err(failed)?;
    Ok((candidate, look))
}

impl Waiting {
    /// Reads what the database has, now that nobody else writes there.
    async fn read(
        &self,
        config: &SchedulerConfig,
        state_dir: &StateDir,
        clock: Clock,
    ) -> Result<Opened, StartError> {
        let Some(lease) = self.lease.get() else {
            return Err(LeaseError::Ended.into());
        };
        loop {
            let store = WritableStore::Postgres(&self.settings, lease).open(clock.date());
            let opened = store
                .and_then(|store| Opened::open(config, state_dir, &self.identity, clock, store));
            match opened {
                Err(error) if error.may_pass() => {
                    tracing::warn!(target: "scheduler", "Cannot read the database yet: {error}");
                    tokio::select! {
                        event = self.keeper.next_event() => match event {
                            Event::Stop(reason) => return Err(StartError::Stopped(reason)),
                            Event::Failed(error) => return Err(error.into()),
                            Event::Drain => self.keeper.drained(),
                            Event::Lead(_) | Event::Probe | Event::Ended => {}
                        },
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
                opened => return opened,
            }
        }
    }
}

/// What a scheduler is made of that has what it needs.
struct Parts {
    identity: Identity,
    address: BoundAddress,
    metrics: Option<Metrics>,
    pages: Option<Pages>,
    keeper: Option<Rc<Keeper>>,
}

/// Listens, with what was read.
async fn begin(
    config: SchedulerConfig,
    parts: Parts,
    opened: Opened,
    clock: Clock,
    mut tasks: JoinSet<()>,
    state_dir: StateDir,
) -> Result<Scheduler, StartError> {
    let Parts {
        identity,
        address,
        metrics,
        pages,
        keeper,
    } = parts;
    let listener = address.listen()?;
    let address = listener.local_address();
    let cluster = start::cluster(&config, &address, opened, clock, &identity, keeper.as_ref());
    let services = Services::new(Rc::clone(&cluster), &identity);
    let cap_files = cap_files::write(&config, &cluster, &identity, keeper.is_some()).await?;
    for reactor in cluster.pools().values() {
        tasks.spawn_local(Rc::clone(reactor).run());
        tasks.spawn_local(Rc::clone(reactor).check_forecasts());
    }
    tasks.spawn_local(cluster.durable_jobs().run());
    tasks.spawn_local(cluster.durable_jobs().save_attached());
    tasks.spawn_local(cluster.durable_jobs().keep_attached_logs());
    let web = pages.map(|pages| {
        let (server, work) = pages.lead(&cluster);
        tasks.spawn_local(work);
        server
    });
    if let Some(metrics) = &metrics {
        metrics
            .endpoint
            .lead(Rc::clone(&cluster), listener.counters());
    }
    Ok(Scheduler {
        services: Rc::new(services),
        metrics,
        web,
        cluster,
        keeper,
        stop_reason: Cell::new(None),
        connections: listener.connections(),
        counters: listener.counters(),
        listener: Cell::new(Some(listener)),
        serve_options: config.connections,
        address,
        cap_files,
        _tasks: RefCell::new(tasks),
        stop: Notify::new(),
        _state_dir: state_dir,
    })
}
