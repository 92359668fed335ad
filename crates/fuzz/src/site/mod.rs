//! A scheduler with a client, a worker and an operator as bystanders, and recorded conversations of legal peers.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Admin, Registration, Submission};
use cluster_scheduler::{
    FileName, KeySource, Scheduler, SchedulerConfig, StoreSettings, Transport,
};
use tempfile::TempDir;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};
use vat::{Address, Session, SturdyRef, cap_file};

use crate::conversation::{Conversation, Record, relay};
use crate::dial::{WAIT_LIMIT, connect};
use crate::kept_work::{KeptWork, PLACEHOLDER, Released};
use crate::parties::{self, JobEnd, POOLS, WORKER};
use crate::party::Party;
use crate::{durable, scratch};

/// How long messages may take that nothing waits for.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// The scheduler and the bystanders.
pub(crate) struct Site {
    scheduler: Rc<Scheduler>,
    serving: JoinHandle<()>,
    working: JoinHandle<()>,
    admin: Admin,
    submission: Submission,
    /// The recorded messages to the scheduler, and its answers: of each party.
    pub(crate) asking: Vec<Conversation>,
    pub(crate) serving_side: Vec<Conversation>,
    pub(crate) socket: PathBuf,
    sessions: Vec<Session>,
    secrets: PathBuf,
    directory: TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let directory = scratch::directory();
        let secrets_dir = directory.path().join("secrets");
        std::fs::create_dir(&secrets_dir).expect("a directory for cap files");
        let socket = directory.path().join("socket");
        let pools = POOLS.map(|name| FileName::new(name).expect("a good name"));
        let config = SchedulerConfig {
            state_dir: directory.path().join("state"),
            store: StoreSettings::Files,
            has_led: false,
            key: KeySource::Ephemeral,
            secrets_dir: secrets_dir.clone(),
            listen: Address::Unix(socket.clone()),
            public: None,
            transport: Transport::Plaintext,
            pools: pools.into(),
            default_clients: vec![FileName::new("bystander").expect("a good name")],
            metrics: None,
            update_timeout: Duration::from_millis(200),
            limits: Default::default(),
            jobs: Default::default(),
            log_store: None,
            connections: Default::default(),
            web: None,
        };
        let scheduler = Rc::new(Scheduler::start(config).await.expect("a scheduler starts"));
        let running = Rc::clone(&scheduler);
        let serving = spawn_local(async move { running.run().await });
        let cap = |name: &str| cap_file::load(secrets_dir.join(name)).expect("there is a cap file");
        let (admin_session, submission_session, pool_session) = (
            connect(&cap("admin.cap")).await,
            connect(&cap("submit-bystander.cap")).await,
            connect(&cap("pool-pool.cap")).await,
        );
        let registration = Registration::from_client(pool_session.bootstrap());
        let working = spawn_local(async move {
            parties::worker(registration, "bystander", usize::MAX, JobEnd::Success).await;
        });
        let mut site = Self {
            scheduler,
            serving,
            working,
            admin: Admin::from_client(admin_session.bootstrap()),
            submission: Submission::from_client(submission_session.bootstrap()),
            asking: Vec::new(),
            serving_side: Vec::new(),
            socket,
            sessions: vec![admin_session, submission_session, pool_session],
            secrets: secrets_dir.clone(),
            directory,
        };
        site.settle().await;
        let shared = site.share_job().await;
        for party in Party::ALL {
            let cap = match party {
                Party::Client => cap("submit-bystander.cap"),
                Party::Worker | Party::ReturningWorker => site.workers_cap(),
                Party::Operator => cap("admin.cap"),
                Party::Viewer => shared.clone(),
            };
            site.record(&cap, party).await;
        }
        site.settle().await;
        site
    }

    /// Returns the sturdy ref of a job that has ended, which shows it and cannot change it.
    async fn share_job(&self) -> SturdyRef {
        let request = durable::request(POOLS[0], None);
        let submitted = self.submission.submit_durable(&request).await;
        let (_, job) = submitted.expect("a legal job is accepted");
        durable::follow(&job).await;
        let uri = job.share().await.expect("a legal job can be shared");
        uri.parse().expect("a sturdy ref")
    }

    fn workers_cap(&self) -> SturdyRef {
        cap_file::load(self.secrets.join("pool-workers.cap")).expect("there is a cap file")
    }

    /// Records the conversation of a legal party.
    async fn record(&mut self, cap: &SturdyRef, party: Party) {
        let path = self.directory.path().join(format!("relay-{party:?}"));
        let record = relay(&path, &self.socket).expect("a socket to listen at");
        let session = connect(&SturdyRef {
            address: Address::Unix(path),
            ..cap.clone()
        })
        .await;
        let job = (party == Party::Worker).then(|| self.give_work());
        let kept = self.kept_work(party).await;
        // An operator administers a worker.
        let worker_session = connect(&self.workers_cap()).await;
        let worker = (party == Party::Operator).then(|| {
            let registration = Registration::from_client(worker_session.bootstrap());
            spawn_local(parties::worker(
                registration,
                WORKER,
                usize::MAX,
                JobEnd::Failure,
            ))
        });
        // It has registered by then.
        sleep(SETTLE_TIME).await;
        let id = kept
            .as_ref()
            .map_or(PLACEHOLDER, |kept| &kept.id)
            .to_owned();
        party.act(session.bootstrap(), &id).await;
        if let Some(worker) = worker {
            worker.abort();
        }
        drop((job, session, worker_session, kept));
        // The last messages come when nothing waits for them.
        sleep(SETTLE_TIME).await;
        let Record { asking, serving } = record.take();
        let (sent, received) = (asking.messages.len(), serving.messages.len());
        assert!(
            sent > 8 && received > 5,
            "{party:?} sent {sent} messages, and received {received}"
        );
        self.asking.push(asking.renamed(&id, PLACEHOLDER));
        self.serving_side.push(serving.renamed(&id, PLACEHOLDER));
    }

    /// Prepares the jobs of a worker that returns.
    pub(crate) async fn kept_work(&self, party: Party) -> Option<KeptWork> {
        match party {
            Party::ReturningWorker => {
                Some(KeptWork::prepare(&self.submission, &self.workers_cap()).await)
            }
            Party::Client | Party::Worker | Party::Operator | Party::Viewer => None,
        }
    }

    /// Checks what is kept of the jobs of a worker that has left.
    pub(crate) async fn check(&self, released: Released) {
        released.check(&self.submission).await;
    }

    /// Submits a job for a worker that has not registered yet. It is cancelled when the returned value is dropped.
    pub(crate) fn give_work(&self) -> impl Sized + use<> {
        let ticket = self
            .submission
            .submit(POOLS[1], &parties::description(), false);
        let job = ticket.job();
        let (log, result, outcome) = (job.log(0), job.result(), job.outcome());
        drop(job);
        (ticket, log, result, outcome)
    }

    /// Waits until only the bystanders are left, and checks that they are served.
    ///
    /// # Panics
    /// When that does not happen in time.
    pub(crate) async fn settle(&self) {
        let settled = async {
            loop {
                let pools = self
                    .admin
                    .pools()
                    .await
                    .expect("an operator gets an answer");
                assert_eq!(pools.len(), POOLS.len());
                let status = self.scheduler.status();
                if (status.workers, status.queued, status.running) == (1, 0, 0) {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(WAIT_LIMIT, settled).await.is_err() {
            panic!("left behind: {}", self.scheduler.status());
        }
    }

    /// Checks that a job of a bystander succeeds.
    ///
    /// # Panics
    /// When it does not, in time.
    pub(crate) async fn work(&self) {
        let ticket = self
            .submission
            .submit(POOLS[0], &parties::description(), false);
        let result = ticket.job().result();
        let result = timeout(WAIT_LIMIT, result)
            .await
            .expect("a bystander's job ends");
        assert_eq!(result.as_deref(), Ok("output"), "a bystander's job");
    }

    pub(crate) async fn end(self) {
        self.scheduler.shutdown();
        drop(self.serving.await);
        self.working.abort();
        drop(self.sessions);
    }
}
