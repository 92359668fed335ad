//! The builder's thread. A builder may block on a disk, and the connection to the scheduler must not.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use bstr::BString;
use futures::future::{FutureExt as _, LocalBoxFuture};
use jiff::{SignedDuration, Timestamp};
use obuilder::StepId;
use obuilder::builder::{BuildError, Builder, Context, Removed, RoomMade, Stats};
use obuilder::store::Space;
use obuilder_spec::Spec;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use visible::Lines;

use super::hints::BuiltHints;
use super::pipe::LogWriter;
use super::upkeep::{
    Condition, IsEnough, Maintained, RoomResult, Upkeep, check, is_short, maintain, make_first_room,
};
use crate::executor::{Fitness, PruneReports, Pruned, Unfit};
use crate::metrics::BuilderStats;

/// How long a health check may take, as upstream.
const CHECK_LIMIT: Duration = Duration::from_secs(300);

/// How long a cancelled job waits for its processes to stop, before it is reported as ended anyway.
const CANCEL_LIMIT: Duration = Duration::from_secs(60);

/// How long cancelled steps may take to stop when the worker shuts down.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long a worker that exits waits for results to be uploaded. A result that is left is uploaded with a later one.
const SHARE_LIMIT: Duration = Duration::from_secs(5);

/// A build, as a job requests it.
pub(super) struct BuildRequest {
    pub(super) spec: Spec,
    /// The cache hint of the job.
    pub(super) hint: String,
    /// What `copy` copies from.
    pub(super) source: PathBuf,
    pub(super) secrets: Vec<(BString, Vec<u8>)>,
    pub(super) cancel: CancellationToken,
    pub(super) log: LogWriter,
    /// The span of its lines in the worker's log.
    pub(super) span: tracing::Span,
    pub(super) done: oneshot::Sender<Result<StepId, BuildError>>,
}

/// A builder on a thread of its own.
pub(crate) struct BuilderThread {
    /// `None` when it must end.
    requests: RefCell<Option<mpsc::UnboundedSender<BuildRequest>>>,
    fitness: Fitness,
    stats: watch::Receiver<BuilderStats>,
    /// The cache hints that are lost, which the scheduler does not know.
    unreported: watch::Receiver<Option<Pruned>>,
    reported: mpsc::UnboundedSender<Pruned>,
    thread: RefCell<Option<JoinHandle<()>>>,
}

impl BuilderThread {
    /// Starts a builder, and waits until it has passed its self-test. `None` if `shutdown` ends first. The error says
    /// what is wrong. The cache hints of builds are noted in the file `hints`.
    pub(crate) async fn start(
        open: impl FnOnce() -> Result<Builder, String> + Send + 'static,
        upkeep: Upkeep,
        hints: PathBuf,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Option<Self>, String> {
        let (requests, received) = mpsc::unbounded_channel();
        let (started, ready) = oneshot::channel();
        let (reported, reports) = mpsc::unbounded_channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let (builder, runtime) = match (open(), runtime) {
                (Ok(builder), Ok(runtime)) => (builder, runtime),
                (Err(reason), _) => return drop(started.send(Err(reason))),
                (_, Err(error)) => return drop(started.send(Err(error.to_string()))),
            };
            let builder_loop = BuilderLoop::new(builder, &hints);
            let working = builder_loop.work(received, reports, upkeep, started);
            tokio::task::LocalSet::new().block_on(&runtime, working);
            // A system call that does not return must not keep the worker from ending.
            runtime.shutdown_timeout(STOP_LIMIT);
        };
        let thread = std::thread::Builder::new()
            .name("obuilder".into())
            .spawn(work)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let ready = tokio::select! {
            ready = ready => ready,
            // This closes the channel, so that the thread stops.
            () = shutdown => return join(thread).await.map(|()| None),
        };
        let ended_early = || Err("the builder ended while it was starting".to_owned());
        let Published {
            fitness,
            stats,
            unreported,
        } = match ready.unwrap_or_else(|_| ended_early()) {
            Ok(published) => published,
            Err(reason) => {
                // It closes its store first, which unmounts file systems there.
                join(thread).await?;
                return Err(reason);
            }
        };
        Ok(Some(Self {
            requests: RefCell::new(Some(requests)),
            fitness,
            stats,
            unreported,
            reported,
            thread: RefCell::new(Some(thread)),
        }))
    }

    /// Requests a build. When the builder has ended, the channels of the request close.
    pub(super) fn request(&self, request: BuildRequest) {
        if let Some(requests) = &*self.requests.borrow() {
            drop(requests.send(request));
        }
    }

    pub(super) fn fitness(&self) -> Fitness {
        self.fitness.clone()
    }

    /// Returns the builder's statistics.
    pub(crate) fn stats(&self) -> watch::Receiver<BuilderStats> {
        self.stats.clone()
    }

    pub(crate) fn prune_reports(&self) -> PruneReports {
        PruneReports {
            unreported: self.unreported.clone(),
            reported: self.reported.clone(),
        }
    }

    /// Waits until the builder has ended by itself, which happens only if it crashes.
    pub(crate) async fn ended(&self) {
        let mut fitness = self.fitness.clone();
        while fitness.changed().await.is_ok() {}
    }

    /// Waits for the builds to end, and ends the builder. Fails if it has crashed.
    pub(crate) async fn finish(&self) -> Result<(), String> {
        drop(self.requests.take());
        match self.thread.take() {
            Some(thread) => join(thread).await,
            None => Ok(()),
        }
    }
}

async fn join(thread: JoinHandle<()>) -> Result<(), String> {
    match tokio::task::spawn_blocking(|| thread.join()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err("the worker's builder has crashed; see the worker's log".to_owned()),
    }
}

/// What a builder publishes.
struct Published {
    fitness: Fitness,
    stats: watch::Receiver<BuilderStats>,
    unreported: watch::Receiver<Option<Pruned>>,
}

/// Reports whether the builder has started, or why it has not.
type Started = oneshot::Sender<Result<Published, String>>;

/// The builder on its thread, and what it publishes.
struct BuilderLoop {
    builder: Builder,
    condition: watch::Sender<Condition>,
    fitness: watch::Sender<Option<Unfit>>,
    stats: watch::Sender<BuilderStats>,
    hints: RefCell<BuiltHints>,
    unreported: watch::Sender<Option<Pruned>>,
}

impl BuilderLoop {
    fn new(builder: Builder, hints: &Path) -> Rc<Self> {
        // Base images may have been imported for jobs that come.
        let has_steps = match builder.entries() {
            Ok(entries) => entries.iter().any(|entry| entry.base.is_some()),
            Err(error) => {
                tracing::warn!("Cannot read what OBuilder's store has: {error}");
                true
            }
        };
        let hints = BuiltHints::open(hints, !has_steps);
        let new = Rc::new(Self {
            builder,
            condition: watch::Sender::default(),
            fitness: watch::Sender::default(),
            stats: watch::Sender::default(),
            hints: RefCell::new(hints),
            unreported: watch::Sender::default(),
        });
        // What was removed while the worker was stopped.
        new.check_hints(false);
        new
    }

    /// Works until the channel of requests is closed.
    async fn work(
        self: Rc<Self>,
        mut requests: mpsc::UnboundedReceiver<BuildRequest>,
        mut reports: mpsc::UnboundedReceiver<Pruned>,
        upkeep: Upkeep,
        mut started: Started,
    ) {
        tracing::info!(target: "obuilder", "Performing OBuilder self-test…");
        let checking = async {
            make_first_room(&*self, upkeep).await;
            check(&*self, &self.condition).await;
        };
        tokio::select! {
            () = checking => {}
            () = started.closed() => return self.stop().await,
        }
        if let Some(reason) = self.condition.borrow().health_error.clone() {
            let text = format!("Initial OBuilder healthcheck failed: {reason}");
            // On a full disk the self-test fails. The worker then waits for space, and reports that.
            if !self
                .builder
                .space()
                .is_ok_and(|space| is_short(space, upkeep))
            {
                return drop(started.send(Err(text)));
            }
            tracing::warn!(target: "obuilder", "{}", Lines(&text));
        } else {
            tracing::info!(target: "obuilder", "OBuilder self-test passed");
        }
        self.publish();
        let published = Published {
            fitness: self.fitness.subscribe(),
            stats: self.stats.subscribe(),
            unreported: self.unreported.subscribe(),
        };
        if started.send(Ok(published)).is_err() {
            return;
        }
        let taking = async {
            while let Some(request) = requests.recv().await {
                let span = request.span.clone();
                tokio::task::spawn_local(Rc::clone(&self).build(request).instrument(span));
            }
        };
        tokio::select! {
            () = taking => {}
            () = maintain(&*self, upkeep, &self.condition) => {}
            () = self.keep_publishing() => {}
            () = self.take_reports(&mut reports) => {}
        }
        self.stop().await;
    }

    /// Waits until cancelled steps have stopped and the results are on the disk: often the machine is about to be
    /// switched off.
    async fn stop(&self) {
        if tokio::time::timeout(STOP_LIMIT, self.builder.settled())
            .await
            .is_err()
        {
            tracing::warn!("Some steps or the disk did not finish in time; exiting anyway");
        }
        let sharing = tokio::time::timeout(SHARE_LIMIT, self.builder.all_shared());
        if sharing.await.is_err() {
            tracing::info!("Some results are not shared yet; later steps will bring them along");
        }
    }

    async fn build(self: Rc<Self>, request: BuildRequest) {
        let BuildRequest {
            spec,
            hint,
            source,
            secrets,
            cancel,
            log,
            span: _,
            done,
        } = request;
        let result = match self.wait_for_room(&log, &cancel).await {
            Ok(()) => {
                self.hints.borrow_mut().begin(&hint);
                let context = Context {
                    secrets,
                    cancel,
                    stop_limit: CANCEL_LIMIT,
                    ..Context::new(source, Rc::new(log))
                };
                let result = self.builder.build(&context, &spec).await;
                let id = result.as_ref().ok().copied();
                self.hints.borrow_mut().end(&hint, id);
                self.publish_lost();
                result
            }
            Err(error) => Err(error),
        };
        self.publish();
        // If the job has ended, there is no receiver.
        drop(done.send(result));
    }

    /// Waits while the store is being pruned: a build would fill the disk again.
    async fn wait_for_room(
        &self,
        log: &LogWriter,
        cancel: &CancellationToken,
    ) -> Result<(), BuildError> {
        let mut condition = self.condition.subscribe();
        let free = {
            let now = condition.borrow();
            if !now.is_making_room() {
                return Ok(());
            }
            now.free_percent()
        };
        let text = format!("Waiting for free space on this worker's disk ({free:.0}% free)");
        log.remark(&text).map_err(BuildError::Log)?;
        tokio::select! {
            // `self` holds the sender, so this ends only when there is space.
            _ = condition.wait_for(|condition| !condition.is_making_room()) => Ok(()),
            () = cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// Finds out which cache hints are lost. `is_pruned`: results were removed just now.
    fn check_hints(&self, is_pruned: bool) {
        let exists = |id: &StepId| {
            self.builder.has_result(id).unwrap_or_else(|error| {
                tracing::warn!("Cannot look for {id} in OBuilder's store: {error}");
                true
            })
        };
        self.hints.borrow_mut().check(is_pruned, exists);
        self.publish_lost();
    }

    fn publish_lost(&self) {
        let unreported = self.hints.borrow().unreported();
        self.unreported.send_if_modified(|published| {
            let changed = *published != unreported;
            *published = unreported;
            changed
        });
    }

    /// Takes what the scheduler was told. Never ends.
    async fn take_reports(&self, reports: &mut mpsc::UnboundedReceiver<Pruned>) {
        while let Some(pruned) = reports.recv().await {
            self.hints.borrow_mut().reported(&pruned);
            self.publish_lost();
        }
        std::future::pending::<()>().await;
    }

    async fn keep_publishing(&self) {
        let mut condition = self.condition.subscribe();
        loop {
            // The first time, this publishes what was found before the subscription.
            self.publish();
            // `self` holds the sender, so this cannot fail.
            drop(condition.changed().await);
        }
    }

    fn publish(&self) {
        let condition = self.condition.borrow().clone();
        let unfit = condition.unfit();
        let Stats {
            hits,
            misses,
            not_stopped,
        } = self.builder.stats();
        self.stats.send_replace(BuilderStats {
            hits,
            misses,
            not_stopped,
            shared: self.builder.shared_stats(),
            free_percent: condition.free_percent(),
            healthy: condition.health_error.is_none(),
            check_time: condition.check_time,
        });
        self.fitness.send_if_modified(|published| {
            let changed = *published != unfit;
            *published = unfit;
            changed
        });
    }
}

impl Maintained for BuilderLoop {
    fn space(&self) -> Result<Space, String> {
        self.builder.space().map_err(|error| error.to_string())
    }

    fn results(&self) -> Result<u64, String> {
        self.builder.count().map_err(|error| error.to_string())
    }

    fn make_room<'a>(
        &'a self,
        limit: usize,
        is_enough: IsEnough<'a>,
    ) -> LocalBoxFuture<'a, Result<RoomResult, String>> {
        async move {
            // Results that were used within this second may go, too. Those that a build uses are kept in any case.
            let before = Timestamp::now() + SignedDuration::from_secs(1);
            let is_pruned = Cell::new(false);
            let mut removed = |removed: Removed<'_>| match removed {
                Removed::Result(id) => {
                    tracing::debug!("Removing {id}");
                    is_pruned.set(true);
                }
                Removed::Cache(name) => {
                    tracing::warn!(
                        "Removing the cache {:?}: no results are left to remove",
                        name.0
                    );
                }
            };
            let builder = &self.builder;
            let made = builder
                .make_room(before, limit, is_enough, &mut removed)
                .await;
            if is_pruned.get() {
                self.check_hints(true);
            }
            Ok(match made.map_err(|error| error.to_string())? {
                RoomMade::Enough => RoomResult::Enough,
                RoomMade::Freed(count) => RoomResult::Removed(count),
                RoomMade::OutOfReach { reclaimable: _ } => RoomResult::OutOfReach,
            })
        }
        .boxed_local()
    }

    fn check(&self) -> LocalBoxFuture<'_, Result<(), String>> {
        async move {
            let checked = self.builder.healthcheck(CHECK_LIMIT).await;
            checked.map_err(|error| error.to_string())
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::local;

    #[test]
    fn a_crash_of_the_builder_is_noticed() {
        local(async {
            let (fitness, stats) = (watch::Sender::default(), watch::Sender::default());
            let unreported = watch::Sender::default();
            let (crash, crashing) = std::sync::mpsc::channel::<()>();
            let builder = BuilderThread {
                requests: RefCell::default(),
                fitness: fitness.subscribe(),
                stats: stats.subscribe(),
                unreported: unreported.subscribe(),
                reported: mpsc::unbounded_channel().0,
                thread: RefCell::new(Some(std::thread::spawn(move || {
                    fitness.send_replace(Some(Unfit::MakingRoom));
                    crashing.recv().expect("a bug");
                }))),
            };
            let mut ended = std::pin::pin!(builder.ended());
            assert!(futures::poll!(&mut ended).is_pending());
            drop(crash);
            ended.await;
            let error = builder.finish().await.unwrap_err();
            assert_eq!(
                error,
                "the worker's builder has crashed; see the worker's log"
            );
        });
    }
}
