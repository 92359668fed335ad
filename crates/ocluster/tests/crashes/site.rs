//! A scheduler and two workers, with all that they keep in one folder.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_api::{Action, CustomJob, CustomPayload, OBuilderBuild};
use rusqlite::Connection;
use rustix::process::Signal;

use crate::client::Client;
use crate::plan::{JobPlan, Point, Victim, Work};
use crate::program::Program;

/// How often to look whether something has happened.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

pub(crate) const POOL: &str = "pool";
const KIND: &str = "numbers";

/// How many workers there are, each with room for two jobs.
pub(crate) const WORKERS: [&str; 2] = ["w1", "w2"];

/// Reads what to do; leaves a mark when it begins and when it has printed all its lines.
const JOB: &str = r#"#!/bin/bash
read -r name lines between exit_code folder
echo "$name" >> "$folder/begun"
if [ "$between" = 0 ]; then
  seq -f "$name: %.0f" 0 $((lines - 1))
else
  for ((n = 0; n < lines; n += between)); do
    seq -f "$name: %.0f" "$n" $((n + between - 1))
    sleep 0.05
  done
fi
echo "$name" >> "$folder/done"
exit "$exit_code"
"#;

/// What prints as a slow job does, in a sandbox.
const BUILD: &str = r#"((from busybox) (shell /bin/sh -c)
  (run (shell "n=0
    while [ $n -lt 100 ]; do
      echo NAME: $n
      n=$((n + 1))
      [ $((n % 10)) != 0 ] || sleep 0.05
    done")))"#;

/// How the programs reach each other, and what else the workers are started with.
pub(crate) struct Network {
    /// Where the scheduler listens.
    pub(crate) address: String,
    /// What runs the workers, elsewhere.
    pub(crate) workers: Vec<String>,
    /// More options of the workers, with `NAME` for the name of each and `FOLDER` for that of all.
    pub(crate) options: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            address: "unix:socket".to_owned(),
            workers: Vec::new(),
            options: Vec::new(),
        }
    }
}

pub(crate) struct Site {
    folder: PathBuf,
    address: String,
    scheduler: RefCell<Program>,
    workers: [RefCell<Program>; 2],
    pub(crate) client: Client,
    /// Whether the workers are killed whenever the scheduler is. If not, they connect again by themselves, which takes
    /// up to ten seconds.
    pub(crate) kills_all: Cell<bool>,
    /// How often something was killed, and how often a worker was, since the counts were read.
    kills: Cell<u32>,
    kills_of_workers: Cell<u32>,
}

/// Returns a worker with a folder of its own.
pub(crate) fn worker(folder: &Path, name: &str, own: &'static str, options: &[String]) -> Program {
    let mut args = vec![
        format!("caps/pool-{POOL}.cap"),
        format!("--name={name}"),
        format!("--state-dir={own}"),
        "--capacity=2".to_owned(),
        "--state-min-free=1MiB".to_owned(),
        format!("--custom={KIND}={}/bin/job", folder.display()),
    ];
    let folder_name = folder.to_string_lossy();
    let given = |option: &String| option.replace("NAME", name).replace("FOLDER", &folder_name);
    args.extend(options.iter().map(given));
    let path = env!("CARGO_BIN_EXE_ocluster-worker");
    Program::new(own, path, args, folder.to_owned())
}

impl Site {
    /// Makes a site in an empty folder. Nothing runs yet.
    pub(crate) fn new(folder: &Path, network: Network) -> Self {
        fs::create_dir(folder.join("caps")).expect("made a folder");
        fs::create_dir(folder.join("bin")).expect("made a folder");
        // Workers look for an engine, and these have no use for it.
        for (name, script) in [("docker", "#!/bin/sh\n"), ("job", JOB)] {
            let path = folder.join("bin").join(name);
            fs::write(&path, script).expect("wrote a script");
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(path, executable).expect("made it executable");
        }
        let scheduler = [
            "--capnp-secret-key-file=caps/key.pem".to_owned(),
            "--secrets-dir=caps".to_owned(),
            "--state-dir=state".to_owned(),
            format!("--capnp-listen-address={}", network.address),
            format!("--pools={POOL}"),
        ];
        let path = env!("CARGO_BIN_EXE_ocluster-scheduler");
        let scheduler = Program::new("scheduler", path, scheduler.to_vec(), folder.to_owned());
        Self {
            scheduler: RefCell::new(scheduler),
            workers: WORKERS.map(|name| {
                let worker = worker(folder, name, name, &network.options);
                RefCell::new(worker.wrapped(network.workers.clone()))
            }),
            address: network.address,
            client: Client::new(folder.join("caps/submission.cap")),
            folder: folder.to_owned(),
            kills_all: Cell::default(),
            kills: Cell::default(),
            kills_of_workers: Cell::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the paths of all logs.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let workers = self.workers.iter().map(|worker| worker.borrow().log());
        [self.scheduler.borrow().log()]
            .into_iter()
            .chain(workers)
            .collect()
    }

    /// Returns what a job does.
    pub(crate) fn action(&self, job: &JobPlan) -> Action {
        if job.work == Work::Build {
            let spec = BUILD.replace("NAME", &job.name);
            return Action::OBuilder(OBuilderBuild { spec });
        }
        let payload = CustomPayload::from_text(&self.payload(job)).expect("a short text");
        let kind = KIND.to_owned();
        Action::Custom(CustomJob { kind, payload })
    }

    fn payload(&self, job: &JobPlan) -> String {
        let (lines, between) = job.work.lines();
        let exit_code = job.work.exit_code();
        format!(
            "{} {lines} {between} {exit_code} {}\n",
            job.name,
            self.folder.display()
        )
    }

    /// Returns whether a program has logged this.
    pub(crate) fn has_logged(&self, victim: Victim, text: &str) -> bool {
        let log = self.program(victim).map(|program| program.borrow().log());
        let log = log.and_then(|log| fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&log).contains(text)
    }

    /// Sends a signal to a program.
    pub(crate) fn signal(&self, victim: Victim, signal: Signal) {
        if let Some(program) = self.program(victim) {
            program.borrow().signal(signal);
        }
    }

    fn program(&self, victim: Victim) -> Option<&RefCell<Program>> {
        match victim {
            Victim::Scheduler => Some(&self.scheduler),
            Victim::Worker(index) => self.workers.get(index),
            Victim::Client => None,
        }
    }

    /// Starts a program again, to kill itself at a point.
    pub(crate) fn start_to_crash(&self, victim: Victim, point: Point, passes: u64) {
        if let Some(program) = self.program(victim) {
            program.borrow_mut().start(Some((point, passes)));
            self.has_killed(victim);
        }
        if victim == Victim::Scheduler && self.kills_all.get() {
            self.kill_workers(Duration::ZERO);
        }
    }

    /// Kills a program, or closes the client's connection.
    pub(crate) fn kill(&self, victim: Victim, pause: Duration) {
        match self.program(victim) {
            Some(program) => program.borrow_mut().kill(pause),
            None => self.client.disconnect(),
        }
        self.has_killed(victim);
        if victim == Victim::Scheduler && self.kills_all.get() {
            self.kill_workers(pause);
        }
    }

    fn kill_workers(&self, pause: Duration) {
        self.kill(Victim::Worker(0), pause);
        self.kill(Victim::Worker(1), pause);
    }

    fn has_killed(&self, victim: Victim) {
        self.kills.set(self.kills.get() + 1);
        if let Victim::Worker(_) = victim {
            self.kills_of_workers.set(self.kills_of_workers.get() + 1);
        }
    }

    /// Returns how often something was killed since the last call, and how often a worker was.
    pub(crate) fn take_kills(&self) -> (u32, u32) {
        (self.kills.take(), self.kills_of_workers.take())
    }

    /// Starts what has been stopped for long enough, and returns the points at which programs have killed themselves.
    pub(crate) fn attend(&self) -> Result<Vec<Point>, String> {
        let mut reached = Vec::new();
        let cap = self.folder.join(format!("caps/pool-{POOL}.cap"));
        let is_served = || {
            cap.exists()
                && match self.address.split_once(':') {
                    Some(("tcp", address)) => TcpStream::connect(address).is_ok(),
                    _ => UnixStream::connect(self.folder.join("socket")).is_ok(),
                }
        };
        if let Some(point) = self.scheduler.borrow_mut().attend(|| true)? {
            reached.push(point);
            self.has_killed(Victim::Scheduler);
            if self.kills_all.get() {
                self.kill_workers(Duration::ZERO);
            }
        }
        for (index, worker) in self.workers.iter().enumerate() {
            // One that finds no scheduler when it starts waits for ten seconds.
            if let Some(point) = worker.borrow_mut().attend(is_served)? {
                reached.push(point);
                self.has_killed(Victim::Worker(index));
            }
        }
        Ok(reached)
    }

    /// Makes ended jobs so old that the scheduler removes them when it starts. It must not run.
    pub(crate) fn age(&self, names: &[String]) {
        assert!(self.scheduler.borrow().is_stopped(), "it runs");
        let database = Connection::open(self.folder.join("state/jobs.db")).expect("the database");
        for name in names {
            let aged = database.execute(
                "UPDATE jobs SET since = since - 40 * 86400000000
                 WHERE state > 1 AND seq IN (SELECT seq FROM labels WHERE value = ?1)",
                [name],
            );
            aged.expect("aged the jobs");
        }
    }

    /// Returns the files that are kept of the logs of a job.
    pub(crate) fn log_files(&self, id: &str) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.join("state/job-logs"));
        let folders = folders.expect("the folder of logs").flatten();
        let files =
            folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let of_job = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(id))
        };
        files.map(|file| file.path()).filter(of_job).collect()
    }
}
