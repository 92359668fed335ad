//! A PostgreSQL server, of Debian's package, with its data in a folder of its own.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::command::{checked, find_program};
use crate::holder::{Holder, Process, ProcessState};
use crate::name::Name;
use crate::setup::is_root;
use crate::wait::wait_for;

/// The time limit for a server to start, also after it was killed, or to end.
const LIMIT: Duration = Duration::from_secs(60);

/// The server does not run as root.
const USER: &str = "postgres";

/// A running server. It listens on a socket in its folder, and on a port of loopback.
#[derive(Debug)]
pub struct PostgreSql {
    programs: PathBuf,
    settings: Vec<String>,
    data: PathBuf,
    port: u16,
    process: Mutex<Process>,
    starts: AtomicU32,
    holder: Holder,
}

impl PostgreSql {
    /// Starts a server with an empty set of databases. Its superuser is `ocluster`, who needs no password.
    ///
    /// Nothing that it writes survives the machine, unless `settings` say `fsync=on`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start; then with its log.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::start_on(None, settings)
    }

    /// Like [`start`](Self::start), with the data on a disk that was mounted there.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start; then with its log.
    pub fn start_on(disk: Option<&Path>, settings: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let holder = Holder::start(&Name::new()?)?;
        let folder = holder.folder();
        let data = disk.unwrap_or(folder).join("data");
        for outer in [Some(folder), disk, disk.and_then(Path::parent)] {
            let Some(outer) = outer else { continue };
            std::fs::set_permissions(outer, std::fs::Permissions::from_mode(0o711))?;
        }
        for inner in [&data, &folder.join("run")] {
            std::fs::create_dir(inner)?;
            if is_root() {
                checked(Command::new("chown").arg(USER).arg(inner))?;
            }
        }
        let mut init = as_user(&programs.join("initdb"));
        init.arg("-D").arg(&data).current_dir(folder);
        init.args([
            "-U",
            "ocluster",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--auth=trust",
            "--no-sync",
        ]);
        checked(&mut init)?;
        // It must be named before the server starts. Another process could take it in between, and then it fails.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = run(&holder, &programs, &data, &settings, port, 1)?;
        let server = Self {
            programs,
            settings,
            data,
            port,
            process: Mutex::new(process),
            starts: AtomicU32::new(1),
            holder,
        };
        server.wait_until_it_serves()?;
        Ok(server)
    }

    /// Returns a new, empty database's address for programs of ours: by the socket.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, database: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE \"{database}\""))?;
        Ok(self.address(database))
    }

    /// Returns the address of a database, by the socket.
    pub fn address(&self, database: &str) -> String {
        let run = self.run_folder();
        format!(
            "postgres://ocluster@:{}/{database}?host={}",
            self.port,
            run.display()
        )
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.run_folder().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Returns the port of loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of the data and the settings.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    fn run_folder(&self) -> PathBuf {
        self.holder.folder().join("run")
    }

    /// Runs SQL as the superuser, and returns what `psql` prints of it: a line for each row.
    ///
    /// # Errors
    /// When the server refuses it, or cannot be reached.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.arg("-h")
            .arg(self.run_folder())
            .args(["-p", &self.port.to_string()]);
        psql.args(["-U", "ocluster", "-d", database, "-X", "-q", "-A", "-t"]);
        psql.args(["-v", "ON_ERROR_STOP=1", "-c", sql]);
        checked(&mut psql)
    }

    /// Stops the server, which ends the connections, and starts it again.
    ///
    /// # Errors
    /// When it does not end, or does not start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops the server, which ends the connections.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::INT)
    }

    /// Kills the server, as a crash would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::KILL)
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let process = *self.process();
        self.holder.signal(process, signal)?;
        self.holder.wait(process, LIMIT).map(drop)
    }

    /// Starts a server that has ended.
    ///
    /// # Errors
    /// When it does not start; then with its log.
    pub fn start_again(&self) -> Result<()> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        // Processes of one that was killed may take a moment to end, and a new one does not start before.
        wait_for("start of PostgreSQL", LIMIT, || {
            let process = run(
                &self.holder,
                &self.programs,
                &self.data,
                &self.settings,
                self.port,
                number,
            )?;
            *self.process() = process;
            Ok(self.wait_until_it_serves().ok())
        })
    }

    /// Returns what the server has logged since its latest start.
    pub fn log(&self) -> String {
        let log = log_name(self.starts.load(Ordering::Relaxed));
        std::fs::read_to_string(self.holder.log(&log)).unwrap_or_default()
    }

    /// Returns whether the server has ended, also by itself.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn has_ended(&self) -> Result<bool> {
        let process = *self.process();
        let state = self.holder.state(process)?;
        Ok(matches!(state, ProcessState::Ended(_)))
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait_until_it_serves(&self) -> Result<()> {
        let process = *self.process();
        wait_for("PostgreSQL", LIMIT, || {
            if let ProcessState::Ended(code) = self.holder.state(process)? {
                bail!("PostgreSQL ended with code {code}: {}", self.log());
            }
            Ok(self.sql("postgres", "SELECT 1").ok().map(drop))
        })
    }
}

fn log_name(number: u32) -> String {
    format!("postgres-{number}.log")
}

fn run(
    holder: &Holder,
    programs: &Path,
    data: &Path,
    settings: &[String],
    port: u16,
    number: u32,
) -> Result<Process> {
    let folder = holder.folder();
    let mut server = as_user(&programs.join("postgres"));
    server.arg("-D").arg(data).current_dir(folder);
    server.arg("-k").arg(folder.join("run"));
    server.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=64MB",
    ]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    holder.run(&server, &log_name(number))
}

/// Returns the command of a program that is to run as another user than root.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
        .arg(program);
    command
}

/// Returns the folder of the newest version's programs: Debian does not put the server's into PATH.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file())
        .max_by_key(|bin| {
            let version = bin.parent().and_then(Path::file_name);
            version.and_then(|version| version.to_str()?.parse::<u32>().ok())
        });
    let in_path =
        || find_program("initdb").and_then(|program| program.parent().map(Path::to_owned));
    newest
        .or_else(in_path)
        .context("PostgreSQL, of Debian's package postgresql")
}
