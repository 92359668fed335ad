//! Pool admin: a pool's administration.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::overview::MAX_STATE_BYTES;
use crate::raw::extensions_capnp::{
    extended_pool_admin, pool_control, pool_details, temporary_pause,
};
use crate::raw::schema_capnp::{pool_admin, worker_info};
use crate::text::{capability, check_length, list_length, long_text, malformed, returned, text};
use crate::{PoolDetails, PoolOverview, Progress, RpcError, Worker, WorkerDetails};

handle! {
    /// The right to administer one pool.
    PoolAdmin, pool_admin
}

/// One worker of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The name it registered with.
    pub name: String,
    /// Whether it is ready to take jobs: false while it is paused.
    pub active: bool,
    /// Whether it is registered now.
    pub connected: bool,
}

/// How an operator pauses a worker. See [`PoolAdmin::pause`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPause {
    /// The operator, as their program reports. It may be any text, and is not checked.
    pub by: String,
    /// The reason; empty if there is none.
    pub note: String,
    /// Whether a worker that has never registered may be paused.
    pub auto_create: bool,
    /// Whether the pause ends when the worker reconnects.
    pub until_reconnect: bool,
}

impl PoolAdmin {
    /// Serves `pool`, together with our extensions, such as [`PoolAdmin::pause_worker`] and [`PoolAdmin::details`].
    pub fn serve<S: ServePoolAdmin>(pool: Rc<S>) -> Self {
        let client: extended_pool_admin::Client = dispatch::new_client(Served::new(pool, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Returns the state of the pool, as text for people.
    pub fn show(&self) -> Answer<String> {
        let request = self.client.show_request();
        Answer::new(
            request.send().promise,
            |results: pool_admin::show_results::Reader<'_>| {
                long_text(results.get_state(), "state", MAX_STATE_BYTES)
            },
        )
    }

    /// Returns the pool's workers, including those that are known but not connected.
    pub fn workers(&self) -> Answer<Vec<WorkerInfo>> {
        let request = self.client.workers_request();
        Answer::new(request.send().promise, read_workers)
    }

    /// Pauses a worker, or ends its pause. The pause lasts across reconnects.
    ///
    /// With `auto_create`, the worker may be one that has never registered.
    pub fn set_active(&self, worker: &str, active: bool, auto_create: bool) -> Answer<()> {
        let mut request = self.client.set_active_request();
        let mut params = request.get();
        params.set_worker(worker);
        params.set_active(active);
        params.set_auto_create(auto_create);
        Answer::new(
            request.send().promise,
            |_: pool_admin::set_active_results::Reader<'_>| Ok(()),
        )
    }

    /// Pauses a connected worker until it reconnects, or ends such a pause.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn pause_worker(&self, worker: &str, paused: bool) -> Answer<()> {
        let client: temporary_pause::Client = self.client.clone().cast_to();
        let mut request = client.pause_worker_request();
        let mut params = request.get();
        params.set_worker(worker);
        params.set_paused(paused);
        Answer::new(
            request.send().promise,
            |_: temporary_pause::pause_worker_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns the details of the pool and all its workers.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn details(&self) -> Answer<PoolDetails> {
        let client: pool_details::Client = self.client.clone().cast_to();
        let request = client.details_request();
        Answer::new(
            request.send().promise,
            |results: pool_details::details_results::Reader<'_>| {
                let details = results.get_details();
                PoolDetails::read(details.map_err(|error| malformed(&error, "details"))?)
            },
        )
    }

    /// Returns the details of one worker, connected or not.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn worker_details(&self, worker: &str) -> Answer<WorkerDetails> {
        let client: pool_details::Client = self.client.clone().cast_to();
        let mut request = client.worker_details_request();
        request.get().set_worker(worker);
        Answer::new(
            request.send().promise,
            |results: pool_details::worker_details_results::Reader<'_>| {
                let details = results.get_details();
                WorkerDetails::read(
                    details.map_err(|error| malformed(&error, "details"))?,
                    "details",
                )
            },
        )
    }

    /// Returns an overview of the pool, with at most `most` jobs of each queue.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn overview(&self, most: u32) -> Answer<PoolOverview> {
        let client: pool_control::Client = self.client.clone().cast_to();
        let mut request = client.overview_request();
        request.get().set_most(most);
        Answer::new(
            request.send().promise,
            |results: pool_control::overview_results::Reader<'_>| {
                let overview = results.get_overview();
                PoolOverview::read(overview.map_err(|error| malformed(&error, "overview"))?)
            },
        )
    }

    /// Pauses a worker, and stores who paused it and why.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn pause(&self, worker: &str, pause: &NewPause) -> Answer<()> {
        let NewPause {
            by,
            note,
            auto_create,
            until_reconnect,
        } = pause;
        let client: pool_control::Client = self.client.clone().cast_to();
        let mut request = client.pause_request();
        let mut params = request.get();
        params.set_worker(worker);
        params.set_by(by);
        params.set_note(note);
        params.set_auto_create(*auto_create);
        params.set_until_reconnect(*until_reconnect);
        Answer::new(
            request.send().promise,
            |_: pool_control::pause_results::Reader<'_>| Ok(()),
        )
    }

    /// Cancels the job with the number `ticket`, and returns which worker ran it; `None` if it was queued.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn cancel(&self, ticket: u64, by: &str) -> Answer<Option<String>> {
        let client: pool_control::Client = self.client.clone().cast_to();
        let mut request = client.cancel_request();
        let mut params = request.get();
        params.set_ticket(ticket);
        params.set_by(by);
        Answer::new(
            request.send().promise,
            |results: pool_control::cancel_results::Reader<'_>| {
                let worker = text(results.get_worker(), "worker")?;
                Ok(Some(worker).filter(|worker| !worker.is_empty()))
            },
        )
    }

    /// Returns the object of a connected worker.
    pub fn worker(&self, name: &str) -> Pipelined<Worker> {
        let mut request = self.client.worker_request();
        request.get().set_worker(name);
        let sent = request.send();
        let worker = Worker::from_raw(sent.pipeline.get_worker());
        let answer = Answer::new(
            sent.promise,
            |results: pool_admin::worker_results::Reader<'_>| {
                Ok(Worker::from_raw(returned(results.get_worker(), "worker")?))
            },
        );
        Pipelined::new(worker, answer)
    }

    /// Drains a connected worker, asks it to update itself, and waits until it is back.
    pub fn update(&self, worker: &str, progress: impl Into<Option<Progress>>) -> Answer<()> {
        let mut request = self.client.update_request();
        let mut params = request.get();
        params.set_worker(worker);
        if let Some(progress) = progress.into() {
            params.set_progress(progress.into_raw());
        }
        Answer::new(
            request.send().promise,
            |_: pool_admin::update_results::Reader<'_>| Ok(()),
        )
    }

    /// Sets a client's share of this pool.
    pub fn set_rate(&self, client: &str, rate: f64) -> Answer<()> {
        let mut request = self.client.set_rate_request();
        let mut params = request.get();
        params.set_id(client);
        params.set_rate(rate);
        Answer::new(
            request.send().promise,
            |_: pool_admin::set_rate_results::Reader<'_>| Ok(()),
        )
    }

    /// Forgets a worker that is not connected.
    pub fn forget(&self, worker: &str) -> Answer<()> {
        let mut request = self.client.forget_request();
        request.get().set_worker(worker);
        Answer::new(
            request.send().promise,
            |_: pool_admin::forget_results::Reader<'_>| Ok(()),
        )
    }

    /// Pauses a worker, and waits until it runs no more jobs.
    pub fn drain(&self, worker: &str, progress: impl Into<Option<Progress>>) -> Answer<()> {
        let mut request = self.client.drain_request();
        let mut params = request.get();
        params.set_worker(worker);
        if let Some(progress) = progress.into() {
            params.set_progress(progress.into_raw());
        }
        Answer::new(
            request.send().promise,
            |_: pool_admin::drain_results::Reader<'_>| Ok(()),
        )
    }
}

fn read_workers(
    results: pool_admin::workers_results::Reader<'_>,
) -> Result<Vec<WorkerInfo>, RpcError> {
    let size = results.total_size();
    let workers = results
        .get_workers()
        .map_err(|error| malformed(&error, "workers"))?;
    check_length(size, workers.len(), "workers")?;
    workers
        .iter()
        .enumerate()
        .map(|(index, info)| WorkerInfo::read(info, index))
        .collect()
}

impl WorkerInfo {
    fn read(reader: worker_info::Reader<'_>, index: usize) -> Result<Self, RpcError> {
        Ok(Self {
            name: text(reader.get_name(), format_args!("workers[{index}].name"))?,
            active: reader.get_active(),
            connected: reader.get_connected(),
        })
    }

    fn write(&self, mut builder: worker_info::Builder<'_>) {
        let Self {
            name,
            active,
            connected,
        } = self;
        builder.set_name(name);
        builder.set_active(*active);
        builder.set_connected(*connected);
    }
}

/// A pool's administration, as a scheduler implements it.
///
/// `progress` is `None` for programs that do not show it, and for older ones.
pub trait ServePoolAdmin: 'static {
    /// See [`PoolAdmin::show`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn show(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>>;

    /// See [`PoolAdmin::workers`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn workers(self: Rc<Self>) -> impl Future<Output = Result<Vec<WorkerInfo>, RpcError>>;

    /// See [`PoolAdmin::set_active`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_active(
        self: Rc<Self>,
        worker: String,
        active: bool,
        auto_create: bool,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::pause_worker`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn pause_worker(
        self: Rc<Self>,
        worker: String,
        paused: bool,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::details`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn details(self: Rc<Self>) -> impl Future<Output = Result<PoolDetails, RpcError>>;

    /// See [`PoolAdmin::worker_details`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn worker_details(
        self: Rc<Self>,
        worker: String,
    ) -> impl Future<Output = Result<WorkerDetails, RpcError>>;

    /// See [`PoolAdmin::overview`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn overview(self: Rc<Self>, most: u32) -> impl Future<Output = Result<PoolOverview, RpcError>> {
        let _: u32 = most;
        futures::future::ready(Err(RpcError::unimplemented("this pool has no overview")))
    }

    /// See [`PoolAdmin::pause`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn pause(
        self: Rc<Self>,
        _worker: String,
        _pause: NewPause,
    ) -> impl Future<Output = Result<(), RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented(
            "this pool does not store who paused a worker",
        )))
    }

    /// See [`PoolAdmin::cancel`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel(
        self: Rc<Self>,
        _ticket: u64,
        _by: String,
    ) -> impl Future<Output = Result<Option<String>, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented("this pool cannot cancel jobs")))
    }

    /// See [`PoolAdmin::worker`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn worker(self: Rc<Self>, name: String) -> impl Future<Output = Result<Worker, RpcError>>;

    /// See [`PoolAdmin::update`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn update(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::set_rate`]. The rate is not checked: it may be negative, or not a number.
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_rate(
        self: Rc<Self>,
        client: String,
        rate: f64,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::forget`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn forget(self: Rc<Self>, worker: String) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::drain`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn drain(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(), RpcError>>;
}

impl<S: ServePoolAdmin> pool_admin::Server for Served<S> {
    fn show(
        self: Rc<Self>,
        _params: pool_admin::ShowParams,
        mut results: pool_admin::ShowResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let state = pool.show().await?;
            results.get().set_state(&state);
            Ok(())
        }
    }

    fn workers(
        self: Rc<Self>,
        _params: pool_admin::WorkersParams,
        mut results: pool_admin::WorkersResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let workers = pool.workers().await?;
            let length = list_length(&workers, "workers")?;
            let mut list = results.get().init_workers(length);
            for (index, worker) in (0..).zip(&workers) {
                worker.write(list.reborrow().get(index));
            }
            Ok(())
        }
    }

    fn set_active(
        self: Rc<Self>,
        params: pool_admin::SetActiveParams,
        _results: pool_admin::SetActiveResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let (active, auto_create) = (reader.get_active(), reader.get_auto_create());
            Ok(pool.set_active(worker, active, auto_create).await?)
        }
    }

    fn worker(
        self: Rc<Self>,
        params: pool_admin::WorkerParams,
        mut results: pool_admin::WorkerResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let name = text(params.get()?.get_worker(), "worker")?;
            let worker = pool.worker(name).await?;
            results.get().set_worker(worker.into_raw());
            Ok(())
        }
    }

    fn update(
        self: Rc<Self>,
        params: pool_admin::UpdateParams,
        _results: pool_admin::UpdateResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let progress = capability(reader.get_progress(), "progress")?.map(Progress::from_raw);
            drop(params);
            Ok(pool.update(worker, progress).await?)
        }
    }

    fn set_rate(
        self: Rc<Self>,
        params: pool_admin::SetRateParams,
        _results: pool_admin::SetRateResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let client = text(reader.get_id(), "id")?;
            Ok(pool.set_rate(client, reader.get_rate()).await?)
        }
    }

    fn forget(
        self: Rc<Self>,
        params: pool_admin::ForgetParams,
        _results: pool_admin::ForgetResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let worker = text(params.get()?.get_worker(), "worker")?;
            Ok(pool.forget(worker).await?)
        }
    }

    fn drain(
        self: Rc<Self>,
        params: pool_admin::DrainParams,
        _results: pool_admin::DrainResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let progress = capability(reader.get_progress(), "progress")?.map(Progress::from_raw);
            drop(params);
            Ok(pool.drain(worker, progress).await?)
        }
    }
}

impl<S: ServePoolAdmin> temporary_pause::Server for Served<S> {
    fn pause_worker(
        self: Rc<Self>,
        params: temporary_pause::PauseWorkerParams,
        _results: temporary_pause::PauseWorkerResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            Ok(pool.pause_worker(worker, reader.get_paused()).await?)
        }
    }
}

impl<S: ServePoolAdmin> pool_details::Server for Served<S> {
    fn details(
        self: Rc<Self>,
        _params: pool_details::DetailsParams,
        mut results: pool_details::DetailsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let details = pool.details().await?;
            Ok(details.write(results.get().init_details())?)
        }
    }

    fn worker_details(
        self: Rc<Self>,
        params: pool_details::WorkerDetailsParams,
        mut results: pool_details::WorkerDetailsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let worker = text(params.get()?.get_worker(), "worker")?;
            let details = pool.worker_details(worker).await?;
            Ok(details.write(results.get().init_details())?)
        }
    }
}

impl<S: ServePoolAdmin> pool_control::Server for Served<S> {
    fn overview(
        self: Rc<Self>,
        params: pool_control::OverviewParams,
        mut results: pool_control::OverviewResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let most = params.get()?.get_most();
            let overview = pool.overview(most).await?;
            Ok(overview.write(results.get().init_overview())?)
        }
    }

    fn pause(
        self: Rc<Self>,
        params: pool_control::PauseParams,
        _results: pool_control::PauseResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let pause = NewPause {
                by: text(reader.get_by(), "by")?,
                note: text(reader.get_note(), "note")?,
                auto_create: reader.get_auto_create(),
                until_reconnect: reader.get_until_reconnect(),
            };
            Ok(pool.pause(worker, pause).await?)
        }
    }

    fn cancel(
        self: Rc<Self>,
        params: pool_control::CancelParams,
        mut results: pool_control::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let (ticket, by) = (reader.get_ticket(), text(reader.get_by(), "by")?);
            let worker = pool.cancel(ticket, by).await?;
            results.get().set_worker(worker.unwrap_or_default());
            Ok(())
        }
    }
}

impl<S: ServePoolAdmin> extended_pool_admin::Server for Served<S> {}
