//! A scheduler and two workers, with all that they keep in one folder.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::client::Client;
use crate::incident::{Incident, Incidents};
use crate::kill::StopSignal;
use crate::network::Network;
use crate::plan::Victim;
use crate::points::Point;
use crate::program::{Ended, Program};
use crate::script::{JOB, KIND};
use crate::user::User;

/// How often to look whether something has happened.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

pub(crate) const POOL: &str = "pool";

/// The cap file of the user.
const CAP: &str = "caps/submission.cap";

/// How many workers there are, each with room for two jobs.
pub(crate) const WORKERS: [&str; 2] = ["w1", "w2"];

pub(crate) struct Site {
    pub(crate) user: User,
    address: String,
    scheduler: RefCell<Program>,
    workers: [RefCell<Program>; 2],
    /// Whether the workers are killed whenever the scheduler is. If not, they connect again by themselves, which takes
    /// up to ten seconds.
    pub(crate) kills_all: Cell<bool>,
    /// How often something was killed, and how often a worker was, since the counts were read.
    kills: Cell<u32>,
    kills_of_workers: Cell<u32>,
}

/// Writes what workers run. They look for an engine, too, and these have no use for it.
pub(crate) fn write_scripts(folder: &Path) {
    for (name, script) in [("docker", "#!/bin/sh\n"), ("job", JOB)] {
        let path = folder.join("bin").join(name);
        fs::write(&path, script).expect("wrote a script");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, executable).expect("made it executable");
    }
}

/// How long programs that are asked to end may wait for jobs: as long as it takes. A scheduler waits for no durable
/// job.
const SHUTDOWN_TIMEOUT: &str = "--shutdown-timeout=3600";

/// The folder of the cap files.
pub(crate) const CAPS: &str = "caps";

/// Returns a worker with a folder of its own, which has its cap file from the folder `caps`.
pub(crate) fn worker(
    folder: &Path,
    caps: &str,
    name: &str,
    own: &'static str,
    options: &[String],
) -> Program {
    let mut args = vec![
        format!("{caps}/pool-{POOL}.cap"),
        format!("--name={name}"),
        format!("--state-dir={own}"),
        "--capacity=2".to_owned(),
        "--state-min-free=1MiB".to_owned(),
        SHUTDOWN_TIMEOUT.to_owned(),
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
        write_scripts(folder);
        let mut scheduler = [
            "--capnp-secret-key-file=caps/key.pem".to_owned(),
            "--secrets-dir=caps".to_owned(),
            "--state-dir=state".to_owned(),
            format!("--capnp-listen-address={}", network.address),
            format!("--pools={POOL}"),
            SHUTDOWN_TIMEOUT.to_owned(),
            // Logs that are whole are read from there, and from nowhere else.
            format!("--log-store=dir:{}", folder.join("log-store").display()),
            "--log-cache=0".to_owned(),
        ]
        .to_vec();
        scheduler.extend(network.scheduler_options);
        let path = env!("CARGO_BIN_EXE_ocluster-scheduler");
        let scheduler = Program::new("scheduler", path, scheduler, folder.to_owned());
        let [first, second] = network.workers;
        let worker = |name, wrapper| {
            let worker = worker(folder, CAPS, name, name, &network.options);
            RefCell::new(worker.wrapped(wrapper))
        };
        let [w1, w2] = WORKERS;
        let client = Client::new(folder.join(CAP));
        Self {
            scheduler: RefCell::new(scheduler.wrapped(network.scheduler)),
            workers: [worker(w1, first), worker(w2, second)],
            address: network.address,
            user: User::new(folder, vec![CAP.to_owned()], client),
            kills_all: Cell::default(),
            kills: Cell::default(),
            kills_of_workers: Cell::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.user.folder()
    }

    /// Returns the paths of all logs.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let workers = self.workers.iter().map(|worker| worker.borrow().log());
        [self.scheduler.borrow().log()]
            .into_iter()
            .chain(workers)
            .collect()
    }

    /// Returns whether a program has logged this.
    pub(crate) fn has_logged(&self, victim: Victim, text: &str) -> bool {
        let log = self.program(victim).map(|program| program.borrow().log());
        let log = log.and_then(|log| fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&log).contains(text)
    }

    /// Lets all jobs stand still, or go on.
    pub(crate) fn hold(&self, held: bool) {
        let file = self.folder().join("held");
        let done = match held {
            true => fs::write(file, ""),
            false => fs::remove_file(file),
        };
        done.expect("changed the file");
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
            Victim::Connection => None,
        }
    }

    /// Starts a program again, to kill itself at a point.
    pub(crate) fn start_to_crash(&self, victim: Victim, point: Point, passes: u64) {
        if let Some(program) = self.program(victim) {
            program.borrow_mut().start(Some((point, passes)));
            self.count_kill(victim, StopSignal::Kill);
        }
        if victim == Victim::Scheduler && self.kills_all.get() {
            self.kill_workers(Duration::ZERO);
        }
    }

    /// Kills a program, or closes the client's connection.
    pub(crate) fn kill(&self, victim: Victim, pause: Duration) {
        self.stop(victim, StopSignal::Kill, pause);
    }

    /// Sends a program a signal that stops it, or closes the client's connection.
    pub(crate) fn stop(&self, victim: Victim, signal: StopSignal, pause: Duration) {
        let Some(program) = self.program(victim) else {
            self.user.client.disconnect();
            self.user.note(Incident::Connection);
            return;
        };
        let was_running = program.borrow_mut().stop(signal, pause);
        self.count_kill(victim, signal);
        if signal == StopSignal::Kill {
            self.has_ended(victim, was_running.then_some(Ended::Stopped(signal)), pause);
        }
    }

    /// A program has ended, or had ended before.
    fn has_ended(&self, victim: Victim, ended: Option<Ended>, pause: Duration) {
        match (ended, victim) {
            (Some(Ended::Crashed(point)), _) => self.user.note(Incident::Point(point)),
            (Some(Ended::Stopped(signal)), Victim::Scheduler) => {
                self.user.note(Incident::Scheduler(signal));
            }
            (Some(Ended::Stopped(signal)), Victim::Worker(_)) => {
                self.user.note(Incident::Worker(signal));
            }
            (Some(Ended::Stopped(_)), Victim::Connection) | (None, _) => {}
        }
        if victim == Victim::Scheduler && self.kills_all.get() {
            self.kill_workers(pause);
        }
    }

    fn kill_workers(&self, pause: Duration) {
        self.kill(Victim::Worker(0), pause);
        self.kill(Victim::Worker(1), pause);
    }

    fn count_kill(&self, victim: Victim, signal: StopSignal) {
        self.kills.set(self.kills.get() + 1);
        // After SIGTERM, a worker waits for its jobs.
        if let Victim::Worker(_) = victim
            && signal != StopSignal::Terminate
        {
            self.kills_of_workers.set(self.kills_of_workers.get() + 1);
        }
    }

    /// Returns whether it has happened.
    pub(crate) fn has_happened(&self, incident: Incident) -> bool {
        self.user.has_noted(incident)
    }

    /// Returns what has happened since the last call.
    pub(crate) fn take_incidents(&self) -> Incidents {
        self.user.take_incidents()
    }

    /// Returns how often something was killed since the last call, and how often a worker was.
    pub(crate) fn take_kills(&self) -> (u32, u32) {
        (self.kills.take(), self.kills_of_workers.take())
    }

    /// Returns whether workers and clients can connect to the scheduler.
    pub(crate) fn is_served(&self) -> bool {
        let cap = self.folder().join(format!("caps/pool-{POOL}.cap"));
        cap.exists()
            && match self.address.split_once(':') {
                Some(("tcp", address)) => TcpStream::connect(address).is_ok(),
                _ => UnixStream::connect(self.folder().join("socket")).is_ok(),
            }
    }

    /// Starts what has been stopped for long enough.
    ///
    /// An error tells that a program has ended in a way that it should not.
    pub(crate) fn attend(&self) -> Result<(), String> {
        let victims = [Victim::Scheduler, Victim::Worker(0), Victim::Worker(1)];
        for victim in victims {
            let Some(program) = self.program(victim) else {
                continue;
            };
            // A worker that finds no scheduler when it starts waits for ten seconds.
            let may_start = || victim == Victim::Scheduler || self.is_served();
            let ended = program.borrow_mut().attend(may_start)?;
            if let Some(Ended::Crashed(_)) = ended {
                self.count_kill(victim, StopSignal::Kill);
            }
            if ended.is_some() {
                self.has_ended(victim, ended, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// Returns whether a program was sent a signal, and has not ended yet.
    pub(crate) fn is_ending(&self) -> bool {
        let workers = self.workers.iter();
        [&self.scheduler]
            .into_iter()
            .chain(workers)
            .any(|program| program.borrow().is_ending())
    }

    /// Makes ended jobs so old that the scheduler removes them when it starts. It must not run.
    pub(crate) fn age(&self, names: &[String]) {
        assert!(self.scheduler.borrow().is_stopped(), "it runs");
        let database = Connection::open(self.folder().join("state/jobs.db")).expect("the database");
        for name in names {
            let aged = database.execute(
                "UPDATE jobs SET since = since - 40 * 86400000000
                 WHERE state > 1 AND seq IN (SELECT seq FROM labels WHERE value = ?1)",
                [name],
            );
            aged.expect("aged the jobs");
        }
    }

    /// Returns the directories of the attempts that a worker keeps.
    pub(crate) fn kept_by(&self, index: usize) -> Vec<PathBuf> {
        let attempts = self.folder().join(WORKERS[index]).join("attempts");
        let attempts = fs::read_dir(attempts).into_iter().flatten().flatten();
        attempts.map(|attempt| attempt.path()).collect()
    }
}
