//! A pool's administration, as a scheduler implements it.

use std::future::Future;
use std::rc::Rc;

use super::{NewPause, WorkerInfo};
use crate::explanation::not_explained;
use crate::{
    Explanation, PoolDetails, PoolExplanations, PoolOverview, Progress, RpcError, Worker,
    WorkerDetails,
};

/// A pool's administration, as a scheduler implements it.
///
/// `progress` is `None` for programs that do not show it, and for older ones.
pub trait ServePoolAdmin: 'static {
    /// See [`PoolAdmin::show`](crate::PoolAdmin::show).
    ///
    /// # Errors
    /// The caller gets the error.
    fn show(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>>;

    /// See [`PoolAdmin::workers`](crate::PoolAdmin::workers).
    ///
    /// # Errors
    /// The caller gets the error.
    fn workers(self: Rc<Self>) -> impl Future<Output = Result<Vec<WorkerInfo>, RpcError>>;

    /// See [`PoolAdmin::set_active`](crate::PoolAdmin::set_active).
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_active(
        self: Rc<Self>,
        worker: String,
        active: bool,
        auto_create: bool,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::pause_worker`](crate::PoolAdmin::pause_worker).
    ///
    /// # Errors
    /// The caller gets the error.
    fn pause_worker(
        self: Rc<Self>,
        worker: String,
        paused: bool,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::details`](crate::PoolAdmin::details).
    ///
    /// # Errors
    /// The caller gets the error.
    fn details(self: Rc<Self>) -> impl Future<Output = Result<PoolDetails, RpcError>>;

    /// See [`PoolAdmin::worker_details`](crate::PoolAdmin::worker_details).
    ///
    /// # Errors
    /// The caller gets the error.
    fn worker_details(
        self: Rc<Self>,
        worker: String,
    ) -> impl Future<Output = Result<WorkerDetails, RpcError>>;

    /// See [`PoolAdmin::overview`](crate::PoolAdmin::overview). Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn overview(self: Rc<Self>, most: u32) -> impl Future<Output = Result<PoolOverview, RpcError>> {
        let _: u32 = most;
        futures::future::ready(Err(RpcError::unimplemented("this pool has no overview")))
    }

    /// See [`PoolAdmin::pause`](crate::PoolAdmin::pause). Optional: the default answers `Unimplemented`.
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

    /// See [`PoolAdmin::cancel`](crate::PoolAdmin::cancel). Optional: the default answers `Unimplemented`.
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

    /// See [`PoolAdmin::explain_job`](crate::PoolAdmin::explain_job). Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn explain_job(
        self: Rc<Self>,
        _ticket: u64,
    ) -> impl Future<Output = Result<Explanation, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }

    /// See [`PoolAdmin::explain_worker`](crate::PoolAdmin::explain_worker). Optional: the default answers
    /// `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn explain_worker(
        self: Rc<Self>,
        _worker: String,
    ) -> impl Future<Output = Result<Explanation, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }

    /// See [`PoolAdmin::explain`](crate::PoolAdmin::explain). Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn explain(
        self: Rc<Self>,
        _most: u32,
    ) -> impl Future<Output = Result<PoolExplanations, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }

    /// See [`PoolAdmin::job_ids`](crate::PoolAdmin::job_ids). Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn job_ids(
        self: Rc<Self>,
        _tickets: Vec<u64>,
    ) -> impl Future<Output = Result<Vec<Option<String>>, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }

    /// See [`PoolAdmin::worker`](crate::PoolAdmin::worker).
    ///
    /// # Errors
    /// The caller gets the error.
    fn worker(self: Rc<Self>, name: String) -> impl Future<Output = Result<Worker, RpcError>>;

    /// See [`PoolAdmin::update`](crate::PoolAdmin::update).
    ///
    /// # Errors
    /// The caller gets the error.
    fn update(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::set_rate`](crate::PoolAdmin::set_rate). The rate is not checked: it may be negative, or not a
    /// number.
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_rate(
        self: Rc<Self>,
        client: String,
        rate: f64,
    ) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::forget`](crate::PoolAdmin::forget).
    ///
    /// # Errors
    /// The caller gets the error.
    fn forget(self: Rc<Self>, worker: String) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`PoolAdmin::drain`](crate::PoolAdmin::drain).
    ///
    /// # Errors
    /// The caller gets the error.
    fn drain(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(), RpcError>>;
}
