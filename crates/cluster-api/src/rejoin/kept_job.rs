//! Attempts that a worker keeps until it is told to forget them.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::handle::Served;
use crate::raw::extensions_capnp::kept_job;
use crate::{Job, ServeJob};

impl Job {
    /// Tells the worker that log and outcome are stored, so that it deletes what it has kept of the attempt.
    ///
    /// This is an extension of ours, for the attempts of durable jobs.
    pub fn forget(&self) -> Answer<()> {
        let client: kept_job::Client = self.clone().into_raw().cast_to();
        Answer::new(
            client.forget_request().send().promise,
            |_: kept_job::forget_results::Reader<'_>| Ok(()),
        )
    }
}

impl<S: ServeJob> kept_job::Server for Served<S> {
    fn forget(
        self: Rc<Self>,
        _params: kept_job::ForgetParams,
        _results: kept_job::ForgetResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move { Ok(job.forget().await?) }
    }
}
