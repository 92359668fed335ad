//! A scheduler and workers as real processes, with the command lines of the documentation.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::docker::Docker;
use crate::holder::{Holder, Process, ProcessState};
use crate::name::Name;
use crate::wait::wait_for;

/// The time limit for a program to start. A worker runs a step of a build before, which takes long on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The time limit for a program to stop after SIGTERM. After that it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// What a worker logs once it is registered and has free capacity.
const WORKER_IS_READY: &str = "Requesting a new job";

/// A running cluster in a directory of its own. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    port: u16,
    pools: Vec<String>,
    options: Vec<String>,
    scheduler: Option<Process>,
    workers: Vec<Worker>,
    holder: Holder,
}

/// A worker of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct Worker {
    name: String,
    process: Process,
}

impl Worker {
    /// Returns its registered name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its process, for [`Cluster::signal`].
    pub fn process(&self) -> Process {
        self.process
    }
}

impl Cluster {
    /// Starts a scheduler for `pools`, from the programs in the folder `programs`.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn start(programs: &Path, pools: &[&str]) -> Result<Self> {
        Self::start_with(programs, pools, &[])
    }

    /// Like [`start`](Self::start), with more options for the scheduler.
    ///
    /// # Errors
    /// As for `start`.
    pub fn start_with(programs: &Path, pools: &[&str], options: &[&str]) -> Result<Self> {
        let holder = Holder::start(&Name::new()?)?;
        fs::create_dir(holder.folder().join("capnp-secrets"))?;
        let mut cluster = Self {
            programs: programs.to_owned(),
            port: free_port()?,
            pools: pools.iter().map(|&pool| pool.to_owned()).collect(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            scheduler: None,
            workers: Vec::new(),
            holder,
        };
        cluster.start_scheduler()?;
        Ok(cluster)
    }

    /// Starts the scheduler, or starts it again after [`stop_scheduler`](Self::stop_scheduler), with the same state.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn start_scheduler(&mut self) -> Result<()> {
        ensure!(
            self.scheduler.is_none(),
            "cannot start the scheduler: it is running"
        );
        let address = format!("tcp:127.0.0.1:{}", self.port);
        let mut command = self.program("ocluster-scheduler");
        command
            .arg("--capnp-secret-key-file=./capnp-secrets/key.pem")
            .arg(format!("--capnp-listen-address={address}"))
            .arg(format!("--capnp-public-address={address}"))
            .arg("--state-dir=./scheduler")
            .arg("--listen-prometheus=0")
            .arg(format!("--pools={}", self.pools.join(",")))
            .args(&self.options);
        let process = self.holder.run(&command, "scheduler.log")?;
        self.scheduler = Some(process);
        let port = self.port;
        self.wait_until_ready("scheduler.log", process, || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        // It listens before it has written all cap files.
        let missing = || {
            self.pools
                .iter()
                .find(|pool| !self.pool_cap_file(pool).exists())
        };
        wait_for("cap files", START_LIMIT, || {
            Ok(missing().is_none().then_some(()))
        })
    }

    /// Returns the scheduler's process, for [`signal`](Self::signal); `None` while it is stopped.
    pub fn scheduler(&self) -> Option<Process> {
        self.scheduler
    }

    /// Returns the port on loopback at which the scheduler listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the scheduler. Workers and clients continue.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop_scheduler(&mut self) -> Result<()> {
        let Some(process) = self.scheduler.take() else {
            return Ok(());
        };
        self.stop("scheduler", process)
    }

    /// Starts a worker of `pool` that builds with `docker`, and waits until it has registered.
    ///
    /// It uses images that are on this machine, and runs one job at a time unless `args` set another capacity.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn start_worker(
        &mut self,
        pool: &str,
        name: &str,
        docker: &Docker,
        args: &[&str],
    ) -> Result<Worker> {
        let mut command = self.worker(pool, name, args);
        command.arg("--docker-pull=missing").envs(docker.env());
        self.run_worker(name, &command)
    }

    /// Starts a worker of `pool` that builds OBuilder specs and has no Docker engine at all. Its store is an
    /// [`obuilder_store`](Self::obuilder_store) unless `args` name another.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn start_obuilder_worker(
        &mut self,
        pool: &str,
        name: &str,
        args: &[&str],
    ) -> Result<Worker> {
        let mut command = self.worker(pool, name, args);
        if !args.iter().any(|arg| arg.starts_with("--obuilder-store")) {
            let store = format!("overlayfs:{}", self.obuilder_store(name).display());
            command.arg(format!("--obuilder-store={store}"));
            // Opening the store removes what a killed worker has left outside of it: mounts and cgroups.
            let program = self.programs.join("obuilder").display().to_string();
            let store = format!("--store={store}");
            self.holder
                .undo(&[&program, "healthcheck", "-q", &store, "--runtime=builtin"])?;
        }
        if !args
            .iter()
            .any(|arg| arg.starts_with("--obuilder-prune-threshold"))
        {
            // The free space of this machine must not matter.
            command.arg("--obuilder-prune-threshold=0");
        }
        // No engine, even if this machine has one.
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        self.run_worker(name, &command)
    }

    /// Stops a worker.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop_worker(&mut self, worker: &Worker) -> Result<()> {
        self.workers.retain(|known| known.process != worker.process);
        self.stop(&worker.name, worker.process)
    }

    /// Returns the worker called `name`, if it was started and not stopped.
    pub fn worker_named(&self, name: &str) -> Option<Worker> {
        self.workers
            .iter()
            .find(|worker| worker.name == name)
            .cloned()
    }

    /// Starts an OBuilder worker again that has been killed, with the same store and state.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn restart_obuilder_worker(&mut self, pool: &str, name: &str, args: &[&str]) -> Result<()> {
        for killed in self.workers.extract_if(.., |worker| worker.name == name) {
            // Until then, it has its directory to itself.
            self.holder
                .wait(killed.process, STOP_LIMIT)
                .with_context(|| format!("cannot restart {name}: it was not killed"))?;
        }
        self.start_obuilder_worker(pool, name, args).map(drop)
    }

    /// Returns the store of the OBuilder worker called `name`.
    pub fn obuilder_store(&self, name: &str) -> PathBuf {
        self.folder().join(format!("store-{name}"))
    }

    fn worker(&self, pool: &str, name: &str, args: &[&str]) -> Command {
        let mut command = self.program("ocluster-worker");
        command
            .arg(self.pool_cap_file(pool))
            .arg(format!("--state-dir=./worker-{name}"))
            .arg(format!("--name={name}"))
            .args(default_capacity(args))
            .args(args);
        command
    }

    fn run_worker(&mut self, name: &str, command: &Command) -> Result<Worker> {
        let log = format!("{name}.log");
        let path = self.holder.log(&log);
        let times_ready = || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            text.matches(WORKER_IS_READY).count()
        };
        // An earlier process of this worker has written to the same log.
        let earlier = times_ready();
        let process = self.holder.run(command, &log)?;
        self.wait_until_ready(&log, process, || times_ready() > earlier)?;
        let worker = Worker {
            name: name.to_owned(),
            process,
        };
        self.workers.push(worker.clone());
        Ok(worker)
    }

    /// Returns one of the programs, to be run in the folder with `./capnp-secrets/`, as in the documentation.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .current_dir(self.holder.folder())
            .env("TMPDIR", self.holder.temporary_folder());
        command
    }

    /// Returns the directory of the cluster, with `capnp-secrets`.
    pub fn folder(&self) -> &Path {
        self.holder.folder()
    }

    /// Returns what a worker, or the `scheduler`, has logged so far.
    ///
    /// # Errors
    /// When there is no such log.
    pub fn log(&self, name: &str) -> Result<String> {
        let path = self.holder.log(&format!("{name}.log"));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Sends a signal to a process of the cluster.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn signal(&self, process: Process, signal: Signal) -> Result<()> {
        self.holder.signal(process, signal)
    }

    /// Returns the holder of the cluster's processes, for a test that needs another one.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Stops everything, and removes the directory. Dropping kills the programs instead of stopping them.
    ///
    /// # Errors
    /// When a program does not stop, or something cannot be removed.
    pub fn finish(mut self) -> Result<()> {
        for worker in std::mem::take(&mut self.workers) {
            self.stop(&worker.name, worker.process)?;
        }
        self.stop_scheduler()?;
        self.holder.finish()
    }

    fn pool_cap_file(&self, pool: &str) -> PathBuf {
        self.holder
            .folder()
            .join(format!("capnp-secrets/pool-{pool}.cap"))
    }

    fn stop(&self, name: &str, process: Process) -> Result<()> {
        self.holder.signal(process, Signal::TERM)?;
        self.holder
            .wait(process, STOP_LIMIT)
            .with_context(|| format!("cannot stop {name}"))?;
        Ok(())
    }

    fn wait_until_ready(
        &self,
        log: &str,
        process: Process,
        is_ready: impl Fn() -> bool,
    ) -> Result<()> {
        let name = log.trim_end_matches(".log");
        wait_for(name, START_LIMIT, || {
            if let ProcessState::Ended(code) = self.holder.state(process)? {
                bail!("it ended with code {code}");
            }
            Ok(is_ready().then_some(()))
        })
        .with_context(|| {
            let log = self.log(name).unwrap_or_default();
            format!("cannot start {name}; its log:\n{log}")
        })
    }
}

/// Returns the option for the default capacity, unless `args` have one: it may be given only once.
fn default_capacity(args: &[&str]) -> Option<&'static str> {
    let is_given = args.iter().any(|arg| arg.starts_with("--capacity"));
    (!is_given).then_some("--capacity=1")
}

/// Returns a port that is free now, and will be used soon.
pub(crate) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot get a port on loopback")?;
    Ok(listener.local_addr()?.port())
}
