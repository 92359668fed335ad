//! Trying things in a copy of a result.

use std::rc::Rc;

use bstr::BString;
use obuilder_spec::User;

use super::core::Core;
use super::env_file;
use crate::StepId;
use crate::sandbox::{Command, Exit, Network, SandboxError};
use crate::store::StoreError;

/// What is run if nothing is asked for: the better shell, if the image has it.
const DEFAULT: [&str; 3] = [
    "/bin/sh",
    "-c",
    "if command -v bash > /dev/null 2>&1; then exec bash; else exec sh; fi",
];

/// Why things could not be tried in a copy of a result.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// There is no copy.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be run in it.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Our own code panicked.
    #[error("internal error: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

impl Core {
    pub(super) async fn shell(
        self: &Rc<Self>,
        id: StepId,
        argv: Option<Vec<BString>>,
    ) -> Result<Exit, ShellError> {
        let argv = argv.unwrap_or_else(|| DEFAULT.map(BString::from).into());
        let (core, pin) = (Rc::clone(self), self.claims.pin(id));
        // A task of its own, so that the copy goes even if nobody waits.
        let trying = tokio::task::spawn_local(async move {
            let ended = core.try_in_copy(&id, argv).await;
            drop(pin);
            ended
        });
        trying.await?
    }

    async fn try_in_copy(&self, id: &StepId, argv: Vec<BString>) -> Result<Exit, ShellError> {
        let store = &self.parts.store;
        let number = self.shells.get();
        self.shells.set(number.wrapping_add(1));
        let copy = StepId::of(format!("shell {number} in {id}").as_bytes());
        let draft = store.begin(&copy, Some(id)).await?;
        let command = Command {
            argv,
            cwd: "/".into(),
            user: User::ROOT,
            env: env_file::read(&draft.dir).unwrap_or_default(),
            // Whoever sits at the terminal may use the network anyway.
            network: Network::Host,
            secrets: Vec::new(),
            mounts: Vec::new(),
        };
        let ended = self.parts.sandbox.interact(&draft.rootfs, &command).await;
        store.discard(draft).await?;
        Ok(ended?)
    }
}
