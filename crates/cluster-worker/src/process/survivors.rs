//! Finds and kills the processes that a program has left behind, by their entries in /proc.
//!
//! A process that starts a session leaves its process group, and may close its output. But it inherits its environment,
//! which contains a mark. If it removes the mark too, it is found only where jobs have control groups.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The interval between two searches for processes that have not ended.
const POLL: Duration = Duration::from_millis(10);

/// Kills the processes that `find` finds, until it finds none. Returns those that are left after the limit.
pub(super) async fn end(
    find: impl Fn() -> Vec<Pid> + Clone + Send + 'static,
    limit: Duration,
) -> Vec<Pid> {
    let started = Instant::now();
    loop {
        let search = find.clone();
        // If no thread can be started, nothing can be done.
        let found = tokio::task::spawn_blocking(search)
            .await
            .unwrap_or_default();
        if found.is_empty() || started.elapsed() > limit {
            return found;
        }
        for process in found {
            // It may have ended by now.
            if let Err(error) = kill_process(process, Signal::KILL) {
                tracing::debug!("Cannot kill process {}: {error}", process.as_raw_pid());
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Returns the processes of a process group. Zombies do not count.
pub(super) fn in_group(group: Pid) -> Vec<Pid> {
    find(|_, stat| stat.group == group.as_raw_pid())
}

/// The resources that the processes of a group have used so far. Ended processes do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Work {
    /// The bytes that they have read and written, as far as the kernel counts them: pipes, files, some sockets, and
    /// disk reads of mapped files.
    pub(super) bytes: u64,
    /// Their processor time, in the kernel's ticks.
    pub(super) ticks: u64,
}

/// Returns the resources that the processes of a group have used so far.
pub(super) fn work(group: Pid) -> Work {
    let mut ticks: u64 = 0;
    let processes = find(|_, stat| {
        let is_of_group = stat.group == group.as_raw_pid();
        ticks = ticks.wrapping_add(if is_of_group { stat.ticks } else { 0 });
        is_of_group
    });
    let bytes = processes.into_iter().map(|process| {
        let path = format!("/proc/{}/io", process.as_raw_pid());
        let text = fs::read_to_string(path).unwrap_or_default();
        let counts = text.lines().filter_map(|line| {
            let (name, count) = line.split_once(": ")?;
            let is_wanted = ["rchar", "wchar", "read_bytes"].contains(&name);
            is_wanted.then(|| count.parse::<u64>().ok()).flatten()
        });
        counts.fold(0, u64::wrapping_add)
    });
    Work {
        bytes: bytes.fold(0, u64::wrapping_add),
        ticks,
    }
}

/// Returns the processes with this value of a variable in their environment.
pub(super) fn marked(name: &str, value: &str) -> Vec<Pid> {
    let mark = format!("{name}={value}");
    find(|process, _| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    })
}

/// The contents of `/proc/PID/stat`.
struct Stat {
    group: i32,
    /// Its processor time.
    ticks: u64,
}

impl Stat {
    /// Reads the file. `None` for a process that has ended.
    fn read(process: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name before this may have spaces and brackets.
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let group = fields.nth(1)?.parse().ok()?;
        // After eight other fields: user time and system time.
        let user: u64 = fields.nth(8)?.parse().ok()?;
        let kernel: u64 = fields.next()?.parse().ok()?;
        let ticks = user.wrapping_add(kernel);
        (!["Z", "X"].contains(&state)).then_some(Self { group, ticks })
    }
}

fn find(mut wanted: impl FnMut(i32, &Stat) -> bool) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.flatten().filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = Stat::read(id)?;
        wanted(id, &stat).then(|| Pid::from_raw(id)).flatten()
    });
    ids.collect()
}
