//! Pool admin: a pool's administration.

mod listed_worker;
mod server;
mod service;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::overview::MAX_STATE_BYTES;
use crate::raw::extensions_capnp::{
    extended_pool_admin, pool_control, pool_details, temporary_pause,
};
use crate::raw::schema_capnp::pool_admin;
use crate::text::{check_length, long_text, malformed, returned, text};
use crate::{PoolDetails, PoolOverview, Progress, RpcError, Worker, WorkerDetails};
pub use listed_worker::WorkerInfo;
pub use service::ServePoolAdmin;

handle! {
    /// The right to administer one pool.
    PoolAdmin, pool_admin
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
