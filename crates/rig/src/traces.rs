//! Finds what a test has left on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Returns everything on this machine that contains `mark`: processes with it among their arguments or in their
/// environment or cgroup, mounts, network interfaces and cgroups. A mark is a [`Name`](crate::Name), or the last part
/// of a unique path.
///
/// # Errors
/// When `/proc` or `/sys` cannot be read, or the mark is a whole path.
pub fn traces(mark: &str) -> Result<Vec<String>> {
    ensure!(
        !mark.contains('/'),
        "cannot search for mark {mark:?}: it contains \"/\""
    );
    let mut found = processes(mark)?;
    let mounts = fs::read_to_string("/proc/mounts")?;
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(mark))
            .map(str::to_owned),
    );
    let interface = Path::new("/sys/class/net").join(mark);
    let mut cgroups = vec![PathBuf::from("/sys/fs/cgroup")];
    for entry in fs::read_dir("/sys/fs/cgroup")? {
        cgroups.push(entry?.path());
    }
    let paths = cgroups
        .iter()
        .map(|cgroup| cgroup.join(mark))
        .chain([interface]);
    found.extend(
        paths
            .filter(|path| path.exists())
            .map(|path| path.display().to_string()),
    );
    Ok(found)
}

fn processes(mark: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // Not every entry is a process, and a process may have ended.
        let read = |file| {
            let bytes = fs::read(path.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let is_marked = ["cmdline", "environ", "cgroup"]
            .iter()
            .any(|file| read(file).contains(mark));
        // A process that has ended keeps its cgroup until its parent, which may be the init process, collects it.
        if is_marked && !has_ended(&read(&"stat")) {
            found.push(format!("{}: {}", path.display(), read(&"cmdline")));
        }
    }
    Ok(found)
}

/// Returns whether a process has ended, from `/proc/PID/stat`: its name in parentheses, and its state.
fn has_ended(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::has_ended;

    #[test]
    fn a_process_that_was_not_collected_yet_has_ended() {
        assert!(has_ended("12 (a ) Z b) Z 1 12"));
        assert!(has_ended("12 (sh) X 1 12"));
        assert!(!has_ended("12 (sh) Z) S 1 12"));
        // It was collected.
        assert!(has_ended(""));
    }
}
