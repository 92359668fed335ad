//! Calls about everybody's durable jobs, as they come in.

use std::future::Future;
use std::rc::Rc;

use super::{AdminJobQuery, AuditQuery};
use crate::handle::Served;
use crate::raw::extensions_capnp::{extended_admin, jobs_admin};
use crate::text::{long_text, malformed, text};
use crate::{DurableLogChunk, MAX_NAME_BYTES, ServeAdmin};

impl<S: ServeAdmin> jobs_admin::Server for Served<S> {
    fn identify(
        self: Rc<Self>,
        params: jobs_admin::IdentifyParams,
        _results: jobs_admin::IdentifyResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        // At once, so that it holds for the calls that follow.
        let identified = params
            .get()
            .map_err(Into::into)
            .and_then(|params| long_text(params.get_by(), "by", MAX_NAME_BYTES))
            .and_then(|by| admin.identify(by));
        futures::future::ready(identified.map_err(Into::into))
    }

    fn list(
        self: Rc<Self>,
        params: jobs_admin::ListParams,
        mut results: jobs_admin::ListResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let query = params
                .get()?
                .get_query()
                .map_err(|error| malformed(&error, "query"))?;
            let query = AdminJobQuery::read(query)?;
            drop(params);
            let page = admin.list_jobs(query).await?;
            Ok(page.write(results.get())?)
        }
    }

    fn job(
        self: Rc<Self>,
        params: jobs_admin::JobParams,
        mut results: jobs_admin::JobResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            drop(params);
            let details = admin.job_details(id).await?;
            Ok(details.write(results.get().init_job())?)
        }
    }

    fn log(
        self: Rc<Self>,
        params: jobs_admin::LogParams,
        mut results: jobs_admin::LogResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let reader = params.get()?;
            let id = text(reader.get_id(), "id")?;
            let (attempt, start) = (reader.get_attempt(), reader.get_start());
            drop(params);
            let DurableLogChunk { bytes, next } = admin.job_log(id, attempt, start).await?;
            results.get().set_log(&bytes);
            results.get().set_next(next);
            Ok(())
        }
    }

    fn cancel(
        self: Rc<Self>,
        params: jobs_admin::CancelParams,
        mut results: jobs_admin::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            drop(params);
            let id = admin.cancel_job(id).await?;
            results.get().set_id(&id);
            Ok(())
        }
    }

    fn audit(
        self: Rc<Self>,
        params: jobs_admin::AuditParams,
        mut results: jobs_admin::AuditResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let query = params
                .get()?
                .get_query()
                .map_err(|error| malformed(&error, "query"))?;
            let query = AuditQuery::read(query);
            drop(params);
            let page = admin.audit(query).await?;
            Ok(page.write(results.get())?)
        }
    }
}

impl<S: ServeAdmin> extended_admin::Server for Served<S> {}
