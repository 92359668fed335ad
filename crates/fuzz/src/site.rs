//! A scheduler with a client, a worker and an operator as bystanders, and recorded conversations of legal peers.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Admin, Registration, Submission};
use cluster_scheduler::{FileName, KeySource, Scheduler, SchedulerConfig, Transport};
use tempfile::TempDir;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};
use vat::{Address, Auth, DialOptions, Dialer, Session, SturdyRef, cap_file};

use crate::conversation::{Conversation, Record, relay};
use crate::parties::{self, JobEnd, POOLS, WORKER};
use crate::scratch;

/// How long a bystander may have to wait. Far longer than it should, because the machine may be busy.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// How long messages may take that nothing waits for.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// The scheduler and the bystanders.
pub(crate) struct Site {
    scheduler: Rc<Scheduler>,
    serving: JoinHandle<()>,
    working: JoinHandle<()>,
    admin: Admin,
    submission: Submission,
    /// The recorded messages to the scheduler, and its answers: of a client, a worker and an operator.
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
            key: KeySource::Ephemeral,
            secrets_dir: secrets_dir.clone(),
            listen: Address::Unix(socket.clone()),
            public: None,
            transport: Transport::Plaintext,
            pools: pools.into(),
            default_clients: vec![FileName::new("bystander").expect("a good name")],
            metrics: None,
            update_timeout: Duration::from_millis(200),
            retry_for: cluster_scheduler::DEFAULT_RETRY_FOR,
            limits: Default::default(),
            connections: Default::default(),
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
        site.record(&cap("submit-bystander.cap"), 0).await;
        site.record(&cap("pool-workers.cap"), 1).await;
        site.record(&cap("admin.cap"), 2).await;
        site.settle().await;
        site
    }

    /// Records the conversation of a legal party.
    async fn record(&mut self, cap: &SturdyRef, party: usize) {
        let path = self.directory.path().join(format!("relay-{party}"));
        let record = relay(&path, &self.socket).expect("a socket to listen at");
        let session = connect(&SturdyRef {
            address: Address::Unix(path),
            ..cap.clone()
        })
        .await;
        let job = (party == 1).then(|| self.give_work());
        // An operator administers a worker.
        let workers = self.secrets.join("pool-workers.cap");
        let workers = cap_file::load(workers).expect("there is a cap file");
        let worker_session = connect(&workers).await;
        let worker = (party == 2).then(|| {
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
        act(party, session.bootstrap()).await;
        if let Some(worker) = worker {
            worker.abort();
        }
        drop((job, session, worker_session));
        // The last messages come when nothing waits for them.
        sleep(SETTLE_TIME).await;
        let Record { asking, serving } = record.take();
        let (sent, received) = (asking.messages.len(), serving.messages.len());
        assert!(
            sent > 8 && received > 5,
            "party {party} sent {sent} messages, and received {received}"
        );
        self.asking.push(asking);
        self.serving_side.push(serving);
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

async fn connect(cap: &SturdyRef) -> Session {
    let dialer = Dialer::new(DialOptions::default());
    dialer.connect(cap).await.expect("a legal peer can connect")
}

/// Acts as a party: 0 is a client, 1 a worker, 2 an operator.
pub(crate) async fn act(party: usize, service: capnp::capability::Client) {
    match party {
        0 => parties::client(Submission::from_client(service)).await,
        1 => {
            parties::worker(
                Registration::from_client(service),
                WORKER,
                1,
                JobEnd::Failure,
            )
            .await;
        }
        _ => parties::operator(Admin::from_client(service)).await,
    }
}

/// Returns the sturdy ref of a service at a socket.
pub(crate) fn at_socket(path: PathBuf) -> SturdyRef {
    SturdyRef {
        auth: Auth::Insecure,
        address: Address::Unix(path),
        service: vat::ServiceId::from_bytes(*b"service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interfaces of `api/extensions.capnp` that peers call, by their ids.
    const EXTENSIONS: [(&str, u64); 10] = [
        ("TicketStatus", 0xfa88_968e_688b_903b),
        ("TemporaryPause", 0xcb85_7b1f_4f69_8543),
        ("PoolDetails", 0xfcf5_d5f3_6fc6_a8aa),
        ("Persistent", 0xc8cb_212f_cd9f_5691),
        ("TicketNumber", 0xb4d1_c9e0_7a3f_5286),
        ("PoolControl", 0xfa53_1e7c_ec24_d80a),
        ("WorkerControl", 0xda98_782b_e473_0cdd),
        ("JobOutcome", 0x9f3b_6c1d_5a8e_2047),
        ("ProgressStatus", 0xb7e2_408c_6d91_f35b),
        ("PauseReasons", 0xf89f_5bce_ad69_3ded),
    ];

    #[test]
    fn the_conversations_call_every_extension() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let site = Site::start().await;
            let conversations = site.asking.iter().chain(&site.serving_side);
            let messages: Vec<&[u8]> = conversations
                .flat_map(|conversation| &conversation.messages)
                .map(|message| &*message.bytes)
                .collect();
            for (name, id) in EXTENSIONS {
                let id = id.to_le_bytes();
                let is_called = messages
                    .iter()
                    .any(|bytes| bytes.windows(8).any(|at| at == id));
                assert!(is_called, "no peer calls {name}");
            }
            site.end().await;
        });
    }
}
