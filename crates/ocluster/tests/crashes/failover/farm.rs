//! Two schedulers on one database, and their workers.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::machines::{Machines, address};
use crate::builds;
use crate::client::Client;
use crate::program::Program;
use crate::site::{INTERVAL, POOL, worker, write_scripts};
use crate::user::User;

/// The schedulers. Each has a folder, a machine, and a user of the database of that name.
pub(super) const SCHEDULERS: [&str; 2] = ["alpha", "beta"];

const WORKERS: [&str; 3] = ["w1", "w2", "w3"];

const PORT: u16 = 9000;
const HTTP_PORT: u16 = 9100;

/// How long the user's own connection waits for an answer before it tries the other scheduler.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long `/readyz` may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What `/readyz` says of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leader,
    Standby,
    /// It says something else, or nothing.
    Other,
}

pub(super) struct Farm<'a> {
    pub(super) user: User,
    pub(super) machines: &'a Machines,
    schedulers: Vec<RefCell<Program>>,
    workers: Vec<RefCell<Program>>,
    image: &'a Path,
}

/// Returns a cap file, in the folder of the farm: of the first scheduler, which leads at first.
pub(super) fn cap(name: &str) -> String {
    format!("{}/{name}.cap", caps(0))
}

fn caps(scheduler: usize) -> String {
    format!("caps-{}", SCHEDULERS[scheduler])
}

/// Returns the address at which programs find the second scheduler, too.
pub(super) fn also() -> String {
    format!("tcp:{}:{PORT}", address(1))
}

impl<'a> Farm<'a> {
    /// Makes a farm in an empty folder. Nothing runs yet.
    pub(super) fn new(
        folder: &Path,
        image: &'a Path,
        machines: &'a Machines,
    ) -> Result<Self, String> {
        fs::create_dir(folder.join("bin")).map_err(|error| error.to_string())?;
        write_scripts(folder);
        for number in 0..SCHEDULERS.len() {
            let own = fs::create_dir(folder.join(caps(number)));
            own.map_err(|error| error.to_string())?;
        }
        let schedulers = (0..SCHEDULERS.len())
            .map(|number| scheduler(folder, number, machines).map(RefCell::new))
            .collect::<Result<_, _>>()?;
        let option = format!("--also={}", also());
        let options = [
            &builds::OPTIONS.map(str::to_owned)[..],
            std::slice::from_ref(&option),
        ]
        .concat();
        let worker = |name| RefCell::new(worker(folder, &caps(0), name, name, &options));
        let others = vec![also().parse().map_err(|_| "no address")?];
        let client = Client::new(folder.join(cap("submission"))).with_others(others, PATIENCE);
        Ok(Self {
            user: User::new(folder, vec![cap("submission"), option], client),
            machines,
            schedulers,
            workers: WORKERS.map(worker).into(),
            image,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.user.folder()
    }

    /// Returns the paths of all logs.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let programs = self.schedulers.iter().chain(&self.workers);
        programs.map(|program| program.borrow().log()).collect()
    }

    /// Starts everything, until the first scheduler leads and the second one stands by.
    pub(super) async fn start(&self) -> Result<(), String> {
        for worker in WORKERS {
            builds::import(self.folder(), worker, self.image);
        }
        self.schedulers[0].borrow_mut().start(None);
        // It makes the key.
        while self.role(0).await != Role::Leader {
            self.attend_to(&self.schedulers[..1])?;
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Ends the workers, and removes what their builds have mounted.
    pub(super) fn end(&self) {
        for (name, worker) in WORKERS.iter().zip(&self.workers) {
            worker.borrow_mut().kill(Duration::from_secs(3600));
            builds::unmount(self.folder(), name);
        }
    }

    /// Starts what has been stopped for long enough.
    ///
    /// An error tells that a program has ended in a way that it should not.
    pub(super) fn attend(&self) -> Result<(), String> {
        self.attend_to(&self.schedulers)?;
        self.attend_to(&self.workers)
    }

    fn attend_to(&self, programs: &[RefCell<Program>]) -> Result<(), String> {
        for program in programs {
            program.borrow_mut().attend(|| true)?;
        }
        Ok(())
    }

    /// Kills a scheduler, which is started again after a pause.
    pub(super) fn kill(&self, scheduler: usize, pause: Duration) {
        self.schedulers[scheduler].borrow_mut().kill(pause);
    }

    /// Sends a scheduler a signal.
    pub(super) fn signal(&self, scheduler: usize, signal: Signal) {
        self.schedulers[scheduler].borrow().signal(signal);
    }

    /// Waits until one scheduler leads and the other one stands by. Returns the one that leads.
    pub(super) async fn whole(&self) -> usize {
        loop {
            match (self.role(0).await, self.role(1).await) {
                (Role::Leader, Role::Standby) => return 0,
                (Role::Standby, Role::Leader) => return 1,
                _ => tokio::time::sleep(INTERVAL * 10).await,
            }
        }
    }

    /// Returns what each scheduler says of itself.
    pub(super) async fn roles(&self) -> [Role; 2] {
        [self.role(0).await, self.role(1).await]
    }

    async fn role(&self, scheduler: usize) -> Role {
        let answer = async {
            let mut stream = TcpStream::connect((&*address(scheduler), HTTP_PORT)).await?;
            let request = "GET /readyz HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => Role::Leader,
            Ok(Ok(answer)) if answer.to_lowercase().contains("standby") => Role::Standby,
            _ => Role::Other,
        }
    }
}

fn scheduler(folder: &Path, number: usize, machines: &Machines) -> Result<Program, String> {
    let name = SCHEDULERS[number];
    let args = [
        // Both have one key.
        "--capnp-secret-key-file=key.pem".to_owned(),
        format!("--secrets-dir={}", caps(number)),
        format!("--state-dir=state-{name}"),
        format!("--capnp-listen-address=tcp:{}:{PORT}", address(number)),
        format!("--listen-prometheus={}:{HTTP_PORT}", address(number)),
        format!("--pools={POOL}"),
        format!("--store={}", machines.store(number)),
        format!("--log-store=dir:{}", folder.join("log-store").display()),
        "--log-cache=0".to_owned(),
        // Else the log of a job that has just ended is only on the disk of a scheduler that led.
        "--log-acknowledge=store".to_owned(),
    ];
    let path = env!("CARGO_BIN_EXE_ocluster-scheduler");
    let program = Program::new(name, path, args.to_vec(), folder.to_owned());
    Ok(program.wrapped(machines.at(number)?))
}
