//! A scheduler with one client, one worker and one operator who want to be left in peace, and conversations to begin
//! with.

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
use crate::parties::{self, POOLS};
use crate::scratch;

/// How long others may have to wait. Far longer than anybody should, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The scheduler, and those who watch how it treats them.
pub(crate) struct Site {
    scheduler: Rc<Scheduler>,
    serving: JoinHandle<()>,
    working: JoinHandle<()>,
    admin: Admin,
    submission: Submission,
    /// What those who ask said, and what was answered: of a client, a worker and an operator.
    pub(crate) asking: Vec<Conversation>,
    pub(crate) serving_side: Vec<Conversation>,
    pub(crate) socket: PathBuf,
    sessions: Vec<Session>,
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
        let working =
            spawn_local(
                async move { parties::worker(registration, "bystander", usize::MAX).await },
            );
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
            directory,
        };
        site.settle().await;
        site.record(&cap("submit-bystander.cap"), 0).await;
        site.record(&cap("pool-workers.cap"), 1).await;
        site.record(&cap("admin.cap"), 2).await;
        site.settle().await;
        site
    }

    /// Records what a legal party says.
    async fn record(&mut self, cap: &SturdyRef, party: usize) {
        let path = self.directory.path().join(format!("relay-{party}"));
        let record = relay(&path, &self.socket).expect("a socket to listen at");
        let session = connect(&SturdyRef {
            address: Address::Unix(path),
            ..cap.clone()
        })
        .await;
        let job = (party == 1).then(|| self.give_work());
        act(party, session.bootstrap()).await;
        drop((job, session));
        // What is said last comes when nobody waits for it.
        sleep(Duration::from_millis(50)).await;
        let Record { asking, serving } = record.take();
        let (asked, served) = (asking.lines.len(), serving.lines.len());
        assert!(
            asked > 8 && served > 5,
            "party {party} said {asked} things, and heard {served}"
        );
        self.asking.push(asking);
        self.serving_side.push(serving);
    }

    /// Submits a job for a worker that is not here yet; it is taken back when what this returns is dropped.
    pub(crate) fn give_work(&self) -> impl Sized + use<> {
        let ticket = self
            .submission
            .submit(POOLS[1], &parties::description(), false);
        let (log, result) = (ticket.job().log(0), ticket.job().result());
        (ticket, log, result)
    }

    /// Waits until nothing is left of anybody but ourselves, and sees that the others are served.
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
        if timeout(PATIENCE, settled).await.is_err() {
            panic!("left behind: {}", self.scheduler.status());
        }
    }

    /// Sees that a job of a bystander's is done.
    ///
    /// # Panics
    /// When it is not, in time.
    pub(crate) async fn work(&self) {
        let ticket = self
            .submission
            .submit(POOLS[0], &parties::description(), false);
        let result = ticket.job().result();
        let result = timeout(PATIENCE, result)
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

/// Does what a party does: 0 is a client, 1 a worker, 2 an operator.
pub(crate) async fn act(party: usize, service: capnp::capability::Client) {
    match party {
        0 => parties::client(Submission::from_client(service)).await,
        1 => parties::worker(Registration::from_client(service), "fuzz-worker", 1).await,
        _ => parties::operator(Admin::from_client(service)).await,
    }
}

/// Returns a sturdy ref for a socket.
pub(crate) fn at_socket(path: PathBuf) -> SturdyRef {
    SturdyRef {
        auth: Auth::Insecure,
        address: Address::Unix(path),
        service: vat::ServiceId::from_bytes(*b"service"),
    }
}
