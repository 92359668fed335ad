//! Workers: the object through which each is administered.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::RpcError;
use crate::answer::Answer;
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::raw::extensions_capnp::{extended_worker, worker_control};
use crate::raw::schema_capnp::{additional_metric, metric, worker};
use crate::text::{long_text, malformed, text};

/// The limit for a page of a worker's metrics, in bytes. A machine with hundreds of disks and interfaces has less
/// than 1 MiB.
pub const MAX_METRICS_BYTES: usize = 16 << 20;

handle! {
    /// A reference to a worker's own object.
    Worker, worker
}

/// One of the two standard sources of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricsSource {
    /// The worker's program.
    Agent,
    /// The machine that it runs on.
    Host,
}

/// Metrics in the form that Prometheus scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The HTTP content type of `data`.
    pub content_type: String,
    /// The body.
    pub data: String,
}

impl Worker {
    /// Serves `worker`, together with the extensions [`Worker::version`] and [`Worker::cancel_job`].
    pub fn serve<S: ServeWorker>(worker: Rc<S>) -> Self {
        let client: extended_worker::Client = dispatch::new_client(Served::new(worker, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Returns the version of the worker's program.
    ///
    /// This is an extension of ours: upstream's worker answers `Unimplemented`.
    pub fn version(&self) -> Answer<String> {
        let client: worker_control::Client = self.client.clone().cast_to();
        Answer::new(
            client.version_request().send().promise,
            |results: worker_control::version_results::Reader<'_>| {
                text(results.get_version(), "version")
            },
        )
    }

    /// Cancels the `nth` job of this registration, counted from 1.
    ///
    /// This is an extension of ours: upstream's worker answers `Unimplemented`.
    pub fn cancel_job(&self, nth: u64) -> Answer<()> {
        let client: worker_control::Client = self.client.clone().cast_to();
        let mut request = client.cancel_job_request();
        request.get().set_nth(nth);
        Answer::new(
            request.send().promise,
            |_: worker_control::cancel_job_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns the metrics of the worker's program or of its machine.
    pub fn metrics(&self, source: MetricsSource) -> Answer<Metric> {
        let mut request = self.client.metrics_request();
        request.get().set_source(match source {
            MetricsSource::Agent => worker::MetricsSource::Agent,
            MetricsSource::Host => worker::MetricsSource::Host,
        });
        Answer::new(
            request.send().promise,
            |results: worker::metrics_results::Reader<'_>| {
                Ok(Metric {
                    content_type: text(results.get_content_type(), "contentType")?,
                    data: long_text(results.get_data(), "data", MAX_METRICS_BYTES)?,
                })
            },
        )
    }

    /// Asks the worker to finish its jobs and restart in its latest version.
    ///
    /// If it succeeds, the call fails with the kind `Disconnected`, and the worker registers again. A call that returns
    /// normally is an error of the worker.
    pub fn self_update(&self) -> Answer<()> {
        let request = self.client.self_update_request();
        Answer::new(
            request.send().promise,
            |_: worker::self_update_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns the metrics of another source, or `None` if the worker has none of that name.
    pub fn additional_metric(&self, source: &str) -> Answer<Option<Metric>> {
        let mut request = self.client.additional_metric_request();
        request.get().set_source(source);
        let sent = request.send();
        Answer::new(
            sent.promise,
            |results: worker::additional_metric_results::Reader<'_>| {
                let metric = results
                    .get_metric()
                    .map_err(|error| malformed(&error, "metric"))?;
                match metric.which() {
                    Ok(additional_metric::Metric(metric)) => {
                        let metric = metric.map_err(|error| malformed(&error, "metric"))?;
                        Ok(Some(Metric::read(metric)?))
                    }
                    Ok(additional_metric::NotReported(())) => Ok(None),
                    Err(capnp::NotInSchema(tag)) => {
                        Err(RpcError::failed(format!("Unknown metric type {tag}")))
                    }
                }
            },
        )
    }
}

impl Metric {
    fn read(reader: metric::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            content_type: text(reader.get_content_type(), "contentType")?,
            data: long_text(reader.get_data(), "data", MAX_METRICS_BYTES)?,
        })
    }
}

/// A worker, as its program implements it.
pub trait ServeWorker: 'static {
    /// See [`Worker::metrics`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn metrics(
        self: Rc<Self>,
        source: MetricsSource,
    ) -> impl Future<Output = Result<Metric, RpcError>>;

    /// See [`Worker::self_update`]. It cannot return successfully, as its program is replaced.
    ///
    /// # Errors
    /// The caller gets the error.
    fn self_update(self: Rc<Self>) -> impl Future<Output = Result<Infallible, RpcError>>;

    /// See [`Worker::additional_metric`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn additional_metric(
        self: Rc<Self>,
        source: String,
    ) -> impl Future<Output = Result<Option<Metric>, RpcError>>;

    /// See [`Worker::version`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn version(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented(
            "this worker does not report its version",
        )))
    }

    /// See [`Worker::cancel_job`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel_job(self: Rc<Self>, _nth: u64) -> impl Future<Output = Result<(), RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented(
            "this worker cannot cancel single jobs",
        )))
    }
}

impl<S: ServeWorker> worker::Server for Served<S> {
    fn metrics(
        self: Rc<Self>,
        params: worker::MetricsParams,
        mut results: worker::MetricsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let worker = self.object();
        async move {
            let source = match params.get()?.get_source() {
                Ok(worker::MetricsSource::Agent) => MetricsSource::Agent,
                Ok(worker::MetricsSource::Host) => MetricsSource::Host,
                Err(capnp::NotInSchema(_)) => {
                    return Err(RpcError::failed("Unknown metrics source").into());
                }
            };
            drop(params);
            let Metric { content_type, data } = worker.metrics(source).await?;
            let mut results = results.get();
            results.set_content_type(&content_type);
            results.set_data(&data);
            Ok(())
        }
    }

    fn self_update(
        self: Rc<Self>,
        _params: worker::SelfUpdateParams,
        _results: worker::SelfUpdateResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let worker = self.object();
        async move { match worker.self_update().await? {} }
    }

    fn additional_metric(
        self: Rc<Self>,
        params: worker::AdditionalMetricParams,
        mut results: worker::AdditionalMetricResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let worker = self.object();
        async move {
            let source = text(params.get()?.get_source(), "source")?;
            drop(params);
            let metric = worker.additional_metric(source).await?;
            let mut builder = results.get().init_metric();
            match metric {
                Some(Metric { content_type, data }) => {
                    let mut metric = builder.init_metric();
                    metric.set_content_type(&content_type);
                    metric.set_data(&data);
                }
                None => builder.set_not_reported(()),
            }
            Ok(())
        }
    }
}

impl<S: ServeWorker> worker_control::Server for Served<S> {
    fn version(
        self: Rc<Self>,
        _params: worker_control::VersionParams,
        mut results: worker_control::VersionResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let worker = self.object();
        async move {
            let version = worker.version().await?;
            results.get().set_version(&version);
            Ok(())
        }
    }

    fn cancel_job(
        self: Rc<Self>,
        params: worker_control::CancelJobParams,
        _results: worker_control::CancelJobResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let worker = self.object();
        async move {
            let nth = params.get()?.get_nth();
            drop(params);
            Ok(worker.cancel_job(nth).await?)
        }
    }
}

impl<S: ServeWorker> extended_worker::Server for Served<S> {}
