//! A cluster, and the folder in which its users run their commands.

mod held_job;
mod submit;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rig::{Cluster, Rig, Worker, busybox_rootfs, checked, wait_for};

pub use self::held_job::{HeldJob, LeftJob, wait_until_gone};
pub use self::submit::Submit;
use crate::WAIT_LIMIT;
use crate::program::{Output, Program};

/// The pool of most tests, as in the documentation.
pub const POOL: &str = "linux-x86_64";

/// A cluster and a user's terminal, in a folder with `./capnp-secrets/`.
#[derive(Debug)]
pub struct Site {
    /// The machines.
    pub rig: Rig,
    /// The cluster.
    pub cluster: Cluster,
    outputs: Cell<u32>,
}

impl Site {
    /// Starts a scheduler for `pools`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(rig: &Rig, pools: &[&str]) -> Result<Self> {
        Self::start_with(rig, pools, &[])
    }

    /// Like [`start`](Self::start), with more options for the scheduler.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(rig: &Rig, pools: &[&str], options: &[&str]) -> Result<Self> {
        Ok(Self {
            rig: rig.clone(),
            cluster: rig.cluster_with(pools, options)?,
            outputs: Cell::new(0),
        })
    }

    /// Starts a scheduler for one pool, [`POOL`], and the workers `names` in it.
    ///
    /// # Errors
    /// When one does not start.
    pub fn with_workers(rig: &Rig, names: &[&str]) -> Result<Self> {
        let mut site = Self::start(rig, &[POOL])?;
        for name in names {
            site.worker(name, &[])?;
        }
        Ok(site)
    }

    /// Starts a worker of [`POOL`], and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn worker(&mut self, name: &str, args: &[&str]) -> Result<Worker> {
        let docker = self.rig.docker.clone();
        self.cluster.start_worker(POOL, name, &docker, args)
    }

    /// Runs a command line, such as `ocluster-admin show ./capnp-secrets/admin.cap`. Words are separated by spaces.
    ///
    /// # Errors
    /// When it does not end.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.begin(line)?.end()
    }

    /// Starts a command line, without waiting for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(&self, line: &str) -> Result<Program> {
        let mut words = line.split_whitespace();
        let program = words.next().context("cannot run a command: it is empty")?;
        let mut command = self.cluster.program(program);
        command.args(words);
        Program::start(&command, self.folder(), &self.next_name("output"))
    }

    /// Starts a command whose words may contain spaces.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_command(&self, command: &mut Command) -> Result<Program> {
        command.current_dir(self.folder());
        Program::start(command, self.folder(), &self.next_name("output"))
    }

    /// Runs an admin command: its name, the cap file, and the rest of `line`.
    ///
    /// # Errors
    /// When it does not end.
    pub fn admin(&self, line: &str) -> Result<Output> {
        self.begin_admin(line)?.end()
    }

    /// Like [`admin`](Self::admin), without waiting for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_admin(&self, line: &str) -> Result<Program> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.begin(&format!(
            "ocluster-admin {command} ./capnp-secrets/admin.cap {rest}"
        ))
    }

    /// Prepares to submit a job with this Dockerfile, sent by the client.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn dockerfile(&self, text: &str) -> Result<Submit<'_>> {
        let name = self.next_name("Dockerfile");
        self.write(&name, text)?;
        Ok(self.submit().args(&["--local-dockerfile", &name]))
    }

    /// Prepares to submit a job with this OBuilder spec, sent by the client.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn spec(&self, text: &str) -> Result<Submit<'_>> {
        let name = self.next_name("OBuilder");
        self.write(&name, text)?;
        Ok(Submit::new(self, "submit-obuilder").args(&["--local-file", &name]))
    }

    /// Starts a worker of [`POOL`] that builds OBuilder specs without Docker, with a base image called `busybox` in its
    /// store, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn obuilder_worker(&mut self, name: &str, args: &[&str]) -> Result<Worker> {
        let rootfs = self.folder().join("busybox-rootfs");
        if !rootfs.exists() {
            busybox_rootfs(&rootfs)?;
        }
        let store = self.cluster.obuilder_store(name);
        let mut import = self.cluster.program("obuilder");
        import.args(["image", "import", "busybox"]).arg(&rootfs);
        import.arg(format!("--store=overlayfs:{}", store.display()));
        checked(&mut import)?;
        self.cluster.start_obuilder_worker(POOL, name, args)
    }

    /// Prepares to submit a job. Without options, it builds the `Dockerfile` of an empty context.
    pub fn submit(&self) -> Submit<'_> {
        Submit::new(self, "submit-docker")
    }

    /// Prepares to submit a custom job of this kind, with this payload.
    ///
    /// # Errors
    /// When the file with the payload cannot be written.
    pub fn custom(&self, kind: &str, payload: impl AsRef<[u8]>) -> Result<Submit<'_>> {
        let name = self.next_name("payload");
        self.write(&name, payload)?;
        let submit = Submit::new(self, "submit-custom");
        Ok(submit.args(&["--kind", kind, "--payload", &name]))
    }

    /// Starts a job that builds until it is released, and waits until it is building.
    ///
    /// # Errors
    /// When the build does not start.
    pub fn held_job(&self, args: &[&str]) -> Result<HeldJob<'_>> {
        HeldJob::start(self, args)
    }

    /// Adds a client, and returns the name of its cap file.
    ///
    /// # Errors
    /// When the scheduler refuses.
    pub fn add_client(&self, id: &str) -> Result<String> {
        let cap_file = format!("{id}.cap");
        let uri = self.admin(&format!("add-client {id}"))?.check(0, &[]);
        self.write(&cap_file, &uri.stdout)?;
        Ok(cap_file)
    }

    /// Returns the state of the pool [`POOL`], as an operator sees it.
    ///
    /// # Errors
    /// When the command does not end.
    pub fn state(&self) -> Result<String> {
        let output = self.admin(&format!("show {POOL}"))?.check(0, &[]);
        Ok(output.stdout)
    }

    /// Waits until the state of the pool [`POOL`] contains `text`.
    ///
    /// # Errors
    /// When that does not happen; then with the state.
    pub fn wait_for_state(&self, text: &str) -> Result<()> {
        let mut state = String::new();
        let seen = wait_for(text, WAIT_LIMIT, || {
            state = self.state()?;
            Ok(state.contains(text).then_some(()))
        });
        seen.with_context(|| format!("the state of the pool has no {text:?}:\n{state}"))
    }

    /// Waits until a worker, or the `scheduler`, has logged `text`.
    ///
    /// # Errors
    /// When it does not; then with its log.
    pub fn wait_for_log(&self, name: &str, text: &str) -> Result<()> {
        let logged = wait_for(text, WAIT_LIMIT, || {
            Ok(self.cluster.log(name)?.contains(text).then_some(()))
        });
        logged.with_context(|| {
            let log = self.cluster.log(name).unwrap_or_default();
            format!("{name} has not logged {text:?}:\n{log}")
        })
    }

    /// Writes a file in the folder of the commands, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Returns the folder of the commands.
    pub fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    /// Creates the folder for the repositories of a git server, and returns it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn repositories(&self) -> Result<PathBuf> {
        let folder = self.folder().join("repositories");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Stops everything.
    ///
    /// # Errors
    /// When something does not stop, or is left behind.
    pub fn finish(self) -> Result<()> {
        self.cluster.finish()
    }

    pub(crate) fn next_name(&self, what: &str) -> String {
        self.outputs.set(self.outputs.get() + 1);
        format!("{what}-{}", self.outputs.get())
    }
}
