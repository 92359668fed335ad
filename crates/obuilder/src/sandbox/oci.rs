//! A sandbox made by an OCI runtime.

use std::cell::{Cell, OnceCell};
use std::hash::BuildHasher as _;
use std::io::IsTerminal as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio_util::sync::CancellationToken;

use super::bundle::{self, Bundle, io_error};
use super::container::{Container, Output};
use super::runtime::{Input, Runtime};
use super::{Command, Exit, Filter, Sandbox, SandboxError, builtin, cleanup};
use crate::Sink;

/// What holds for every command of a sandbox.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// Whether commands need not wait for a disk: calls such as `fsync` do nothing and succeed.
    pub fast_sync: bool,
    /// Which system calls commands may make.
    pub filter: Filter,
}

/// Runs each command in a container of its own, made by a [`Runtime`].
#[derive(Debug)]
pub struct OciSandbox {
    runtime: Runtime,
    /// Where the bundles are.
    dir: PathBuf,
    options: SandboxOptions,
    /// What tells the containers of this process from those of others.
    process: u64,
    started: Cell<u64>,
    /// The program that makes containers, if that is ours, where no container can write to it.
    program: OnceCell<OwnedFd>,
}

impl OciSandbox {
    /// Opens the sandbox that keeps its state in `state_dir`, which no other process uses, and removes what one that was
    /// killed has left there.
    ///
    /// # Errors
    /// When the directory cannot be made, or something that was left cannot be removed.
    pub fn open(
        state_dir: &Path,
        runtime: Runtime,
        options: SandboxOptions,
    ) -> Result<Self, SandboxError> {
        let dir = bundle::directory(state_dir);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|source| io_error(format!("cannot make {dir:?}"), source))?;
        // Runtimes are told of files in it, and each has its own idea of where it is.
        let dir = dir
            .canonicalize()
            .map_err(|source| io_error(format!("cannot find {dir:?}"), source))?;
        cleanup::cleanup(state_dir)?;
        Ok(Self {
            runtime,
            dir,
            options,
            process: std::hash::RandomState::new().hash_one(std::process::id()),
            started: Cell::new(0),
            program: OnceCell::new(),
        })
    }

    fn bundle(
        &self,
        rootfs: &Path,
        command: &Command,
        terminal: bool,
    ) -> Result<Bundle, SandboxError> {
        let number = self.started.get();
        self.started.set(number.wrapping_add(1));
        let id = format!("{}{:016x}-{number}", bundle::PREFIX, self.process);
        let rootfs = rootfs
            .canonicalize()
            .map_err(|source| io_error(format!("cannot find {rootfs:?}"), source))?;
        Bundle::new(
            &self.dir,
            id,
            self.runtime.name(),
            &rootfs,
            command,
            terminal,
            &self.options,
        )
    }

    /// Returns the path of the program to start.
    fn program(&self) -> Result<PathBuf, SandboxError> {
        match &self.runtime {
            Runtime::Program(program) => Ok(program.clone()),
            Runtime::Builtin { program } => {
                if self.program.get().is_none() {
                    let sealed = builtin::sealed(program)
                        .map_err(|source| io_error(format!("cannot copy {program:?}"), source))?;
                    // Nobody else is here: everything lives on one thread.
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
            let bundle = self.bundle(rootfs, command, false)?;
            let program = self.program()?;
            let (container, pipe) =
                Container::start(&self.runtime, &program, bundle, Input::Empty, Output::Piped)?;
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
            let bundle = self.bundle(rootfs, command, terminal)?;
            let program = self.program()?;
            let (container, _) =
                Container::start(&self.runtime, &program, bundle, input, Output::Inherited)?;
            container.wait().await
        }
        .boxed_local()
    }
}
