//! Calls for explanations. Upstream's scheduler answers `Unimplemented` to all of them.

use capnp::capability::FromClientHook as _;

use super::{Explanation, MAX_TICKETS, PoolExplanations};
use crate::answer::Answer;
use crate::raw::extensions_capnp::{explained, job_explanations, pool_explanations};
use crate::text::{check_length, malformed, text};
use crate::{Admin, DurableJob, PoolAdmin, RpcError, Ticket};

impl Ticket {
    /// Returns why the job waits.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn explain(&self) -> Answer<Explanation> {
        explain(&self.clone().into_raw().cast_to())
    }
}

impl DurableJob {
    /// Returns why the job waits.
    ///
    /// Not every scheduler with durable jobs knows this call: older ones answer `Unimplemented`.
    pub fn explain(&self) -> Answer<Explanation> {
        explain(&self.clone().into_raw().cast_to())
    }
}

impl PoolAdmin {
    /// Returns why the job with the number `ticket` waits.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn explain_job(&self, ticket: u64) -> Answer<Explanation> {
        let mut request = self.explanations().explain_job_request();
        request.get().set_ticket(ticket);
        Answer::new(
            request.send().promise,
            |results: pool_explanations::explain_job_results::Reader<'_>| {
                read(results.get_explanation())
            },
        )
    }

    /// Returns why a worker, connected or not, runs no more jobs.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn explain_worker(&self, worker: &str) -> Answer<Explanation> {
        let mut request = self.explanations().explain_worker_request();
        request.get().set_worker(worker);
        Answer::new(
            request.send().promise,
            |results: pool_explanations::explain_worker_results::Reader<'_>| {
                read(results.get_explanation())
            },
        )
    }

    /// Returns both for the first `most` jobs of each queue, but for at most 1,000 jobs, and for all workers.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn explain(&self, most: u32) -> Answer<PoolExplanations> {
        let mut request = self.explanations().explain_request();
        request.get().set_most(most);
        Answer::new(request.send().promise, PoolExplanations::read)
    }

    /// Returns the ids of the jobs with the first [`MAX_TICKETS`] of these numbers, in the same order: `None` for a job
    /// that is neither queued nor running, or is not in the history.
    ///
    /// Not every scheduler with explanations knows this call: older ones answer `Unimplemented`.
    pub fn job_ids(&self, tickets: &[u64]) -> Answer<Vec<Option<String>>> {
        let mut request = self.explanations().job_ids_request();
        let tickets = tickets.get(..MAX_TICKETS).unwrap_or(tickets);
        let length = u32::try_from(tickets.len()).unwrap_or_default();
        let mut list = request.get().init_tickets(length);
        for (index, ticket) in (0..).zip(tickets) {
            list.set(index, *ticket);
        }
        Answer::new(request.send().promise, read_ids)
    }

    fn explanations(&self) -> pool_explanations::Client {
        self.clone().into_raw().cast_to()
    }
}

impl Admin {
    /// Returns why a job waits. It is given by its id, or by the beginning of its id if that is unique.
    ///
    /// Not every scheduler with durable jobs knows this call: older ones answer `Unimplemented`.
    pub fn explain_job(&self, id: &str) -> Answer<Explanation> {
        let client: job_explanations::Client = self.clone().into_raw().cast_to();
        let mut request = client.explain_request();
        request.get().set_id(id);
        Answer::new(
            request.send().promise,
            |results: job_explanations::explain_results::Reader<'_>| {
                read(results.get_explanation())
            },
        )
    }
}

fn read_ids(
    results: pool_explanations::job_ids_results::Reader<'_>,
) -> Result<Vec<Option<String>>, RpcError> {
    let ids = results
        .get_ids()
        .map_err(|error| malformed(&error, "ids"))?;
    check_length(results.total_size(), ids.len(), "ids")?;
    let ids = ids.iter().map(|id| {
        let id = text(id, "ids")?;
        Ok((!id.is_empty()).then_some(id))
    });
    ids.collect()
}

fn explain(client: &explained::Client) -> Answer<Explanation> {
    let sent = client.explain_request().send();
    Answer::new(
        sent.promise,
        |results: explained::explain_results::Reader<'_>| read(results.get_explanation()),
    )
}

fn read(
    explanation: capnp::Result<crate::raw::extensions_capnp::explanation::Reader<'_>>,
) -> Result<Explanation, RpcError> {
    Explanation::read(
        explanation.map_err(|error| malformed(&error, "explanation"))?,
        "explanation",
    )
}
