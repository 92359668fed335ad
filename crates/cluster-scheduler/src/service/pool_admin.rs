//! One pool, as an operator sees it. Changes are answered when they are on disk, and in the audit log.

use std::rc::Rc;

use cluster_api::{
    Explanation, NewPause, PoolAdmin, PoolDetails, PoolExplanations, PoolOverview, Progress,
    RpcError, ServePoolAdmin, Worker, WorkerDetails, WorkerInfo,
};
use pool::{ClientId, ForgetError, InactiveReason, Rate, TicketId, WorkerName};

use super::operator::{Action, Operator};
use super::replies::{durable, known_name, new_name, unknown_worker};
use super::{drain, update};
use crate::cluster::Cluster;
use crate::reactor::Reactor;

pub(crate) struct PoolAdminService {
    cluster: Rc<Cluster>,
    reactor: Rc<Reactor>,
    operator: Rc<Operator>,
}

impl PoolAdminService {
    pub(crate) fn serve(
        cluster: Rc<Cluster>,
        reactor: Rc<Reactor>,
        operator: Rc<Operator>,
    ) -> PoolAdmin {
        PoolAdmin::serve(Self::new(cluster, reactor, operator))
    }

    /// Returns the administration of a pool, for the pages.
    pub(crate) fn new(
        cluster: Rc<Cluster>,
        reactor: Rc<Reactor>,
        operator: Rc<Operator>,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            reactor,
            operator,
        })
    }

    /// Does something to a worker, client or job of this pool, and records it.
    async fn audited<T>(
        &self,
        word: &'static str,
        object: &str,
        more: More<'_>,
        done: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        let pool = self.reactor.name().to_string();
        let action = Action {
            word,
            pool: &pool,
            object,
            detail: more.detail,
            by: more.by,
        };
        self.operator.audited(action, done).await
    }

    async fn set_paused(
        &self,
        worker: &str,
        paused: bool,
        auto_create: bool,
    ) -> Result<(), RpcError> {
        let name = nameable(worker, auto_create)?;
        let saving = self.reactor.set_paused(&name, paused, auto_create);
        durable(saving.map_err(|pool::UnknownWorker| unknown_worker())?).await
    }

    async fn pause_until_reconnect(&self, worker: &str, paused: bool) -> Result<(), RpcError> {
        let name = known_name(worker)?;
        let done = match paused {
            true => {
                let note = self.reactor.unexplained_pause();
                self.reactor.pause_until_reconnect(&name, note)
            }
            false => self.reactor.end_temporary_pause(&name),
        };
        done.map_err(|pool::Disconnected| unknown_worker())
    }

    async fn pause_with_note(&self, worker: &str, pause: NewPause) -> Result<(), RpcError> {
        let NewPause {
            by,
            note,
            auto_create,
            until_reconnect,
        } = pause;
        let note = self.reactor.note_now(by, note);
        let note = note.map_err(|error| RpcError::failed(error.to_string()))?;
        let name = nameable(worker, auto_create)?;
        if until_reconnect {
            let paused = self.reactor.pause_until_reconnect(&name, note);
            return paused.map_err(|pool::Disconnected| unknown_worker());
        }
        let saving = self.reactor.pause(&name, note, auto_create);
        durable(saving.map_err(|pool::UnknownWorker| unknown_worker())?).await
    }

    async fn set_client_rate(&self, client: &str, rate: f64) -> Result<(), RpcError> {
        let registered = ClientId::new(client)
            .ok()
            .filter(|client| self.cluster.is_client(client));
        let client = registered.ok_or_else(|| RpcError::failed("No such user"))?;
        let rate = Rate::new(rate).map_err(|error| RpcError::failed(error.to_string()))?;
        durable(self.reactor.set_rate(&client, rate)).await
    }

    /// Cancels a job, and returns which worker ran it. A durable job has ended when that is on disk.
    async fn cancel_ticket(&self, ticket: u64, by: &str) -> Result<Option<String>, RpcError> {
        let ticket = TicketId::numbered(ticket);
        let worker = match self.reactor.durable_job(ticket) {
            Some((job, worker)) => {
                let jobs = self.cluster.durable_jobs();
                jobs.cancel_for_operator(&job.to_string()).await?;
                self.reactor.log_cancelled(ticket, by);
                worker
            }
            None => {
                let cancelled = self.reactor.cancel_for_operator(ticket, by).await;
                cancelled.map_err(|error| RpcError::failed(error.to_string()))?
            }
        };
        Ok(worker.map(|worker| worker.to_string()))
    }

    async fn forget_worker(&self, worker: &str) -> Result<(), RpcError> {
        let forgotten = match WorkerName::new(worker) {
            Ok(name) => self
                .reactor
                .forget(&name)
                .map_err(|error: ForgetError| error.to_string()),
            Err(_) => Err(format!("Worker {worker:?} not known in this pool")),
        };
        durable(forgotten.map_err(RpcError::failed)?).await
    }
}

/// The detail of a pause that ends with the connection of its worker.
const UNTIL_RECONNECT: &str = "until it reconnects";

/// What else is recorded of a call.
#[derive(Clone, Copy, Default)]
struct More<'a> {
    detail: &'a str,
    by: &'a str,
}

/// Returns the word for a pause, or for the end of one.
fn pausing(paused: bool) -> &'static str {
    if paused { "pause" } else { "unpause" }
}

/// Returns the name of a worker, which must be a good one if the worker is to be created.
fn nameable(worker: &str, auto_create: bool) -> Result<WorkerName, RpcError> {
    match auto_create {
        true => new_name(worker),
        false => known_name(worker),
    }
}

impl ServePoolAdmin for PoolAdminService {
    async fn show(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(self.reactor.show())
    }

    /// A worker counts as active unless an operator paused it, in one way or the other: this is what `set_active` would
    /// change. Whether it pauses itself is shown by `show`.
    async fn workers(self: Rc<Self>) -> Result<Vec<WorkerInfo>, RpcError> {
        let workers = self.reactor.workers().into_iter().map(|worker| WorkerInfo {
            name: worker.name.to_string(),
            active: !worker.paused && !worker.reasons.contains(InactiveReason::TemporaryPause),
            connected: worker.registration.is_some(),
        });
        Ok(workers.collect())
    }

    async fn set_active(
        self: Rc<Self>,
        worker: String,
        active: bool,
        auto_create: bool,
    ) -> Result<(), RpcError> {
        let set = self.set_paused(&worker, !active, auto_create);
        self.audited(pausing(!active), &worker, More::default(), set)
            .await
    }

    async fn pause_worker(self: Rc<Self>, worker: String, paused: bool) -> Result<(), RpcError> {
        let more = More {
            detail: UNTIL_RECONNECT,
            ..More::default()
        };
        let pause = self.pause_until_reconnect(&worker, paused);
        self.audited(pausing(paused), &worker, more, pause).await
    }

    async fn details(self: Rc<Self>) -> Result<PoolDetails, RpcError> {
        Ok(self.reactor.details())
    }

    async fn worker_details(self: Rc<Self>, worker: String) -> Result<WorkerDetails, RpcError> {
        let all = self.reactor.details().workers;
        let found = all.into_iter().find(|known| known.name == worker);
        found.ok_or_else(unknown_worker)
    }

    async fn overview(self: Rc<Self>, most: u32) -> Result<PoolOverview, RpcError> {
        Ok(self.reactor.overview(most))
    }

    async fn pause(self: Rc<Self>, worker: String, pause: NewPause) -> Result<(), RpcError> {
        let (by, note) = (pause.by.clone(), pause.note.clone());
        let detail = match (pause.until_reconnect, note.as_str()) {
            (false, note) => note.to_owned(),
            (true, "") => UNTIL_RECONNECT.to_owned(),
            (true, note) => format!("{UNTIL_RECONNECT}: {note}"),
        };
        let more = More {
            detail: &detail,
            by: &by,
        };
        let pause = self.pause_with_note(&worker, pause);
        self.audited("pause", &worker, more, pause).await
    }

    async fn cancel(self: Rc<Self>, ticket: u64, by: String) -> Result<Option<String>, RpcError> {
        let cancel = self.cancel_ticket(ticket, &by);
        let more = More {
            by: &by,
            ..More::default()
        };
        self.audited("cancel", &format!("ticket {ticket}"), more, cancel)
            .await
    }

    async fn explain_job(self: Rc<Self>, ticket: u64) -> Result<Explanation, RpcError> {
        let ticket = TicketId::numbered(ticket);
        self.reactor.renew_explanations();
        let explanation = self.reactor.explain(ticket);
        explanation.ok_or_else(|| {
            RpcError::failed(format!("no job {ticket} is queued or running in this pool"))
        })
    }

    async fn explain_worker(self: Rc<Self>, worker: String) -> Result<Explanation, RpcError> {
        self.reactor.renew_explanations();
        let explanation = self.reactor.explain_worker(&known_name(&worker)?);
        explanation.ok_or_else(unknown_worker)
    }

    async fn explain(self: Rc<Self>, most: u32) -> Result<PoolExplanations, RpcError> {
        self.reactor.renew_explanations();
        Ok(self.reactor.explanations(most).await)
    }

    async fn job_ids(self: Rc<Self>, tickets: Vec<u64>) -> Result<Vec<Option<String>>, RpcError> {
        let ids = tickets.into_iter().map(|ticket| {
            let id = self.reactor.job_id(TicketId::numbered(ticket));
            id.map(|id| id.to_string())
        });
        Ok(ids.collect())
    }

    async fn worker(self: Rc<Self>, name: String) -> Result<Worker, RpcError> {
        let connected = self.reactor.connected(&known_name(&name)?);
        connected
            .map(|(_, worker)| worker)
            .ok_or_else(unknown_worker)
    }

    async fn update(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> Result<(), RpcError> {
        let update = async {
            let limit = self.cluster.update_timeout();
            let worker = known_name(&worker)?;
            update::update(&self.reactor, &worker, progress.as_ref(), limit).await
        };
        self.audited("update", &worker, More::default(), update)
            .await
    }

    async fn set_rate(self: Rc<Self>, client: String, rate: f64) -> Result<(), RpcError> {
        let detail = format!("rate {rate}");
        let more = More {
            detail: &detail,
            ..More::default()
        };
        let set = self.set_client_rate(&client, rate);
        self.audited("set-rate", &client, more, set).await
    }

    async fn forget(self: Rc<Self>, worker: String) -> Result<(), RpcError> {
        let forget = self.forget_worker(&worker);
        self.audited("forget", &worker, More::default(), forget)
            .await
    }

    async fn drain(
        self: Rc<Self>,
        worker: String,
        progress: Option<Progress>,
    ) -> Result<(), RpcError> {
        let drain =
            async { drain::drain(&self.reactor, &known_name(&worker)?, progress.as_ref()).await };
        self.audited("drain", &worker, More::default(), drain).await
    }
}
