//! The machines: one for peers, one for each scheduler; and a database on a disk of its own.

use std::path::Path;
use std::sync::Arc;

use rig::{Filesystem, Holder, Lan, LoopDisk, Name, PostgreSql, Process};
use rustix::process::Signal;

use super::farm::SCHEDULERS;

/// The machine of workers and clients.
pub(super) const PEERS: usize = 0;

const DATABASE: &str = "farm";

/// Room for what rounds keep.
const DISK: u64 = 400 << 20;

/// So that a full disk is noticed soon: PostgreSQL keeps old pieces of its journal to write on.
const SETTINGS: [&str; 4] = [
    "max_wal_size=64MB",
    "min_wal_size=32MB",
    "wal_recycle=off",
    "max_connections=100",
];

pub(super) struct Machines {
    // It ends before its disk is unmounted.
    database: Arc<PostgreSql>,
    disk: LoopDisk,
    /// What brings each scheduler to the database.
    forwards: Vec<Process>,
    lan: Lan,
    holder: Holder,
}

impl Machines {
    pub(super) fn new() -> Result<Self, String> {
        let holder = text(Name::new().and_then(|name| Holder::start(&name)))?;
        let lan = text(Lan::new(&holder, 3))?;
        let disk = text(LoopDisk::new(Filesystem::Ext4, DISK))?;
        let database = text(PostgreSql::start_on(Some(disk.path()), &SETTINGS))?;
        text(database.create(DATABASE))?;
        for scheduler in SCHEDULERS {
            let role = format!("CREATE ROLE {scheduler} SUPERUSER LOGIN");
            text(database.sql(DATABASE, &role))?;
        }
        let forwards = (0..SCHEDULERS.len())
            .map(|number| text(lan.forward(&holder, machine(number), database.port())))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            database: Arc::new(database),
            disk,
            forwards,
            lan,
            holder,
        })
    }

    pub(super) fn lan(&self) -> &Lan {
        &self.lan
    }

    /// Returns where the disk of the database is mounted.
    pub(super) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// Returns the address of the database for a scheduler.
    pub(super) fn store(&self, scheduler: usize) -> String {
        let (user, port) = (SCHEDULERS[scheduler], self.database.port());
        format!("postgres://{user}@127.0.0.1:{port}/{DATABASE}?sslmode=disable")
    }

    /// Returns the command that runs a program on the machine of a scheduler.
    pub(super) fn at(&self, scheduler: usize) -> Result<Vec<String>, String> {
        let namespace = text(self.lan.namespace(machine(scheduler)))?;
        let enter = format!("--net={}", namespace.display());
        Ok(["nsenter".to_owned(), enter, "--".to_owned()].to_vec())
    }

    /// Lets what a scheduler and the database send each other arrive, or holds it.
    pub(super) fn reach_database(&self, scheduler: usize, on: bool) -> Result<(), String> {
        let signal = if on { Signal::CONT } else { Signal::STOP };
        text(self.holder.signal(self.forwards[scheduler], signal))
    }

    /// Connects a scheduler with all other machines, or drops what they send each other.
    pub(super) fn reach_peers(&self, scheduler: usize, on: bool) -> Result<(), String> {
        text(self.lan.plug(machine(scheduler), on))
    }

    /// Runs SQL, and returns what `psql` prints.
    pub(super) async fn sql(&self, sql: &str) -> Result<String, String> {
        let sql = sql.to_owned();
        self.administer(move |database| text(database.sql(DATABASE, &sql)))
            .await
    }

    /// Does something with the database that takes its time, while everything else goes on.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PostgreSql) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let database = Arc::clone(&self.database);
        let done = tokio::task::spawn_blocking(move || work(&database));
        done.await.map_err(|error| error.to_string())?
    }
}

/// Returns an error as a text, with its causes.
pub(super) fn text<T>(result: Result<T, impl std::fmt::Display>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

/// Returns the machine of a scheduler.
pub(super) fn machine(scheduler: usize) -> usize {
    PEERS + 1 + scheduler
}

/// Returns its address.
pub(super) fn address(scheduler: usize) -> String {
    Lan::address(machine(scheduler))
}
