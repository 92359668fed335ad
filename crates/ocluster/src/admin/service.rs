//! The connection of the commands to the scheduler, and errors that name the failed method.

use cluster_api::{Admin, Pipelined, PoolAdmin, RpcError, RpcErrorKind, ServiceKind};
use vat::Session;

use super::known::{self, Known};
use super::note::operator;
use cli::capability_args::CapFile;
use cli::connect::connect;
use cli::error::CommandError;

/// A connection to a scheduler's admin service.
pub(super) struct Service {
    admin: Admin,
    cap: CapFile,
    /// Held because dropping it closes the connection.
    session: Session,
}

/// The names in a command line, any of which may be unknown to the scheduler.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) pool: Option<&'a str>,
    pub(super) worker: Option<&'a str>,
    pub(super) client: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(super) fn pool(pool: &'a str) -> Self {
        Self {
            pool: Some(pool),
            ..Self::default()
        }
    }

    pub(super) fn worker(pool: &'a str, worker: &'a str) -> Self {
        Self {
            worker: Some(worker),
            ..Self::pool(pool)
        }
    }

    pub(super) fn client(client: &'a str) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }
}

impl Service {
    pub(super) async fn connect(cap: &CapFile) -> Result<Self, CommandError> {
        let session = connect(cap).await?;
        let admin = Admin::from_client(session.bootstrap());
        // For the audit log. Schedulers that have none answer with an error, which changes nothing.
        let identified = admin.identify(&operator());
        tokio::task::spawn_local(async move { drop(identified.await) });
        Ok(Self {
            admin,
            cap: cap.clone(),
            session,
        })
    }

    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Returns the pool called `name`. If there is none, the first call on it fails.
    pub(super) fn pool(&self, name: &str) -> Pipelined<PoolAdmin> {
        self.admin.pool(name)
    }

    /// Returns the error for a failed `method` (such as `PoolAdmin.show`), in upstream's words, with a hint.
    pub(super) async fn failed(
        &self,
        method: &str,
        about: About<'_>,
        error: RpcError,
    ) -> CommandError {
        let failed = CommandError::failed(format_args!("{method}: {error}"));
        self.advise(about, &error, failed).await
    }

    /// Adds a hint about `error` to `failed`, if there is one, such as the names that the scheduler knows.
    pub(super) async fn advise(
        &self,
        about: About<'_>,
        error: &RpcError,
        failed: CommandError,
    ) -> CommandError {
        match error.kind {
            RpcErrorKind::Unimplemented => self.wrong_service(failed).await,
            RpcErrorKind::Disconnected => {
                failed.hint("the connection to the scheduler was lost; is it still running?")
            }
            RpcErrorKind::Failed | RpcErrorKind::Overloaded => {
                match self.unknown_name(about, &error.reason).await {
                    Some(hint) => failed.hint(hint),
                    None => failed,
                }
            }
        }
    }

    /// Returns the error for a cap file that is not the admin's, with what it is for.
    async fn wrong_service(&self, failed: CommandError) -> CommandError {
        match ServiceKind::of(self.session.bootstrap()).await {
            Ok(ServiceKind::Admin) => failed.hint(
                "the scheduler does not support this command; update it, or use the ocluster-admin of its version",
            ),
            Ok(kind) => CommandError::failed(format_args!(
                "cannot use cap file \"{}\" for administration: it is {kind}; use the scheduler's admin.cap",
                self.cap.path().display()
            )),
            Err(_) => failed.hint("is this the scheduler's admin.cap?"),
        }
    }

    /// Returns the hint for an unknown name, if that is the `reason` of a failure and the known names can be listed.
    async fn unknown_name(&self, about: About<'_>, reason: &str) -> Option<String> {
        let (given, known) = match Known::missing(reason)? {
            Known::Pools => (about.pool?, self.admin.pools().await.ok()?),
            Known::Workers => {
                let workers = self.pool(about.pool?).workers().await.ok()?;
                let given = about.worker?;
                if workers.iter().any(|worker| worker.name == given) {
                    return Some(format!("worker \"{given}\" is known, but not connected"));
                }
                let names = workers.into_iter().map(|worker| worker.name);
                (given, names.collect())
            }
            Known::Clients => (about.client?, self.admin.list_clients().await.ok()?),
        };
        Some(known::hint(Known::missing(reason)?, given, known))
    }
}
