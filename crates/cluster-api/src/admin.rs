//! Admin: a cluster's administration.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::durable::not_kept;
use crate::explanation::not_explained;
use crate::handle::{Served, handle, nothing};
use crate::leadership::leads_alone;
use crate::raw::extensions_capnp::extended_admin;
use crate::raw::schema_capnp::admin;
use crate::text::{list_length, returned, set_texts, text, texts};
use crate::web_link::no_pages;
use crate::{
    AdminJobQuery, AuditPage, AuditQuery, DurableLogChunk, Explanation, JobDetails, LeaderStatus,
    ListedJobs, LogTimesPage, Phase, PoolAdmin, RpcError, Submission, WebLink,
};

handle! {
    /// The right to administer a cluster.
    Admin, admin
}

impl Admin {
    /// Serves `admin`, together with our extensions, such as [`Admin::list_jobs`].
    pub fn serve<S: ServeAdmin>(admin: Rc<S>) -> Self {
        let client: extended_admin::Client = dispatch::new_client(Served::new(admin, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Returns the names of the pools, sorted.
    pub fn pools(&self) -> Answer<Vec<String>> {
        let request = self.client.pools_request();
        Answer::new(
            request.send().promise,
            |results: admin::pools_results::Reader<'_>| texts(results.get_names(), "names"),
        )
    }

    /// Returns a pool. If it does not exist, the error may come only from calls on it.
    pub fn pool(&self, name: &str) -> Pipelined<PoolAdmin> {
        let mut request = self.client.pool_request();
        request.get().set_name(name);
        let sent = request.send();
        let pool = PoolAdmin::from_raw(sent.pipeline.get_pool());
        let answer = Answer::new(sent.promise, |results: admin::pool_results::Reader<'_>| {
            Ok(PoolAdmin::from_raw(returned(results.get_pool(), "pool")?))
        });
        Pipelined::new(pool, answer)
    }

    /// Adds a client, and returns its submission. [`Submission::save`] returns the URI for the client.
    pub fn add_client(&self, id: &str) -> Pipelined<Submission> {
        let mut request = self.client.add_client_request();
        request.get().set_id(id);
        let sent = request.send();
        let submission = Submission::from_raw(sent.pipeline.get_cap());
        let answer = Answer::new(
            sent.promise,
            |results: admin::add_client_results::Reader<'_>| {
                Ok(Submission::from_raw(returned(results.get_cap(), "cap")?))
            },
        );
        Pipelined::new(submission, answer)
    }

    /// Removes a client. Its access is revoked at once.
    pub fn remove_client(&self, id: &str) -> Answer<()> {
        let mut request = self.client.remove_client_request();
        request.get().set_id(id);
        Answer::new(
            request.send().promise,
            |_: admin::remove_client_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns the ids of the clients, sorted.
    pub fn list_clients(&self) -> Answer<Vec<String>> {
        let request = self.client.list_clients_request();
        Answer::new(
            request.send().promise,
            |results: admin::list_clients_results::Reader<'_>| {
                texts(results.get_clients(), "clients")
            },
        )
    }
}

/// A cluster's administration, as a scheduler implements it.
pub trait ServeAdmin: 'static {
    /// See [`Admin::pools`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn pools(self: Rc<Self>) -> impl Future<Output = Result<Vec<String>, RpcError>>;

    /// See [`Admin::pool`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn pool(self: Rc<Self>, name: String) -> impl Future<Output = Result<PoolAdmin, RpcError>>;

    /// See [`Admin::add_client`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn add_client(self: Rc<Self>, id: String)
    -> impl Future<Output = Result<Submission, RpcError>>;

    /// See [`Admin::remove_client`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn remove_client(self: Rc<Self>, id: String) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`Admin::list_clients`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn list_clients(self: Rc<Self>) -> impl Future<Output = Result<Vec<String>, RpcError>>;

    /// See [`Admin::identify`]. It holds for all calls that come in later.
    ///
    /// # Errors
    /// The caller gets the error.
    fn identify(self: Rc<Self>, _by: String) -> Result<(), RpcError> {
        Err(not_kept())
    }

    /// See [`Admin::list_jobs`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn list_jobs(
        self: Rc<Self>,
        _query: AdminJobQuery,
    ) -> impl Future<Output = Result<ListedJobs, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::job_details`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn job_details(
        self: Rc<Self>,
        _id: String,
    ) -> impl Future<Output = Result<JobDetails, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::job_log`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn job_log(
        self: Rc<Self>,
        _id: String,
        _attempt: u32,
        _start: u64,
    ) -> impl Future<Output = Result<DurableLogChunk, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::cancel_job`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel_job(self: Rc<Self>, _id: String) -> impl Future<Output = Result<String, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::explain_job`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn explain_job(
        self: Rc<Self>,
        _id: String,
    ) -> impl Future<Output = Result<Explanation, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }

    /// See [`Admin::audit`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn audit(
        self: Rc<Self>,
        _query: AuditQuery,
    ) -> impl Future<Output = Result<AuditPage, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::job_phases`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn job_phases(
        self: Rc<Self>,
        _id: String,
        _attempt: u32,
    ) -> impl Future<Output = Result<Vec<Phase>, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::job_log_times`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn job_log_times(
        self: Rc<Self>,
        _id: String,
        _attempt: u32,
        _start: u64,
        _end: u64,
    ) -> impl Future<Output = Result<LogTimesPage, RpcError>> {
        futures::future::ready(Err(not_kept()))
    }

    /// See [`Admin::leader_status`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn leader_status(self: Rc<Self>) -> Result<LeaderStatus, RpcError> {
        Err(leads_alone())
    }

    /// See [`Admin::step_down`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn step_down(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>> {
        futures::future::ready(Err(leads_alone()))
    }

    /// See [`Admin::web_link`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn web_link(
        self: Rc<Self>,
        _job: Option<String>,
    ) -> impl Future<Output = Result<WebLink, RpcError>> {
        futures::future::ready(Err(no_pages()))
    }
}

impl<S: ServeAdmin> admin::Server for Served<S> {
    fn pools(
        self: Rc<Self>,
        _params: admin::PoolsParams,
        mut results: admin::PoolsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let names = admin.pools().await?;
            let length = list_length(&names, "names")?;
            set_texts(results.get().init_names(length), &names);
            Ok(())
        }
    }

    fn pool(
        self: Rc<Self>,
        params: admin::PoolParams,
        mut results: admin::PoolResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let name = text(params.get()?.get_name(), "name")?;
            let pool = admin.pool(name).await?;
            results.get().set_pool(pool.into_raw());
            Ok(())
        }
    }

    fn add_client(
        self: Rc<Self>,
        params: admin::AddClientParams,
        mut results: admin::AddClientResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            let submission = admin.add_client(id).await?;
            results.get().set_cap(submission.into_raw());
            Ok(())
        }
    }

    fn remove_client(
        self: Rc<Self>,
        params: admin::RemoveClientParams,
        _results: admin::RemoveClientResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            Ok(admin.remove_client(id).await?)
        }
    }

    fn list_clients(
        self: Rc<Self>,
        _params: admin::ListClientsParams,
        mut results: admin::ListClientsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let clients = admin.list_clients().await?;
            let length = list_length(&clients, "clients")?;
            set_texts(results.get().init_clients(length), &clients);
            Ok(())
        }
    }
}
