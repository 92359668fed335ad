//! The scheduler as the commands see it: a connection, and errors that name the method which failed.

use cluster_api::{Admin, Pipelined, PoolAdmin, RpcError, RpcErrorKind};
use vat::Session;

use crate::capability_args::CapFile;
use crate::connect::connect;
use crate::error::CommandError;

/// A connection to a scheduler's admin service.
pub(super) struct Service {
    admin: Admin,
    /// Held because dropping it closes the connection.
    _session: Session,
}

impl Service {
    pub(super) async fn connect(cap: &CapFile) -> Result<Self, CommandError> {
        let session = connect(cap).await?;
        Ok(Self {
            admin: Admin::from_client(session.bootstrap()),
            _session: session,
        })
    }

    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Returns the pool called `name`. Whether there is one, the first call on it will tell.
    pub(super) fn pool(&self, name: &str) -> Pipelined<PoolAdmin> {
        self.admin.pool(name)
    }
}

/// Says which `method` (such as `PoolAdmin.show`) failed, in upstream's words.
pub(super) fn failed(method: &'static str) -> impl Fn(RpcError) -> CommandError {
    move |error| {
        let failed = CommandError::failed(format_args!("{method}: {error}"));
        hint_for(&error, failed)
    }
}

const LIST_CLIENTS: &str = "'ocluster-admin list-clients CAP' lists the clients";

/// Adds to `failed` what to do about `error`, if anything.
pub(super) fn hint_for(error: &RpcError, failed: CommandError) -> CommandError {
    match error.kind {
        RpcErrorKind::Unimplemented => failed.hint("is this the scheduler's admin.cap?"),
        RpcErrorKind::Disconnected => {
            failed.hint("the connection to the scheduler was lost; is it still running?")
        }
        RpcErrorKind::Failed | RpcErrorKind::Overloaded => match error.reason.as_str() {
            "No such pool" => failed.hint("'ocluster-admin show CAP' lists the pools"),
            "Unknown worker" => {
                failed.hint("'ocluster-admin show --terse CAP POOL' lists the workers")
            }
            "No such user" => failed.hint(LIST_CLIENTS),
            reason if reason.starts_with("Unknown client") => failed.hint(LIST_CLIENTS),
            _ => failed,
        },
    }
}
