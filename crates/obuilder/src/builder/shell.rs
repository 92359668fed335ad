//! Runs a shell in a copy of a result.

use std::rc::Rc;

use bstr::BString;
use obuilder_spec::User;

use super::core::Core;
use super::env_file;
use crate::StepId;
use crate::sandbox::{Command, Exit, Network, SandboxError};
use crate::store::StoreError;

/// The default command: bash if the image has it, and else sh.
const DEFAULT: [&str; 3] = [
    "/bin/sh",
    "-c",
    "if command -v bash > /dev/null 2>&1; then exec bash; else exec sh; fi",
];

/// Why no shell could run in a copy of a result.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The result could not be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The builder panicked.
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
        // A task of its own, so that the copy is removed even if the future is dropped.
        let shell = tokio::task::spawn_local(async move {
            let ended = core.run_in_copy(&id, argv).await;
            drop(pin);
            ended
        });
        shell.await?
    }

    async fn run_in_copy(&self, id: &StepId, argv: Vec<BString>) -> Result<Exit, ShellError> {
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
            // The user at the terminal may use the network anyway.
            network: Network::Host,
            secrets: Vec::new(),
            mounts: Vec::new(),
        };
        let ended = self.parts.sandbox.interact(&draft.rootfs, &command).await;
        store.discard(draft).await?;
        Ok(ended?)
    }
}
