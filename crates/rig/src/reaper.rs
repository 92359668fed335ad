//! The process that cleans up for a [`Holder`](crate::Holder).
//!
//! It holds one end of a pipe to its owner. However the owner ends, the kernel closes the other end, and the reaper
//! then kills everything it has started, runs the undo commands, and removes its directory.
//! It is in a session of its own, so that Ctrl-C at a terminal does not reach it, and it is the *subreaper* of all
//! that it starts: processes that detach themselves become its children, so none can escape.
//!
//! If the reaper itself is killed, its direct children die with it (`setpriv --pdeathsig`), and with a private one its
//! whole process namespace, with all of its mounts and its network. Only a directory and empty cgroups are then left.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{self, Pid, Signal, WaitOptions, WaitStatus};

use crate::command::checked;
use crate::name::Name;
use crate::protocol::{Isolation, Reply, Request, Start};
use crate::{cgroup, network};

/// The time limit for killed processes to exit. They are in the kernel, writing back data or removing a namespace.
const EXIT_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Runs as a reaper until standard input ends, then cleans up. Its directory is created in `parent` and called `name`.
///
/// # Errors
/// When something could not be cleaned up. Everything else has been.
pub fn hold(parent: &Path, name: &Name) -> Result<()> {
    process::setsid().context("cannot start a session")?;
    process::set_child_subreaper(Some(process::getpid())).context("cannot adopt orphans")?;
    let folder = parent.join(name.as_str());
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut reaper = Reaper {
        folder,
        ended: HashMap::new(),
        undo: Vec::new(),
        cgroups: Vec::new(),
    };
    let served = reaper.serve();
    let cleaned = reaper.clean_up();
    served.and(cleaned)
}

/// Executes `argv` inside of a private mount namespace, with a `/run` of its own: an engine must neither find the
/// machine's containerd there nor leave its folders behind.
///
/// # Errors
/// When the mount or the start fails; on success this does not return.
pub fn run_inside(argv: &[String]) -> Result<()> {
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).context("cannot mount /run")?;
    execute(argv)
}

/// Like [`run_inside`], in a new network namespace.
///
/// # Errors
/// As for `run_inside`.
pub fn run_offline(argv: &[String]) -> Result<()> {
    // Before `/run` is replaced: the link often leads there.
    let resolvers = fs::canonicalize(network::RESOLVERS).ok();
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).context("cannot mount /run")?;
    network::set_up(resolvers.as_deref())?;
    execute(argv)
}

fn execute(argv: &[String]) -> Result<()> {
    let Some((program, args)) = argv.split_first() else {
        bail!("cannot start a process: the command is empty")
    };
    let error = Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

struct Reaper {
    folder: PathBuf,
    ended: HashMap<i32, i32>,
    undo: Vec<Vec<String>>,
    cgroups: Vec<String>,
}

impl Reaper {
    /// Answers requests until the owner has ended, which closes both pipes.
    fn serve(&mut self) -> Result<()> {
        fs::create_dir(self.folder.join("tmp"))?;
        let mut answered = answer(&Reply::Folder(self.folder.clone()));
        let mut requests = io::stdin().lock().lines();
        while answered.is_ok()
            && let Some(line) = requests.next()
        {
            let request = serde_json::from_str(&line.context("cannot read a request")?)?;
            let reply = self
                .perform(request)
                .unwrap_or_else(|e| Reply::Failed(format!("{e:#}")));
            answered = answer(&reply);
        }
        Ok(())
    }

    fn perform(&mut self, request: Request) -> Result<Reply> {
        match request {
            Request::Start(start) => return self.start(&start),
            Request::Signal { pid, signal } => self.signal(pid, signal)?,
            Request::State { pid } => {
                self.collect_ended();
                return Ok(Reply::State {
                    exit: self.ended.get(&pid).copied(),
                });
            }
            Request::Undo(argv) => self.undo.push(argv),
            Request::RemoveCgroup(name) => self.cgroups.push(name),
        }
        Ok(Reply::Done)
    }

    fn start(&self, start: &Start) -> Result<Reply> {
        let log = File::options().create(true).append(true).open(&start.log)?;
        let argv = wrapped(start)?;
        let Some((program, args)) = argv.split_first() else {
            bail!("cannot start a process: the command is empty")
        };
        let child = Command::new(program)
            .args(args)
            .envs(start.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&start.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        // `collect_ended` waits for all children, by id, and nothing uses this handle.
        Ok(Reply::Started {
            pid: i32::try_from(child.id())?,
        })
    }

    fn signal(&mut self, pid: i32, signal: i32) -> Result<()> {
        self.collect_ended();
        if self.ended.contains_key(&pid) {
            return Ok(());
        }
        let (Some(pid), Some(signal)) = (Pid::from_raw(pid), Signal::from_named_raw(signal)) else {
            bail!("cannot send signal: no such process or signal");
        };
        Ok(process::kill_process(pid, signal)?)
    }

    /// Collects the children that have ended. Returns whether there are any others.
    fn collect_ended(&mut self) -> bool {
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.ended
                        .insert(pid.as_raw_nonzero().get(), exit_code(status));
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn clean_up(&mut self) -> Result<()> {
        let mut failures = Vec::new();
        let mut attempt =
            |result: Result<()>| failures.extend(result.err().map(|e| format!("{e:#}")));
        attempt(self.kill_children());
        while let Some(argv) = self.undo.pop() {
            attempt(undo(&argv));
        }
        for name in &self.cgroups {
            attempt(cgroup::remove(name));
        }
        attempt(remove_folder(&self.folder));
        if failures.is_empty() {
            Ok(())
        } else {
            bail!("cannot clean up: {}", failures.join("; "))
        }
    }

    /// Kills until no child is left. The children of a killed process become ours, so this lists them again each time.
    fn kill_children(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.collect_ended() {
            for pid in children()? {
                // This fails if it has ended meanwhile.
                process::kill_process(pid, Signal::KILL).ok();
            }
            if start.elapsed() > EXIT_LIMIT {
                bail!("cannot kill processes {:?}", children()?);
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        Ok(())
    }
}

/// Returns the command line of a process that dies with this one.
fn wrapped(start: &Start) -> Result<Vec<String>> {
    let mut argv = words(&["setpriv", "--pdeathsig", "KILL", "--"]);
    let (network, inside) = match start.isolation {
        Isolation::None => (None, None),
        Isolation::Private => (None, Some("inside")),
        Isolation::Offline => (Some("--net"), Some("offline")),
    };
    if let Some(inside) = inside {
        argv.extend(words(&["unshare", "--mount", "--pid", "--fork"]));
        argv.extend(network.map(str::to_owned));
        argv.extend(words(&["--kill-child=KILL", "--mount-proc", "--"]));
        argv.push(std::env::current_exe()?.to_string_lossy().into_owned());
        argv.push(inside.to_owned());
    }
    argv.extend(start.argv.iter().cloned());
    Ok(argv)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn answer(reply: &Reply) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(reply)?)?;
    Ok(stdout.flush()?)
}

/// Returns the code a shell would show.
fn exit_code(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| Some(128 + status.terminating_signal()?))
        .unwrap_or(255)
}

/// Returns the children of this process, from the parent of every process: not every kernel lists children.
fn children() -> Result<Vec<Pid>> {
    let me = process::getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if parent_of(pid) == Some(me) {
            found.extend(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// Returns the parent of a process, or `None` when it has just ended.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may contain spaces and brackets.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// Unmounts everything below `folder`, the latest mount first.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let points: Vec<PathBuf> = points.map(decode_path).collect();
    for point in points
        .iter()
        .rev()
        .filter(|point| point.starts_with(folder))
    {
        // It may be unmounted already. If it is not, removing the folder fails.
        unmount(point, UnmountFlags::DETACH).ok();
    }
    Ok(())
}

/// Decodes a path of `/proc/self/mountinfo`, which has spaces and backslashes as three octal digits.
fn decode_path(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.extend(code.map(char::from));
        path.push_str(part.get(3..).unwrap_or_default());
    }
    path.into()
}

fn undo(argv: &[String]) -> Result<()> {
    let Some((program, args)) = argv.split_first() else {
        return Ok(());
    };
    checked(Command::new(program).args(args)).map(drop)
}

/// Removes a directory that may have mounts in it: those of a killed program, or ones that the kernel releases a moment
/// after their owner has ended.
fn remove_folder(folder: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        unmount_below(folder)?;
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !folder.exists() => return Ok(()),
            Err(_) if start.elapsed() < EXIT_LIMIT => std::thread::sleep(RETRY_INTERVAL),
            Err(e) => return Err(e).with_context(|| format!("cannot remove {}", folder.display())),
        }
    }
}
