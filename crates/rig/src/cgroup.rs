//! Removes the cgroups of an engine's containers, which are empty once their processes have ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

const ROOT: &str = "/sys/fs/cgroup";
/// How long a cgroup may stay busy after its last process was collected.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// Removes the cgroup `name` with all inside it, from every hierarchy of the machine.
///
/// # Errors
/// When one is still in use after ten seconds, or `name` is not a plain name.
pub(crate) fn remove(name: &str) -> Result<()> {
    ensure!(
        is_plain(name),
        "cannot remove cgroup {name:?}: not a plain name"
    );
    for folder in hierarchies() {
        let folder = folder.join(name);
        if folder.is_dir() {
            remove_tree(&folder)
                .with_context(|| format!("cannot remove cgroup {}", folder.display()))?;
        }
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Returns the root, which is version 2's only hierarchy, and its folders, which are version 1's.
fn hierarchies() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(ROOT)];
    found.extend(folders(Path::new(ROOT)));
    found
}

/// Returns the folders in a folder; none if it does not exist any more.
fn folders(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// A cgroup's files cannot be removed, only its folders, from the inside out.
fn remove_tree(folder: &Path) -> Result<()> {
    for inner in folders(folder) {
        remove_tree(&inner)?;
    }
    let start = Instant::now();
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if start.elapsed() > BUSY_LIMIT => return Err(e.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_removed() {
        for name in ["", "..", "a/b", "/"] {
            remove(name).unwrap_err();
        }
        remove("ocrig-that-never-was").unwrap();
    }
}
