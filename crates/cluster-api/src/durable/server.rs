//! Durable jobs, as a scheduler implements them.

use std::future::{Future, ready};
use std::rc::Rc;

use super::{DurableDetails, DurableLogChunk, DurableStatus, JobQuery, JobRequest, MAX_NAME_BYTES};
use crate::handle::Served;
use crate::raw::extensions_capnp::{durable_job, durable_jobs, extended_durable_job};
use crate::text::{long_text, malformed, text};
use crate::web_link::no_pages;
use crate::{DurableJob, LogTimesPage, Phase, RpcError, ServeExplained, ServeSubmission, WebLink};

/// A durable job, as a scheduler implements it.
pub trait ServeDurableJob: ServeExplained {
    /// See [`DurableJob::status`] and [`DurableJob::watch`]; version 0 does not wait.
    ///
    /// # Errors
    /// The caller gets the error.
    fn watch(
        self: Rc<Self>,
        version: Option<u64>,
    ) -> impl Future<Output = Result<DurableStatus, RpcError>>;

    /// See [`DurableJob::log`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn log(
        self: Rc<Self>,
        attempt: u32,
        start: u64,
    ) -> impl Future<Output = Result<DurableLogChunk, RpcError>>;

    /// See [`DurableJob::cancel`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`DurableJob::retry`]. Returns the new job and its id.
    ///
    /// # Errors
    /// The caller gets the error.
    fn retry(
        self: Rc<Self>,
        key: Option<String>,
        continues: bool,
    ) -> impl Future<Output = Result<(String, DurableJob), RpcError>>;

    /// See [`DurableJob::share`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn share(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>>;

    /// See [`DurableJob::describe`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn describe(self: Rc<Self>) -> impl Future<Output = Result<DurableDetails, RpcError>>;

    /// See [`DurableJob::phases`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn phases(self: Rc<Self>, _attempt: u32) -> impl Future<Output = Result<Vec<Phase>, RpcError>> {
        ready(Err(no_times()))
    }

    /// See [`DurableJob::log_times`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn log_times(
        self: Rc<Self>,
        _attempt: u32,
        _start: u64,
        _end: u64,
    ) -> impl Future<Output = Result<LogTimesPage, RpcError>> {
        ready(Err(no_times()))
    }

    /// See [`DurableJob::web_link`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn web_link(self: Rc<Self>) -> impl Future<Output = Result<WebLink, RpcError>> {
        futures::future::ready(Err(no_pages()))
    }

    /// The last reference was dropped: this caller does not watch the job any more.
    ///
    /// This is called from inside the RPC system: it may record the event and wake a task, but must not make calls.
    fn released(&self);
}

/// The error of a scheduler that keeps no times.
fn no_times() -> RpcError {
    RpcError::unimplemented("this scheduler keeps no times of jobs")
}

impl<S: ServeSubmission> durable_jobs::Server for Served<S> {
    fn submit(
        self: Rc<Self>,
        params: durable_jobs::SubmitParams,
        mut results: durable_jobs::SubmitResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let jobs = self.object();
        async move {
            let request = params
                .get()?
                .get_request()
                .map_err(|error| malformed(&error, "request"))?;
            let request = JobRequest::read(request)?;
            drop(params);
            let (id, job) = jobs.submit_durable(request).await?;
            results.get().set_id(&id);
            results.get().set_job(job.into_raw());
            Ok(())
        }
    }

    fn find(
        self: Rc<Self>,
        params: durable_jobs::FindParams,
        mut results: durable_jobs::FindResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let jobs = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            let observing = params.get()?.get_observing();
            drop(params);
            let (id, job) = jobs.find_durable(id, observing).await?;
            results.get().set_id(&id);
            results.get().set_job(job.into_raw());
            Ok(())
        }
    }

    fn list(
        self: Rc<Self>,
        params: durable_jobs::ListParams,
        mut results: durable_jobs::ListResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let jobs = self.object();
        async move {
            let query = params
                .get()?
                .get_query()
                .map_err(|error| malformed(&error, "query"))?;
            let query = JobQuery::read(query)?;
            drop(params);
            let page = jobs.list_durable(query).await?;
            Ok(page.write(results.get())?)
        }
    }
}

impl<S: ServeDurableJob> durable_job::Server for Served<S> {
    fn status(
        self: Rc<Self>,
        _params: durable_job::StatusParams,
        mut results: durable_job::StatusResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let status = job.watch(None).await?;
            Ok(status.write(results.get().init_status())?)
        }
    }

    fn watch(
        self: Rc<Self>,
        params: durable_job::WatchParams,
        mut results: durable_job::WatchResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let version = params.get()?.get_version();
            drop(params);
            let status = job.watch(Some(version)).await?;
            Ok(status.write(results.get().init_status())?)
        }
    }

    fn log(
        self: Rc<Self>,
        params: durable_job::LogParams,
        mut results: durable_job::LogResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let (attempt, start) = (params.get()?.get_attempt(), params.get()?.get_start());
            drop(params);
            let DurableLogChunk { bytes, next } = job.log(attempt, start).await?;
            results.get().set_log(&bytes);
            results.get().set_next(next);
            Ok(())
        }
    }

    fn cancel(
        self: Rc<Self>,
        _params: durable_job::CancelParams,
        _results: durable_job::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move { Ok(job.cancel().await?) }
    }

    fn retry(
        self: Rc<Self>,
        params: durable_job::RetryParams,
        mut results: durable_job::RetryResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let key = long_text(params.get()?.get_key(), "key", MAX_NAME_BYTES)?;
            let continues = params.get()?.get_continues();
            drop(params);
            let key = Some(key).filter(|key| !key.is_empty());
            let (id, job) = job.retry(key, continues).await?;
            results.get().set_id(&id);
            results.get().set_job(job.into_raw());
            Ok(())
        }
    }

    fn share(
        self: Rc<Self>,
        _params: durable_job::ShareParams,
        mut results: durable_job::ShareResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            results.get().set_sturdy_ref(job.share().await?);
            Ok(())
        }
    }

    fn describe(
        self: Rc<Self>,
        _params: durable_job::DescribeParams,
        mut results: durable_job::DescribeResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let details = job.describe().await?;
            Ok(details.write(results.get().init_details())?)
        }
    }
}

impl<S: ServeDurableJob> extended_durable_job::Server for Served<S> {}
