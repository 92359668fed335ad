//! Explanations, as a scheduler serves them.

use std::future::Future;
use std::rc::Rc;

use super::{Explanation, MAX_TICKETS, not_explained};
use crate::handle::Served;
use crate::raw::extensions_capnp::{explained, job_explanations, pool_explanations};
use crate::text::{list_length, text};
use crate::{RpcError, ServeAdmin, ServePoolAdmin};

/// A job that may wait, as a scheduler implements it.
pub trait ServeExplained: 'static {
    /// See [`Ticket::explain`](crate::Ticket::explain). Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn explain(self: Rc<Self>) -> impl Future<Output = Result<Explanation, RpcError>> {
        futures::future::ready(Err(not_explained()))
    }
}

impl<S: ServeExplained> explained::Server for Served<S> {
    fn explain(
        self: Rc<Self>,
        _params: explained::ExplainParams,
        mut results: explained::ExplainResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let explanation = job.explain().await?;
            explanation.write(results.get().init_explanation());
            Ok(())
        }
    }
}

impl<S: ServePoolAdmin> pool_explanations::Server for Served<S> {
    fn explain_job(
        self: Rc<Self>,
        params: pool_explanations::ExplainJobParams,
        mut results: pool_explanations::ExplainJobResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let ticket = params.get()?.get_ticket();
            drop(params);
            let explanation = pool.explain_job(ticket).await?;
            explanation.write(results.get().init_explanation());
            Ok(())
        }
    }

    fn explain_worker(
        self: Rc<Self>,
        params: pool_explanations::ExplainWorkerParams,
        mut results: pool_explanations::ExplainWorkerResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let worker = text(params.get()?.get_worker(), "worker")?;
            drop(params);
            let explanation = pool.explain_worker(worker).await?;
            explanation.write(results.get().init_explanation());
            Ok(())
        }
    }

    fn explain(
        self: Rc<Self>,
        params: pool_explanations::ExplainParams,
        mut results: pool_explanations::ExplainResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let most = params.get()?.get_most();
            drop(params);
            let explanations = pool.explain(most).await?;
            Ok(explanations.write(results.get())?)
        }
    }

    fn job_ids(
        self: Rc<Self>,
        params: pool_explanations::JobIdsParams,
        mut results: pool_explanations::JobIdsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let tickets = {
                let tickets = params.get()?.get_tickets()?;
                if tickets.len() as usize > MAX_TICKETS {
                    let error = format!(
                        "cannot look up {} numbers of jobs: the limit is {MAX_TICKETS}",
                        tickets.len()
                    );
                    return Err(RpcError::failed(error).into());
                }
                tickets.iter().collect()
            };
            drop(params);
            let ids = pool.job_ids(tickets).await?;
            let mut list = results.get().init_ids(list_length(&ids, "ids")?);
            for (index, id) in (0..).zip(&ids) {
                list.set(index, id.as_deref().unwrap_or_default());
            }
            Ok(())
        }
    }
}

impl<S: ServeAdmin> job_explanations::Server for Served<S> {
    fn explain(
        self: Rc<Self>,
        params: job_explanations::ExplainParams,
        mut results: job_explanations::ExplainResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let admin = self.object();
        async move {
            let id = text(params.get()?.get_id(), "id")?;
            drop(params);
            let explanation = admin.explain_job(id).await?;
            explanation.write(results.get().init_explanation());
            Ok(())
        }
    }
}
