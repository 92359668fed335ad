//! Progress: the status of a long request, for an operator's program.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::raw::extensions_capnp::{extended_progress, progress_status};
use crate::raw::schema_capnp::progress;
use crate::text::{malformed, text};
use crate::{ProgressStatus, RpcError, RpcErrorKind};

handle! {
    /// A reference to a program that shows the status of a request.
    Progress, progress
}

impl Progress {
    /// Serves `progress`, together with the extension [`Progress::report_status`].
    pub fn serve<S: ServeProgress>(progress: Rc<S>) -> Self {
        let client: extended_progress::Client =
            dispatch::new_client(Served::new(progress, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Reports a status: as data, or as text to a program that does not know this extension of ours.
    ///
    /// Await it before the next report, so that a slow reader is not flooded.
    ///
    /// # Errors
    /// When the program cannot show it, or is gone.
    pub fn report_status(
        &self,
        status: ProgressStatus,
    ) -> impl Future<Output = Result<(), RpcError>> + 'static {
        let progress = self.clone();
        async move {
            let client: progress_status::Client = progress.client.clone().cast_to();
            let mut request = client.report_request();
            status.write(request.get().init_status());
            let typed: Answer<()> = Answer::new(
                request.send().promise,
                |_: progress_status::report_results::Reader<'_>| Ok(()),
            );
            match typed.await {
                Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                    progress.report(&status.to_string()).await
                }
                reported => reported,
            }
        }
    }

    /// Reports a status as a line of text. Await it before the next report, so that a slow reader is not flooded.
    pub fn report(&self, status: &str) -> Answer<()> {
        let mut request = self.client.report_request();
        request.get().set_status(status);
        Answer::new(
            request.send().promise,
            |_: progress::report_results::Reader<'_>| Ok(()),
        )
    }
}

/// Progress, as an operator's program implements it.
pub trait ServeProgress: 'static {
    /// See [`Progress::report`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn report(self: Rc<Self>, status: String) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`Progress::report_status`]. Optional: the default shows the text.
    ///
    /// # Errors
    /// The caller gets the error.
    fn report_status(
        self: Rc<Self>,
        status: ProgressStatus,
    ) -> impl Future<Output = Result<(), RpcError>> {
        self.report(status.to_string())
    }
}

impl<S: ServeProgress> progress::Server for Served<S> {
    fn report(
        self: Rc<Self>,
        params: progress::ReportParams,
        _results: progress::ReportResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let progress = self.object();
        async move {
            let status = text(params.get()?.get_status(), "status")?;
            Ok(progress.report(status).await?)
        }
    }
}

impl<S: ServeProgress> progress_status::Server for Served<S> {
    fn report(
        self: Rc<Self>,
        params: progress_status::ReportParams,
        _results: progress_status::ReportResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let progress = self.object();
        async move {
            let status = params.get()?.get_status();
            let status =
                ProgressStatus::read(status.map_err(|error| malformed(&error, "status"))?)?;
            drop(params);
            Ok(progress.report_status(status).await?)
        }
    }
}

impl<S: ServeProgress> extended_progress::Server for Served<S> {}
