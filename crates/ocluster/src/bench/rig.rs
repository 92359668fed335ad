//! The scheduler under measurement, and threads to put load on it from.

use std::future::Future;
use std::thread::JoinHandle;

use cluster_api::{Admin, JobQuery, Registration, RpcError, RpcErrorKind, Submission};
use tokio::sync::oneshot;
use vat::{DialOptions, Dialer, Session, SturdyRef};

use cli::error::CommandError;

/// Where the scheduler is, and which of its pools is used.
#[derive(Clone)]
pub(super) struct Rig {
    pub(super) submission: SturdyRef,
    pub(super) registration: SturdyRef,
    /// `None` if no operator's cap file was given.
    pub(super) admin: Option<SturdyRef>,
    /// How to connect.
    pub(super) dial: DialOptions,
    pub(super) pool: String,
    pub(super) pid: Option<u32>,
}

/// A service of the scheduler, connected to by a vat of its own.
pub(super) struct Connected<T> {
    pub(super) service: T,
    /// Kept because dropping it closes the connection.
    _session: Session,
}

impl Rig {
    /// Connects a new vat with a key of its own as a client.
    pub(super) async fn client(&self) -> Result<Connected<Submission>, CommandError> {
        self.connect(&self.submission, Submission::from_client)
            .await
    }

    /// Connects a new vat with a key of its own as this client.
    pub(super) async fn client_at(
        &self,
        client: &SturdyRef,
    ) -> Result<Connected<Submission>, CommandError> {
        self.connect(client, Submission::from_client).await
    }

    /// Connects a new vat with a key of its own as an operator, for a scenario that needs one.
    pub(super) async fn admin(&self, scenario: &str) -> Result<Connected<Admin>, CommandError> {
        let missing = || {
            CommandError::usage(format_args!(
                "scenario '{scenario}' requires the option --admin"
            ))
        };
        let admin = self.admin.as_ref().ok_or_else(missing)?;
        self.connect(admin, Admin::from_client).await
    }

    /// Connects a new vat with a key of its own as a worker.
    pub(super) async fn worker(&self) -> Result<Connected<Registration>, CommandError> {
        self.connect(&self.registration, Registration::from_client)
            .await
    }

    /// Returns whether the scheduler has durable jobs. Upstream's has none.
    pub(super) async fn has_durable_jobs(&self) -> Result<bool, CommandError> {
        let query = JobQuery {
            at_most: Some(1),
            ..JobQuery::default()
        };
        match self.client().await?.service.list_durable(&query).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == RpcErrorKind::Unimplemented => Ok(false),
            Err(error) => Err(broken("cannot list durable jobs")(error)),
        }
    }

    /// Returns how many bytes of memory the scheduler's process has in use now, if its process id is known.
    pub(super) fn memory(&self) -> Result<Option<f64>, CommandError> {
        self.pid.map(resident_bytes).transpose()
    }

    async fn connect<T>(
        &self,
        target: &SturdyRef,
        typed: impl FnOnce(capnp::capability::Client) -> T,
    ) -> Result<Connected<T>, CommandError> {
        let session = Dialer::new(self.dial.clone())
            .connect(target)
            .await
            .map_err(CommandError::caused)?;
        Ok(Connected {
            service: typed(session.bootstrap()),
            _session: session,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a process has far less memory than the 2^53 bytes at which it matters"
)]
fn resident_bytes(pid: u32) -> Result<f64, CommandError> {
    let bytes = cli::memory::resident_bytes(pid)
        .map_err(|error| CommandError::failed(format_args!("option '--pid': {error}")))?;
    Ok(bytes as f64)
}

/// The clients or the workers of a measurement, on a thread of their own. Dropping it stops them and closes their
/// connections.
pub(super) struct Side<T> {
    outcome: Option<oneshot::Receiver<Result<T, CommandError>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Side<T> {
    /// Runs what `start` returns on a new thread, with a runtime of its own.
    ///
    /// `start` is called on that thread, because nothing that holds a capability can move to another.
    pub(super) fn start<F>(start: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, CommandError>>,
    {
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::spawn(move || run_here(start, sender));
        Self {
            outcome: Some(receiver),
            thread: Some(thread),
        }
    }

    /// Waits for its outcome.
    pub(super) async fn outcome(&mut self) -> Result<T, CommandError> {
        let died = || CommandError::internal("a thread of the benchmark has died");
        match &mut self.outcome {
            Some(outcome) => outcome.await.unwrap_or_else(|_| Err(died())),
            None => Err(died()),
        }
    }
}

impl<T> Drop for Side<T> {
    fn drop(&mut self) {
        drop(self.outcome.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened.
            drop(thread.join());
        }
    }
}

fn run_here<T, F>(start: impl FnOnce() -> F, mut outcome: oneshot::Sender<Result<T, CommandError>>)
where
    F: Future<Output = Result<T, CommandError>>,
{
    let ended = cli::runtime::block_on(async {
        tokio::select! {
            ended = start() => ended.map(Some),
            // Another part of the measurement has failed.
            () = outcome.closed() => Ok(None),
        }
    });
    if let Some(ended) = ended.transpose() {
        // The receiver is gone if another part of the measurement has failed meanwhile.
        drop(outcome.send(ended));
    }
}

/// Returns a function that turns the error of a call into the error of the measurement.
pub(super) fn broken(what: &'static str) -> impl Fn(RpcError) -> CommandError {
    move |error| CommandError::failed(format_args!("{what}: {error}"))
}
