//! The connection of a command to the durable jobs of its client.

use std::convert::Infallible;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Outcome, ServiceKind};
use cluster_client::{Cluster, DurableError, DurableJob, LossReport, Options};
use tokio::sync::watch;
use vat::Session;
use visible::OneLine;

use cli::capability_args::{CapFile, ConnectArgs, Positionals};
use cli::connect::connect;
use cli::error::{CommandError, Kind};
use cli::print::print_error;
use cluster_json::outcome::kind_of;

/// The longest wait between two attempts to connect again.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// The durable jobs of a client.
pub(super) struct Access {
    cluster: Cluster,
    session: Session,
    cap: CapFile,
    /// How the connection was lost the last time.
    lost: Rc<watch::Sender<String>>,
}

impl Access {
    /// Connects to the scheduler of a cap file, which is taken from the command line with the other arguments.
    pub(super) async fn from_args(
        connect: &ConnectArgs,
        positionals: Vec<OsString>,
    ) -> Result<(Self, Positionals), CommandError> {
        let (cap, positionals) = connect.split(positionals)?;
        Ok((Self::connect(cap).await?, positionals))
    }

    /// Connects to the scheduler of a cap file.
    pub(super) async fn connect(cap: CapFile) -> Result<Self, CommandError> {
        let session = connect(&cap).await?;
        Self::connected(cap, session)
    }

    /// Uses the connection that there is.
    pub(super) fn connected(cap: CapFile, session: Session) -> Result<Self, CommandError> {
        let lost = Rc::new(watch::Sender::default());
        let sender = Rc::clone(&lost);
        let options = Options {
            reconnect_interval: RECONNECT_INTERVAL,
            on_lost: LossReport::to(move |what| report(&sender, what)),
            dial: cap.dial_options(),
            ..Options::default()
        };
        Ok(Self {
            cluster: Cluster::connected(cap.load()?, session.clone(), options),
            session,
            cap,
            lost,
        })
    }

    /// Passes each loss of the connection to `say` instead of printing it, until the future is dropped.
    pub(super) async fn report_losses(&self, say: impl Fn(&str)) -> Infallible {
        let mut lost = self.lost.subscribe();
        while lost.changed().await.is_ok() {
            let what = lost.borrow_and_update().clone();
            say(&what);
        }
        std::future::pending().await
    }

    /// Returns the capability of the cap file.
    pub(super) fn bootstrap(&self) -> capnp::capability::Client {
        self.session.bootstrap()
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the job with this id; without one, the job that the cap file shows. It is not watched.
    pub(super) async fn observe(&self, id: Option<&str>) -> Result<DurableJob, CommandError> {
        match id {
            Some(id) => match self.cluster.observe_durable(id).await {
                Ok(job) => Ok(job),
                Err(error) => Err(self.failed(error).await),
            },
            None => self.shared().await,
        }
    }

    /// Returns the same job. It is watched from now on, unless the cap file shows no other.
    pub(super) async fn watch(&self, id: Option<&str>) -> Result<DurableJob, CommandError> {
        match id {
            Some(id) => match self.cluster.find_durable(id).await {
                Ok(job) => Ok(job),
                Err(error) => Err(self.failed(error).await),
            },
            None => self.shared().await,
        }
    }

    async fn shared(&self) -> Result<DurableJob, CommandError> {
        let job = self.cluster.shared_durable();
        match job.describe().await {
            Ok(_) => Ok(job),
            Err(DurableError::Unsupported) => {
                Err(CommandError::usage("required argument JOB is missing").hint(
                    "give the id of a job, or the beginning of it; 'ocluster-client jobs CAP' lists them",
                ))
            }
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// Returns the failure of the command because of `error`.
    pub(super) async fn failed(&self, error: DurableError) -> CommandError {
        match error {
            DurableError::NoConnection(ref cause) => {
                let kind = match cause.needs_another_cap_file() {
                    true => Kind::WrongCap,
                    false => Kind::Unreachable,
                };
                CommandError::new(kind, error)
            }
            DurableError::Refused(error) => {
                let kind = kind_of(&Outcome::of_error(&error), None);
                CommandError::new(kind, OneLine(&error.reason))
            }
            DurableError::Unsupported => self.unsupported().await,
        }
    }

    /// Returns the failure of a command whose cap file is for something else.
    async fn unsupported(&self) -> CommandError {
        let path = self.cap.path().display();
        if self.cluster.shared_durable().describe().await.is_ok() {
            return CommandError::new(
                Kind::WrongCap,
                format_args!(
                    "cannot use cap file \"{path}\": it is for one job; use it with status, logs or wait, without an id"
                ),
            );
        }
        match ServiceKind::of(self.session.bootstrap()).await {
            Ok(ServiceKind::Submission) | Err(_) => {
                CommandError::failed("this scheduler does not keep jobs; update it")
            }
            Ok(kind) => CommandError::new(
                Kind::WrongCap,
                format_args!(
                    "cannot use cap file \"{path}\": it is {kind}; use submission.cap, or a client's"
                ),
            ),
        }
    }
}

/// Reports a lost connection: where a command shows it, or else as a line of its own.
fn report(lost: &watch::Sender<String>, what: &str) {
    let line = loss(what);
    if lost.receiver_count() == 0 {
        print_error(&format!("{line}\n"));
    } else {
        lost.send_replace(line);
    }
}

/// Returns the line about a lost connection. The text about it is a part of errors too.
fn loss(what: &str) -> String {
    let what = OneLine(what).to_string();
    let mut rest = what.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    let what: String = first.into_iter().chain(rest).collect();
    format!("{what}; reconnecting")
}
