//! Links to the pages of a scheduler, for browsers.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::details::millis;
use crate::handle::Served;
use crate::raw::extensions_capnp::{admin_pages, client_pages, job_pages, web_link};
use crate::text::{malformed, text};
use crate::{
    Admin, DurableJob, RpcError, ServeAdmin, ServeDurableJob, ServeSubmission, Submission,
};

/// A link to a page, for a browser. It is a secret; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebLink {
    /// The address, with a secret that can be used once.
    pub url: String,
    /// How long it can be used.
    pub lasts: Duration,
}

impl fmt::Debug for WebLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, lasts } = self;
        f.debug_struct("WebLink")
            .field("url", &"…")
            .field("lasts", lasts)
            .finish()
    }
}

impl WebLink {
    fn read(reader: capnp::Result<web_link::Reader<'_>>) -> Result<Self, RpcError> {
        let reader = reader.map_err(|error| malformed(&error, "link"))?;
        Ok(Self {
            url: text(reader.get_url(), "link.url")?,
            lasts: Duration::from_millis(reader.get_lasts()),
        })
    }

    fn write(&self, mut builder: web_link::Builder<'_>) {
        let Self { url, lasts } = self;
        builder.set_url(url);
        builder.set_lasts(millis(*lasts));
    }
}

/// Links for operators. Upstream's scheduler answers `Unimplemented`.
impl Admin {
    /// Returns a link to the page of a job, or to the first page.
    pub fn web_link(&self, job: Option<&str>) -> Answer<WebLink> {
        let client: admin_pages::Client = self.clone().into_raw().cast_to();
        let mut request = client.link_request();
        request.get().set_job(job.unwrap_or_default());
        Answer::new(
            request.send().promise,
            |results: admin_pages::link_results::Reader<'_>| WebLink::read(results.get_link()),
        )
    }
}

/// Links for clients. Upstream's scheduler answers `Unimplemented`.
impl Submission {
    /// Returns a link to the page of a job of this client, or to the first page. One for a job `only` shows that job,
    /// and changes nothing.
    pub fn web_link(&self, job: Option<&str>, only: bool) -> Answer<WebLink> {
        let client: client_pages::Client = self.clone().into_raw().cast_to();
        let mut request = client.link_request();
        request.get().set_job(job.unwrap_or_default());
        request.get().set_only(only);
        Answer::new(
            request.send().promise,
            |results: client_pages::link_results::Reader<'_>| WebLink::read(results.get_link()),
        )
    }
}

/// Links for those who may see a job.
impl DurableJob {
    /// Returns a link that shows this job, and changes nothing.
    pub fn web_link(&self) -> Answer<WebLink> {
        let client: job_pages::Client = self.clone().into_raw().cast_to();
        let request = client.link_request();
        Answer::new(
            request.send().promise,
            |results: job_pages::link_results::Reader<'_>| WebLink::read(results.get_link()),
        )
    }
}

/// The answer of an object that makes no links.
pub(crate) fn no_pages() -> RpcError {
    RpcError::unimplemented("this object makes no links to pages")
}

fn given(job: String) -> Option<String> {
    Some(job).filter(|job| !job.is_empty())
}

impl<S: ServeAdmin> admin_pages::Server for Served<S> {
    fn link(
        self: Rc<Self>,
        params: admin_pages::LinkParams,
        mut results: admin_pages::LinkResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let job = given(text(params.get()?.get_job(), "job")?);
            drop(params);
            let link = admin.web_link(job).await?;
            link.write(results.get().init_link());
            Ok(())
        }
    }
}

impl<S: ServeSubmission> client_pages::Server for Served<S> {
    fn link(
        self: Rc<Self>,
        params: client_pages::LinkParams,
        mut results: client_pages::LinkResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let client = self.object();
        async move {
            let job = given(text(params.get()?.get_job(), "job")?);
            let only = params.get()?.get_only();
            drop(params);
            let link = client.web_link(job, only).await?;
            link.write(results.get().init_link());
            Ok(())
        }
    }
}

impl<S: ServeDurableJob> job_pages::Server for Served<S> {
    fn link(
        self: Rc<Self>,
        _params: job_pages::LinkParams,
        mut results: job_pages::LinkResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let link = job.web_link().await?;
            link.write(results.get().init_link());
            Ok(())
        }
    }
}
