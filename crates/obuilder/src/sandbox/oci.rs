//! A sandbox made by an OCI runtime.

use std::cell::{Cell, OnceCell};
use std::hash::BuildHasher as _;
use std::io::IsTerminal as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bstr::ByteSlice as _;
use cgroup::Parent;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::bundle::{self, Bundle};
use super::container::{Container, Prepared};
use super::groups::Groups;
use super::outbound::{Outbound, Programs};
use super::runtime::Runtime;
use super::stdio::{Input, Output};
use super::{
    Command, Exit, Network, Sandbox, SandboxError, SandboxOptions, StepNetwork, builtin, cleanup,
};
use crate::Sink;
use crate::excerpt::excerpt;

/// How long to wait for helper processes of a container that was not started.
const UNUSED_LIMIT: Duration = Duration::from_secs(5);

/// Runs each command in a container of its own, made by a [`Runtime`].
#[derive(Debug)]
pub struct OciSandbox {
    runtime: Runtime,
    /// The directory of the bundles.
    dir: PathBuf,
    options: SandboxOptions,
    /// The parent of the containers' control groups, if there are any.
    parent: Option<Parent>,
    /// The programs for outbound networks, if commands get those.
    networks: Option<Programs>,
    /// A number that distinguishes the containers of this process from those of others.
    process: u64,
    started: Cell<u64>,
    /// The program of the built-in runtime, in memory, where no container can write to it.
    program: OnceCell<OwnedFd>,
}

impl OciSandbox {
    /// Opens the sandbox with its state in `state_dir`, which no other process uses, and removes the containers
    /// of a killed process.
    ///
    /// # Errors
    /// If the directory cannot be created, an old container cannot be removed, or a limit cannot be enforced.
    pub fn open(
        state_dir: &Path,
        runtime: Runtime,
        mut options: SandboxOptions,
    ) -> Result<Self, SandboxError> {
        let dir = bundle::directory(state_dir);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|source| {
                SandboxError::io(format!("cannot create {}", dir.display()), source)
            })?;
        // Runtimes get paths in it, and each resolves relative ones differently.
        let dir = dir
            .canonicalize()
            .map_err(|source| SandboxError::io(format!("cannot find {}", dir.display()), source))?;
        cleanup::cleanup(state_dir)?;
        // Without limits, a process that only reads results needs no groups.
        let parent = match Parent::find() {
            Ok(parent) => Some(parent),
            Err(error) if !options.limits.is_empty() => return Err(error.into()),
            Err(_) => None,
        };
        if let Some(parent) = &parent {
            options.limits = parent.prepare(&options.limits)?;
        }
        Ok(Self {
            runtime,
            dir,
            networks: match options.network {
                StepNetwork::Outbound => Some(Programs::find()?),
                StepNetwork::Host | StepNetwork::Forbid => None,
            },
            options,
            parent,
            process: std::hash::RandomState::new().hash_one(std::process::id()),
            started: Cell::new(0),
            program: OnceCell::new(),
        })
    }

    /// Starts a command in a container. If it cannot be started, nothing is left behind.
    async fn start(
        &self,
        rootfs: &Path,
        command: &Command,
        input: Input,
        output: Output,
    ) -> Result<(Container, Option<pipe::Receiver>), SandboxError> {
        let program = self.program()?;
        let number = self.started.get();
        self.started.set(number.wrapping_add(1));
        let id = format!("{}{:016x}-{number}", bundle::PREFIX, self.process);
        let rootfs = rootfs.canonicalize().map_err(|source| {
            SandboxError::io(format!("cannot find {}", rootfs.display()), source)
        })?;
        let parent = match &self.parent {
            Some(parent) => parent,
            None => &Parent::find()?,
        };
        let programs = match command.network {
            Network::Host => self.programs_of_networks(command)?,
            Network::None => None,
        };
        let groups = Arc::new(Groups::create(parent, &id, &self.options.limits)?);
        let starting = async {
            let outbound = match programs {
                Some(programs) => Some(Outbound::start(programs, &groups).await?),
                None => None,
            };
            let bundle = Bundle::new(
                &self.dir,
                id.clone(),
                self.runtime.name(),
                &groups,
                outbound.as_ref(),
                &rootfs,
                command,
                input == Input::Terminal,
                &self.options,
            )?;
            let prepared = Prepared {
                bundle,
                groups: Arc::clone(&groups),
                outbound,
            };
            Container::start(&self.runtime, &program, prepared, input, output)
        };
        let started = starting.await;
        if started.is_err() {
            // The process of a network may still be in a group.
            let ended = tokio::task::spawn_blocking(move || groups.end(UNUSED_LIMIT)).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::warn!("Container {id} left a control group behind: {ended:?}");
            }
        }
        started
    }

    /// Returns the programs for the network of a command that requests the machine's. `None` if it gets that.
    fn programs_of_networks(&self, command: &Command) -> Result<Option<&Programs>, SandboxError> {
        match self.options.network {
            StepNetwork::Host => Ok(None),
            StepNetwork::Outbound => Ok(self.networks.as_ref()),
            StepNetwork::Forbid => Err(SandboxError::Unsupported(format!(
                "cannot run {:?}: the step asks for the host's network, which {}=forbid refuses; leave out \
                 (network host)",
                command
                    .argv
                    .first()
                    .map(|word| excerpt(word.as_bstr()))
                    .unwrap_or_default(),
                StepNetwork::OPTION,
            ))),
        }
    }

    /// Returns the path of the program to start.
    fn program(&self) -> Result<PathBuf, SandboxError> {
        match &self.runtime {
            Runtime::Program(program) => Ok(program.clone()),
            Runtime::Builtin { program } => {
                if self.program.get().is_none() {
                    let sealed = builtin::sealed(program).map_err(|source| {
                        SandboxError::io(format!("cannot copy {}", program.display()), source)
                    })?;
                    // It cannot be set already: there is only one thread.
                    drop(self.program.set(sealed));
                }
                Ok(self
                    .program
                    .get()
                    .map(builtin::path_of)
                    .unwrap_or_else(|| program.clone()))
            }
        }
    }
}

impl Sandbox for OciSandbox {
    fn run<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        async move {
            if cancel.is_cancelled() {
                return Err(SandboxError::Cancelled);
            }
            let (container, pipe) = self
                .start(rootfs, command, Input::Empty, Output::Piped)
                .await?;
            container.finish(pipe, output, cancel).await
        }
        .boxed_local()
    }

    fn interact<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        async move {
            let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
            let input = if terminal {
                Input::Terminal
            } else {
                Input::Inherited
            };
            let (container, _) = self
                .start(rootfs, command, input, Output::Inherited)
                .await?;
            container.wait().await
        }
        .boxed_local()
    }
}
