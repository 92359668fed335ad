//! A scheduler and a worker as real processes, run with the command lines of the user's document.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig::{DockerEngine, Holder, Name, Process, ProcessState, wait_for};
use rustix::process::Signal;

use super::story::Source;

const POOL: &str = "linux-x86_64";
const LIMIT_TO_START: Duration = Duration::from_secs(30);
/// How long a program may take to end after it was asked to. What still runs then is killed.
const LIMIT_TO_STOP: Duration = Duration::from_secs(15);
/// How long the job may take. It needs seconds; a machine that is out of breath gets minutes.
const LIMIT_TO_BUILD: Duration = Duration::from_secs(600);

/// A running cluster, in a directory of its own.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    scheduler: Process,
    worker: Process,
    holder: Holder,
}

impl Cluster {
    /// Starts a scheduler, and a worker that builds with `engine`.
    ///
    /// # Errors
    /// When one of them does not start; then with what it printed.
    pub(crate) fn start(programs: &Path, engine: &DockerEngine) -> Result<Self> {
        let holder = Holder::start(&Name::new()?)?;
        fs::create_dir(holder.folder().join("capnp-secrets"))?;
        let scheduler = holder.run(&scheduler_command(programs, free_port()?), "scheduler.log")?;
        let cap_file = holder
            .folder()
            .join(format!("capnp-secrets/pool-{POOL}.cap"));
        wait_for_mark(&holder, scheduler, "scheduler.log", || cap_file.exists())?;
        let mut command = worker_command(programs, &cap_file);
        let worker = holder.run(command.envs(engine.env()), "worker.log")?;
        let log = holder.log("worker.log");
        wait_for_mark(&holder, worker, "worker.log", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("Requesting a new job"))
        })?;
        Ok(Self {
            programs: programs.to_owned(),
            scheduler,
            worker,
            holder,
        })
    }

    /// Submits a job with the client, whose output goes to the screen. Returns the client's exit code.
    ///
    /// # Errors
    /// When the client cannot be started, or takes too long.
    pub(crate) fn build(&self, dockerfile: &str, source: &Source) -> Result<i32> {
        fs::write(self.holder.folder().join("Dockerfile.test"), dockerfile)?;
        // The client is ours, for the sake of the screen, and is to die with us all the same.
        let mut client = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(self.programs.join("ocluster-client"))
            .args([
                "submit-docker",
                "./capnp-secrets/submission.cap",
                "--cache-hint",
                "tutorial",
            ])
            .arg(format!("--pool={POOL}"))
            .args([
                "--local-dockerfile",
                "Dockerfile.test",
                &source.url,
                &source.commit,
            ])
            .current_dir(self.holder.folder())
            .spawn()
            .context("cannot start ocluster-client")?;
        let ended = wait_for("end of the job", LIMIT_TO_BUILD, || Ok(client.try_wait()?));
        match ended {
            Ok(status) => Ok(status.code().unwrap_or(1)),
            Err(error) => {
                client.kill()?;
                client.wait()?;
                Err(error)
            }
        }
    }

    /// Asks both to end, and removes what is left.
    ///
    /// # Errors
    /// When one does not end by itself, or something cannot be removed.
    pub(crate) fn finish(self) -> Result<()> {
        for (name, process) in [("worker", self.worker), ("scheduler", self.scheduler)] {
            self.holder.signal(process, Signal::TERM)?;
            self.holder
                .wait(process, LIMIT_TO_STOP)
                .with_context(|| format!("the {name} did not stop when asked to"))?;
        }
        self.holder.finish()
    }
}

fn scheduler_command(programs: &Path, port: u16) -> Command {
    let mut command = Command::new(programs.join("ocluster-scheduler"));
    command
        .arg("--capnp-secret-key-file=./capnp-secrets/key.pem")
        .arg(format!("--capnp-listen-address=tcp:127.0.0.1:{port}"))
        .arg(format!("--capnp-public-address=tcp:127.0.0.1:{port}"))
        .arg("--state-dir=./scheduler")
        .arg(format!("--pools={POOL}"));
    command
}

fn worker_command(programs: &Path, cap_file: &Path) -> Command {
    let mut command = Command::new(programs.join("ocluster-worker"));
    command
        .arg(cap_file)
        .args(["--state-dir=./worker", "--name=my-host", "--capacity=1"])
        // The base image is on this machine only.
        .arg("--docker-pull=missing");
    command
}

/// Returns a port that is free now. Only the scheduler will ask for it, a moment later.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until a program shows that it is ready.
fn wait_for_mark(
    holder: &Holder,
    process: Process,
    log: &str,
    is_ready: impl Fn() -> bool,
) -> Result<()> {
    let name = log.trim_end_matches(".log");
    wait_for(name, LIMIT_TO_START, || {
        if let ProcessState::Ended(code) = holder.state(process)? {
            bail!("it ended with code {code}");
        }
        Ok(is_ready().then_some(()))
    })
    .with_context(|| {
        let said = fs::read_to_string(holder.log(log)).unwrap_or_default();
        format!("the {name} did not start; it said:\n{said}")
    })
}
