//! A network outage of 70 s while jobs run, which loses nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{End, Holder, Name, Process, ProcessState, Rig, Wire, report_not_run, wait_for};
use testbed::{POOL, WAIT_LIMIT};

/// The duration of the outage, in real time, because the programs are real.
const OUTAGE: Duration = Duration::from_secs(70);

/// The jobs: `stream` prints much until it is released, `quiet` prints nothing, and `short` ends during the outage.
const SCRIPT: &str = r#"#!/bin/bash
read -r what folder
echo "started $what"
case $what in
  stream) n=0; until [ -e "$folder/released" ]; do seq $n $((n + 9999)); n=$((n + 10000)); sleep 0.1; done ;;
  quiet) until [ -e "$folder/released" ]; do sleep 0.1; done ;;
  short) until [ -e "$folder/cut" ]; do sleep 0.1; done; sleep 5; seq 0 99999 ;;
  queued) seq 0 99999 ;;
esac
echo "ended $what"
"#;

/// A scheduler, a worker with capacity 3, and clients. The network can fail between the scheduler and one of them.
struct Farm {
    holder: Holder,
    wire: Wire,
    programs: PathBuf,
}

/// A client with its job.
struct Client {
    what: &'static str,
    process: Process,
}

impl Farm {
    /// Starts the scheduler at the near end, and the worker at `end`.
    fn start(rig: &Rig, end: End) -> Result<Self> {
        let holder = Holder::start(&Name::new()?)?;
        let wire = Wire::new(&holder)?;
        let farm = Self {
            programs: rig.programs().to_owned(),
            holder,
            wire,
        };
        let folder = farm.holder.folder();
        let script = folder.join("script");
        fs::write(&script, SCRIPT)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        fs::create_dir(folder.join("caps"))?;

        let address = format!("tcp:{}:9000", Wire::ADDRESS);
        let mut scheduler = farm.program("ocluster-scheduler");
        scheduler
            .args(["--capnp-secret-key-file=caps/key.pem", "--state-dir=state"])
            .arg("--secrets-dir=caps")
            .arg(format!("--capnp-listen-address={address}"))
            .arg(format!("--capnp-public-address={address}"))
            .arg(format!("--pools={POOL}"));
        farm.run(End::Near, &scheduler, "scheduler")?;
        let cap = folder.join(format!("caps/pool-{POOL}.cap"));
        let client = folder.join("caps/submission.cap");
        wait_for("cap files", WAIT_LIMIT, || {
            Ok((cap.exists() && client.exists()).then_some(()))
        })?;

        let mut worker = farm.program("ocluster-worker");
        worker
            .arg(&cap)
            .args(["--state-dir=worker", "--name=w1", "--capacity=3"])
            .arg(format!("--custom=ours={}", script.display()))
            .envs(rig.docker.env());
        farm.run(end, &worker, "w1")?;
        farm.wait_for("w1", "Requesting a new job")?;
        Ok(farm)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.holder.folder());
        command
    }

    fn run(&self, end: End, command: &Command, name: &str) -> Result<Process> {
        let command = self.wire.at(end, command);
        self.holder.run(&command, &format!("{name}.log"))
    }

    /// Submits a job from `end`.
    fn submit(&self, end: End, what: &'static str) -> Result<Client> {
        let folder = self.holder.folder();
        let payload = format!("{what}.payload");
        fs::write(
            folder.join(&payload),
            format!("{what} {}\n", folder.display()),
        )?;
        let mut client = self.program("ocluster-client");
        client
            .args(["submit-custom", "caps/submission.cap", "--kind=ours"])
            .arg(format!("--pool={POOL}"))
            .args(["--payload", &payload]);
        let process = self.run(end, &client, what)?;
        Ok(Client { what, process })
    }

    fn log(&self, name: &str) -> String {
        let path = self.holder.log(&format!("{name}.log"));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    fn wait_for(&self, name: &str, text: &str) -> Result<()> {
        let printed = wait_for(text, WAIT_LIMIT, || {
            Ok(self.log(name).contains(text).then_some(()))
        });
        printed.with_context(|| {
            format!(
                "{name} has not printed {text:?}:\n{}",
                end_of(&self.log(name))
            )
        })
    }

    /// Waits until a client's job has succeeded, and checks that each line of its log comes once.
    fn check(&self, client: &Client) -> Result<()> {
        let ended = self.holder.wait(client.process, WAIT_LIMIT);
        let log = self.log(client.what);
        let ended = ended.with_context(|| end_of(&log))?;
        ensure!(
            ended == 0,
            "{}: exit code {ended}: {}",
            client.what,
            end_of(&log)
        );
        let numbers = log.lines().filter_map(|line| line.parse::<usize>().ok());
        let mut count = 0;
        for (expected, number) in numbers.enumerate() {
            ensure!(
                number == expected,
                "{}: {number} for {expected}",
                client.what
            );
            count += 1;
        }
        ensure!(
            count > 0 || client.what == "quiet",
            "{}: no lines",
            client.what
        );
        for text in [
            format!("\nended {}\n", client.what),
            "Job succeeded".to_owned(),
        ] {
            ensure!(
                log.contains(&text),
                "{}: no {text:?} in {}",
                client.what,
                end_of(&log)
            );
        }
        Ok(())
    }

    fn mark(&self, name: &str) -> Result<()> {
        Ok(fs::write(self.holder.folder().join(name), "")?)
    }
}

fn end_of(log: &str) -> String {
    let mut last: Vec<_> = log.lines().rev().take(30).collect();
    last.reverse();
    last.join("\n")
}

/// Cuts the network between the scheduler and the worker, or between the scheduler and the clients.
fn an_outage(test: &str, worker: End, clients: End) -> Result<()> {
    let Some(rig) = Rig::or_not_run(test) else {
        return Ok(());
    };
    if !rig::is_root() {
        report_not_run(test, "root, for network namespaces");
        return Ok(());
    }
    let farm = Farm::start(&rig, worker)?;
    let mut jobs = Vec::new();
    for what in ["stream", "quiet", "short"] {
        jobs.push(farm.submit(clients, what)?);
        farm.wait_for(what, &format!("started {what}"))?;
    }
    jobs.push(farm.submit(clients, "queued")?);
    farm.wait_for("queued", "Tailing log:")?;
    farm.wait_for("stream", "\n20000\n")?;

    let start = Instant::now();
    farm.wire.connect(false)?;
    farm.mark("cut")?;
    while start.elapsed() < OUTAGE {
        for job in &jobs {
            let state = farm.holder.state(job.process)?;
            ensure!(
                state == ProcessState::Running,
                "{} after {:?}: {state:?}: {}",
                job.what,
                start.elapsed(),
                end_of(&farm.log(job.what))
            );
        }
        sleep(Duration::from_millis(500));
    }
    if worker == End::Far {
        let log = farm.log("scheduler");
        ensure!(log.contains("Worker \"w1\" has not answered for"), "{log}");
    }
    farm.wire.connect(true)?;
    farm.mark("released")?;
    for job in &jobs {
        farm.check(job)?;
    }

    // The connection has survived.
    let log = farm.log("w1");
    let registered = log.matches("Registered").count();
    ensure!(registered <= 1, "{registered} registrations: {log}");
    let log = farm.log("scheduler");
    ensure!(!log.contains("disconnected"), "{log}");
    farm.holder.finish()
}

#[test]
fn an_outage_of_the_worker_loses_nothing() -> Result<()> {
    let test = "an_outage_of_the_worker_loses_nothing";
    an_outage(test, End::Far, End::Near)
}

#[test]
fn an_outage_of_the_clients_loses_nothing() -> Result<()> {
    let test = "an_outage_of_the_clients_loses_nothing";
    an_outage(test, End::Near, End::Far)
}
