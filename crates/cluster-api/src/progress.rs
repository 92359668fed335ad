//! Progress: where an operator's program learns how a long request is coming along.

use std::future::Future;
use std::rc::Rc;

use crate::RpcError;
use crate::answer::Answer;
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::raw::schema_capnp::progress;
use crate::text::text;

handle! {
    /// A reference to somebody who wants to know.
    Progress, progress
}

impl Progress {
    /// Serves `progress`.
    pub fn serve<S: ServeProgress>(progress: Rc<S>) -> Self {
        Self::from_raw(dispatch::new_client(Served::new(progress, nothing)))
    }

    /// Shows a line of status. Await it before the next, to go no faster than the reader.
    pub fn report(&self, status: &str) -> Answer<()> {
        let mut request = self.client.report_request();
        request.get().set_status(status);
        Answer::new(
            request.send().promise,
            |_: progress::report_results::Reader<'_>| Ok(()),
        )
    }
}

/// Progress as an operator's program implements it.
pub trait ServeProgress: 'static {
    /// See [`Progress::report`].
    fn report(self: Rc<Self>, status: String) -> impl Future<Output = Result<(), RpcError>>;
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
