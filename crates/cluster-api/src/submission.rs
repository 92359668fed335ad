//! Submissions: the right to submit jobs as a client.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::durable::not_kept;
use crate::handle::{Served, handle, nothing};
use crate::raw::extensions_capnp::{persistent, persistent_submission};
use crate::raw::schema_capnp::submission;
use crate::text::{malformed, returned, text};
use crate::web_link::no_pages;
use crate::{
    Description, DurableJob, EncodedDescription, JobPage, JobQuery, JobRequest, RpcError, Ticket,
    WebLink,
};

handle! {
    /// A client's endpoint: the right to submit jobs in its name.
    Submission, submission
}

impl Submission {
    /// Serves `submission`, together with `Persistent`.
    pub fn serve<S: ServeSubmission>(submission: Rc<S>) -> Self {
        let client: persistent_submission::Client =
            dispatch::new_client(Served::new(submission, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Adds a job to a pool's backlog. Urgent jobs are scheduled before all that are not.
    ///
    /// Call [`Ticket::job`] on the ticket, then [`Job::log`](crate::Job::log) and so on, without waiting: all calls
    /// are sent at once. Keep the ticket for as long as the job is wanted. The error for an unknown pool may come
    /// only from calls on the ticket.
    pub fn submit(&self, pool: &str, description: &Description, urgent: bool) -> Pipelined<Ticket> {
        match description.encode() {
            Ok(encoded) => self.submit_encoded(pool, &encoded, urgent),
            Err(error) => refused(error),
        }
    }

    /// Adds a job whose description is encoded already.
    pub fn submit_encoded(
        &self,
        pool: &str,
        description: &EncodedDescription,
        urgent: bool,
    ) -> Pipelined<Ticket> {
        let mut request = self.client.submit_request();
        let mut params = request.get();
        params.set_pool(pool);
        params.set_urgent(urgent);
        if let Err(error) = description.with_reader(|reader| Ok(params.set_descr(reader)?)) {
            return refused(error);
        }
        let sent = request.send();
        let ticket = Ticket::from_raw(sent.pipeline.get_ticket());
        let answer = Answer::new(
            sent.promise,
            |results: submission::submit_results::Reader<'_>| {
                Ok(Ticket::from_raw(returned(results.get_ticket(), "ticket")?))
            },
        );
        Pipelined::new(ticket, answer)
    }

    /// Returns the `capnp://` URI of this submission. It is a secret.
    pub fn save(&self) -> Answer<String> {
        let client: persistent::Client = self.client.clone().cast_to();
        let sent = client.save_request().send();
        Answer::new(
            sent.promise,
            |results: persistent::save_results::Reader<'_>| {
                text(results.get_sturdy_ref().get_as(), "sturdyRef")
            },
        )
    }
}

/// Returns the ticket of a job that cannot be sent.
fn refused(error: RpcError) -> Pipelined<Ticket> {
    Pipelined::new(Ticket::broken(error.clone()), Answer::failed(error))
}

/// A submission, as a scheduler implements it.
pub trait ServeSubmission: 'static {
    /// See [`Submission::submit`]. Must not wait for a worker.
    ///
    /// # Errors
    /// The caller gets the error.
    fn submit(
        self: Rc<Self>,
        pool: String,
        description: EncodedDescription,
        urgent: bool,
    ) -> impl Future<Output = Result<Ticket, RpcError>>;

    /// See [`Submission::save`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn save(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented(
            "this capability cannot be saved",
        )))
    }

    /// See [`Submission::submit_durable`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn submit_durable(
        self: Rc<Self>,
        _job: JobRequest,
    ) -> impl Future<Output = Result<(String, DurableJob), RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Submission::find_durable`] and, for one that is `observing`, [`Submission::observe_durable`]. Returns the
    /// whole id, too.
    ///
    /// # Errors
    /// The caller gets the error.
    fn find_durable(
        self: Rc<Self>,
        _id: String,
        _observing: bool,
    ) -> impl Future<Output = Result<(String, DurableJob), RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Submission::list_durable`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn list_durable(
        self: Rc<Self>,
        _query: JobQuery,
    ) -> impl Future<Output = Result<JobPage, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Submission::web_link`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn web_link(
        self: Rc<Self>,
        _job: Option<String>,
        _only: bool,
    ) -> impl Future<Output = Result<WebLink, RpcError>> {
        futures::future::ready(Err(no_pages()))
    }
}

impl<S: ServeSubmission> submission::Server for Served<S> {
    fn submit(
        self: Rc<Self>,
        params: submission::SubmitParams,
        mut results: submission::SubmitResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let submission = self.object();
        async move {
            let reader = params.get()?;
            let pool = text(reader.get_pool(), "pool")?;
            let descr = reader
                .get_descr()
                .map_err(|error| malformed(&error, "descr"))?;
            let description = EncodedDescription::copy(descr)?;
            let urgent = reader.get_urgent();
            drop(params);
            let ticket = submission.submit(pool, description, urgent).await?;
            results.get().set_ticket(ticket.into_raw());
            Ok(())
        }
    }
}

impl<S: ServeSubmission> persistent::Server for Served<S> {
    fn save(
        self: Rc<Self>,
        _params: persistent::SaveParams,
        mut results: persistent::SaveResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let submission = self.object();
        async move {
            let uri = submission.save().await?;
            results.get().init_sturdy_ref().set_as(uri.as_str())?;
            Ok(())
        }
    }
}

impl<S: ServeSubmission> persistent_submission::Server for Served<S> {}
