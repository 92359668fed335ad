//! Two schedulers, a worker and a client, as real programs on a real database.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rig::{Holder, Name, PostgreSql, Process, ProcessState};
use rustix::process::Signal;

/// The time limit for anything, far longer than it takes, so that a slow machine fails no test.
const LIMIT: Duration = Duration::from_secs(150);

/// The pool.
const POOL: &str = "farm";

/// The most lines that a job prints. It is told to end long before.
const LINES: u32 = 100_000;

/// The program of a custom job: it prints numbers until it is told to end, and leaves a mark when it begins and ends.
const JOB: &str = r#"#!/bin/bash
read -r folder lines
echo begun >> "$folder/begun"
for ((n = 0; n < lines; n++)); do
  echo "line $n"
  sleep 0.1
  [ -e "$folder/end" ] && break
done
echo "last $n"
echo done >> "$folder/done"
"#;

/// Where a scheduler is, as its peers and its checks have it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The address at which it listens.
    pub(crate) listen: String,
    /// The address in cap files.
    pub(crate) public: String,
    /// `ADDR:PORT` of its health checks.
    pub(crate) checks: String,
    /// What its command line begins with: what runs a program on its machine.
    pub(crate) machine: Vec<String>,
}

/// The database, the programs and their folder. All of it ends when this is dropped.
pub(crate) struct Farm {
    places: [Place; 2],
    schedulers: [Option<Process>; 2],
    store: String,
    /// What runs the worker and the clients on their machine.
    elsewhere: Vec<String>,
    /// Options of the worker and the clients.
    options: Vec<String>,
    holder: Holder,
    _database: PostgreSql,
}

impl Farm {
    /// Starts both schedulers, the first one first, so that it leads. `None` where that is not possible.
    pub(crate) fn start(
        test: &str,
        holder: Holder,
        places: [Place; 2],
        elsewhere: Vec<String>,
        options: Vec<String>,
    ) -> Option<Self> {
        let database = match PostgreSql::start(&[]) {
            Ok(database) => database,
            Err(error) => {
                rig::report_not_run(test, &format!("{error:#}"));
                return None;
            }
        };
        let store = database.create("farm").expect("a database");
        let mut farm = Self {
            places,
            schedulers: [None, None],
            store,
            elsewhere,
            options,
            holder,
            _database: database,
        };
        fs::create_dir(farm.file("caps")).expect("a directory");
        let job = farm.file("job");
        fs::write(&job, JOB).expect("a script");
        fs::set_permissions(&job, fs::Permissions::from_mode(0o755)).expect("it is executable");
        farm.start_scheduler(0);
        farm.until("the first scheduler leads", |farm| farm.leads(0));
        farm.start_scheduler(1);
        farm.until("the second one is a standby", |farm| {
            farm.readiness(1) == Some(503)
        });
        Some(farm)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.holder.folder().join(name)
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Starts a scheduler, or starts it again after it was killed.
    pub(crate) fn start_scheduler(&mut self, number: usize) {
        let place = &self.places[number];
        let mut command = self.program("ocluster-scheduler", &place.machine);
        command
            .arg("--capnp-secret-key-file=caps/key.pem")
            .arg("--secrets-dir=caps")
            .arg(format!("--capnp-listen-address={}", place.listen))
            .arg(format!("--capnp-public-address={}", place.public))
            .arg(format!("--state-dir=scheduler-{number}"))
            .arg(format!("--store={}", self.store))
            .arg(format!("--log-store=dir:{}", self.file("logs").display()))
            .arg(format!("--listen-prometheus={}", place.checks))
            .arg(format!("--pools={POOL}"));
        fs::create_dir_all(self.file("logs")).expect("a directory");
        let started = self
            .holder
            .run(&command, &format!("scheduler-{number}.log"));
        self.schedulers[number] = Some(started.expect("it starts"));
    }

    /// Sends a signal to a scheduler.
    pub(crate) fn signal(&self, number: usize, signal: Signal) {
        let process = self.schedulers[number].expect("it was started");
        self.holder.signal(process, signal).expect("it may");
    }

    /// Returns the status of a scheduler's `/readyz`; `None` if it does not answer.
    pub(crate) fn readiness(&self, number: usize) -> Option<u16> {
        let place = &self.places[number];
        let url = format!("http://{}/readyz", place.checks);
        let mut curl = wrapped("curl", &place.machine);
        curl.args(["--silent", "--output", "/dev/null", "--max-time", "2"]);
        curl.args(["--write-out", "%{http_code}", &url]);
        let output = curl.output().expect("curl runs");
        match String::from_utf8_lossy(&output.stdout).parse() {
            Ok(0) | Err(_) => None,
            Ok(status) => Some(status),
        }
    }

    pub(crate) fn leads(&self, number: usize) -> bool {
        self.readiness(number) == Some(200)
    }

    /// Waits until something is true. Fails with the ends of all logs.
    pub(crate) fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_true(self) {
            assert!(begin.elapsed() < LIMIT, "never: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the ends of the logs of all programs.
    fn logs(&self) -> String {
        let names = [
            "scheduler-0.log",
            "scheduler-1.log",
            "worker.log",
            "client.log",
            "client.errors",
            "haproxy.log",
            "keepalived-0.log",
            "keepalived-1.log",
        ];
        let ends = names.map(|name| {
            let text = self.text(name);
            let lines: Vec<_> = text.lines().rev().take(25).collect();
            let lines: Vec<_> = lines.into_iter().rev().collect();
            format!("--- {name}\n{}\n", lines.join("\n"))
        });
        ends.concat()
    }

    /// Returns what is in a file; nothing if it does not exist.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read(self.file(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns one of our programs on a machine, in the folder of the farm.
    fn program(&self, name: &str, machine: &[String]) -> Command {
        let path = match name {
            "ocluster" => env!("CARGO_BIN_EXE_ocluster"),
            "ocluster-client" => env!("CARGO_BIN_EXE_ocluster-client"),
            "ocluster-scheduler" => env!("CARGO_BIN_EXE_ocluster-scheduler"),
            "ocluster-worker" => env!("CARGO_BIN_EXE_ocluster-worker"),
            other => panic!("no program of ours: {other}"),
        };
        let mut command = wrapped(path, machine);
        command
            .current_dir(self.holder.folder())
            .env("OCLUSTER_CONFIG", "/dev/null");
        command
    }

    /// Starts the worker, and waits until it is registered.
    pub(crate) fn start_worker(&self) {
        let mut command = self.program("ocluster-worker", &self.elsewhere);
        command
            .arg("--connect=caps/pool-farm.cap")
            .args(&self.options)
            .args(["--name=w1", "--capacity=1", "--state-dir=worker"])
            .args(["--state-min-free=0"])
            .arg(format!("--custom=numbers={}", self.file("job").display()))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        self.holder.run(&command, "worker.log").expect("it starts");
        self.until("the worker is registered", |farm| {
            farm.text("worker.log").contains("Requesting a new job")
        });
    }

    /// Submits a job, and follows its log until it ends.
    pub(crate) fn start_client(&self) -> Process {
        fs::write(
            self.file("payload"),
            format!("{} {LINES}\n", self.holder.folder().display()),
        )
        .expect("a payload");
        let mut command = Command::new("sh");
        let client = self.program("ocluster-client", &self.elsewhere);
        // The log is apart from what the program says besides.
        command
            .args(["-c", r#"exec "$@" 2>client.errors"#, "sh"])
            .arg(client.get_program())
            .args(client.get_args())
            .args(["submit-custom", "--connect=caps/submission.cap"])
            .args(&self.options)
            .arg(format!("--pool={POOL}"))
            .args(["--kind=numbers", "--payload=payload"])
            .current_dir(self.holder.folder())
            .env("OCLUSTER_CONFIG", "/dev/null");
        let process = self.holder.run(&command, "client.log");
        process.expect("it starts")
    }

    /// Returns how many lines of the job's log the client has printed.
    pub(crate) fn lines(&self) -> usize {
        self.text("client.log")
            .lines()
            .filter(|line| line.starts_with("line "))
            .count()
    }

    /// Waits until the client has printed more lines of the log.
    pub(crate) fn until_log_goes_on(&self) {
        let printed = self.lines();
        self.until("the log goes on", |farm| farm.lines() > printed + 2);
    }

    /// Lets the job end, and checks that it was run once, and that its log has no gap and no repetition.
    pub(crate) fn finish(self, client: Process) {
        fs::write(self.file("end"), "").expect("a file");
        self.until("the client ends", |farm| {
            farm.holder.state(client).expect("it was started") != ProcessState::Running
        });
        let code = self.holder.state(client).expect("it has ended");
        assert_eq!(code, ProcessState::Ended(0), "{}", self.logs());
        let log = self.text("client.log");
        let numbers: Vec<_> = log
            .lines()
            .filter_map(|line| line.strip_prefix("line "))
            .collect();
        let expected: Vec<_> = (0..numbers.len()).map(|n| n.to_string()).collect();
        assert_eq!(numbers, expected, "the log has each line once");
        let last = format!("last {}", numbers.len() - 1);
        assert!(log.lines().any(|line| line == last), "{log}");
        assert_eq!(self.text("begun").lines().count(), 1, "{}", self.logs());
        assert_eq!(self.text("done").lines().count(), 1);
        self.holder.finish().expect("it cleans up");
    }

    /// Runs the doctor on the cluster. Returns its output.
    pub(crate) fn doctor(&self) -> String {
        let mut command = self.program("ocluster", &self.elsewhere);
        command
            .args(["doctor", "--connect=caps/admin.cap"])
            .args(&self.options);
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Returns a command that runs a program on a machine.
pub(crate) fn wrapped(program: impl AsRef<Path>, machine: &[String]) -> Command {
    match machine {
        [] => Command::new(program.as_ref()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program.as_ref());
            command
        }
    }
}

/// Returns a holder, or `None` if the program `rig` is not built.
pub(crate) fn holder(test: &str) -> Option<Holder> {
    let started = Holder::start(&Name::new().expect("a name"));
    match started {
        Ok(holder) => Some(holder),
        Err(error) => {
            rig::report_not_run(test, &format!("{error:#}"));
            None
        }
    }
}

/// Returns a free port of loopback. Another process could take it in between; then the program that gets it fails.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}
