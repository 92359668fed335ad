//! One group: a directory in each hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use crate::hierarchy::{Hierarchy, Version};
use crate::hits::{self, Hits, OomEvents};
use crate::kill;
use crate::limits::{CpuLimit, Limits};

/// A group of processes, in every hierarchy that is mounted. It has to be [removed](Self::remove): dropping it leaves it.
#[derive(Debug)]
pub struct Group {
    directories: Vec<Directory>,
    limits: Limits,
    /// With the first version of cgroups and a limit of memory.
    oom_events: Option<OomEvents>,
}

/// A group in one hierarchy.
#[derive(Debug, Clone)]
struct Directory {
    path: PathBuf,
    /// Where its hierarchy is mounted.
    mount: PathBuf,
    version: Version,
    has_cpuset: bool,
}

/// Why there is no group.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The name cannot be one.
    #[error("cannot make a control group {0:?}: its name must have letters, digits and - only")]
    Name(String),
    /// The system refuses to make it.
    #[error("cannot make the control group {path:?}: {source}")]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system refuses a limit.
    #[error("cannot write {value:?} to {path:?}: {source}")]
    Limit {
        /// The file of the limit.
        path: PathBuf,
        /// What was written.
        value: String,
        /// Why not.
        source: io::Error,
    },
    /// The system refuses to say when memory is used up.
    #[error("cannot watch the memory of {path:?}: {source}")]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Group {
    pub(crate) fn create(
        hierarchies: &[Hierarchy],
        name: &str,
        limits: &Limits,
    ) -> Result<Self, GroupError> {
        let directories = hierarchies.iter().map(|hierarchy| Directory {
            path: hierarchy.own.join(name),
            mount: hierarchy.mount.clone(),
            version: hierarchy.version,
            has_cpuset: hierarchy.version == Version::One && hierarchy.has("cpuset"),
        });
        let mut group = Self::make(name, directories)?;
        group.limits = *limits;
        if let Err(error) = group.set_limits() {
            group.discard();
            return Err(error);
        }
        Ok(group)
    }

    /// Returns the group with these directories, which another process has made, and may have left. Its limits are not known
    /// here, nor whether they are reached.
    pub fn at(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        let directories = directories.into_iter().map(|path| Directory {
            mount: path.clone(),
            version: if path.join("tasks").exists() {
                Version::One
            } else {
                Version::Two
            },
            has_cpuset: path.join("cpuset.cpus").exists() && path.join("tasks").exists(),
            path,
        });
        Self {
            directories: directories.collect(),
            limits: Limits::default(),
            oom_events: None,
        }
    }

    /// Makes a group inside this one, where what runs in it cannot change the limits of this one.
    ///
    /// With the second version, a group has either processes or groups with limits in it.
    ///
    /// # Errors
    /// When it exists already, or the system refuses.
    pub fn create_inner(&self, name: &str) -> Result<Self, GroupError> {
        let directories = self.directories.iter().map(|outer| Directory {
            path: outer.path.join(name),
            ..outer.clone()
        });
        Self::make(name, directories)
    }

    /// Makes a group without limits. If one of its directories cannot be made, nothing is left of it.
    fn make(name: &str, directories: impl Iterator<Item = Directory>) -> Result<Self, GroupError> {
        if !is_plain(name) {
            return Err(GroupError::Name(name.to_owned()));
        }
        let mut group = Self::at([]);
        for directory in directories {
            if let Err(error) = directory.make() {
                group.discard();
                return Err(error);
            }
            group.directories.push(directory);
        }
        Ok(group)
    }

    fn set_limits(&mut self) -> Result<(), GroupError> {
        let Limits { memory, pids, cpus } = self.limits;
        for directory in &self.directories {
            let has = |file: &str| directory.path.join(file).exists();
            let set = |file: &str, value: &str| directory.set(file, value);
            if let Some(memory) = memory {
                let bytes = memory.bytes().to_string();
                if has("memory.max") {
                    set("memory.max", &bytes)?;
                    // Without these, what does not fit goes to the machine's swap. A kernel without it has no such file.
                    if has("memory.swap.max") {
                        set("memory.swap.max", "0")?;
                    }
                }
                if has("memory.limit_in_bytes") {
                    set("memory.limit_in_bytes", &bytes)?;
                    if has("memory.memsw.limit_in_bytes") {
                        set("memory.memsw.limit_in_bytes", &bytes)?;
                    }
                    let events =
                        OomEvents::listen(&directory.path).map_err(|source| GroupError::Watch {
                            path: directory.path.clone(),
                            source,
                        })?;
                    self.oom_events = Some(events);
                }
            }
            if let Some(pids) = pids
                && has("pids.max")
            {
                set("pids.max", &pids.to_string())?;
            }
            if let Some(cpus) = cpus {
                let (quota, period) = (cpus.quota().to_string(), CpuLimit::PERIOD.to_string());
                if has("cpu.max") {
                    set("cpu.max", &format!("{quota} {period}"))?;
                }
                if has("cpu.cfs_quota_us") {
                    set("cpu.cfs_period_us", &period)?;
                    set("cpu.cfs_quota_us", &quota)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the group's directory in the hierarchy of the second version, if that is mounted.
    ///
    /// Whoever joins there makes the kernel stop all processes for a moment, which takes 8 ms. A process that is started in it
    /// (`CLONE_INTO_CGROUP`) does not.
    pub fn second_version(&self) -> Option<&Path> {
        let two = |directory: &&Directory| directory.version == Version::Two;
        self.directories.iter().find(two).map(|two| &*two.path)
    }

    /// Puts this process into the group, which must have a single thread: with the first version, only that one goes.
    /// `is_in_second` says that it was started in [`second_version`](Self::second_version) already.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn join(&self, is_in_second: bool) -> io::Result<()> {
        let skipped = if is_in_second {
            Some(Version::Two)
        } else {
            None
        };
        let joined = |directory: &&Directory| Some(directory.version) != skipped;
        for file in self
            .directories
            .iter()
            .filter(joined)
            .map(Directory::entrance)
        {
            fs::write(&file, "0")
                .map_err(|error| io::Error::new(error.kind(), format!("{file:?}: {error}")))?;
        }
        Ok(())
    }

    /// Returns the files that put a process with a single thread into the group when it writes `0` to each of them.
    ///
    /// With the first version this is `tasks`, for which the kernel need not stop all processes for a moment, as it does for
    /// `cgroup.procs`: with a dozen hierarchies, that saves most of the time that it takes.
    pub fn entrances(&self) -> Vec<PathBuf> {
        self.directories.iter().map(Directory::entrance).collect()
    }

    /// Returns the directories, one for each hierarchy: to be kept where one that cleans up finds them.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(|directory| &*directory.path)
    }

    /// Returns what an OCI runtime in this group, or in one inside it, is to be told as its `cgroupsPath`, to make its container's
    /// group in here and call it `name`.
    ///
    /// With the second version, that is a path from the top of the one hierarchy. With the first, this group may lie elsewhere in
    /// each hierarchy, so it is relative to where the runtime is.
    pub fn path_for_runtime(&self, name: &str) -> PathBuf {
        match &self.directories[..] {
            [
                Directory {
                    path,
                    mount,
                    version: Version::Two,
                    ..
                },
            ] => {
                let relative = path.strip_prefix(mount).unwrap_or(path);
                Path::new("/").join(relative).join(name)
            }
            _ => name.into(),
        }
    }

    /// Returns the processes in the group and in those below it, of those that can be seen from here.
    pub fn members(&self) -> Vec<Pid> {
        kill::members(&self.paths())
    }

    /// Kills what is in the group now. Does not wait for its end.
    pub fn kill(&self) {
        kill::kill(&self.paths());
    }

    /// Kills what is in the group, and waits until it has gone, at most for `limit`. Returns whether it has.
    ///
    /// This blocks the thread.
    #[must_use]
    pub fn end(&self, limit: Duration) -> bool {
        kill::end(&self.paths(), limit)
    }

    /// Returns which limits were reached since the group was made. To be asked before it is removed.
    pub fn hits(&self) -> Hits {
        let Limits {
            memory,
            pids,
            cpus: _,
        } = self.limits;
        let mut found = Hits::default();
        for Directory { path, .. } in &self.directories {
            found.memory |= memory.is_some() && hits::memory(path, self.oom_events.as_ref());
            found.pids |= pids.is_some_and(|limit| hits::pids(path, limit));
        }
        found
    }

    /// Returns the limits that the group was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Removes the group and those below it. It is no error if they have gone.
    ///
    /// # Errors
    /// When something is left in it.
    pub fn remove(&self) -> io::Result<()> {
        for Directory { path, .. } in &self.directories {
            // There seldom is anything below.
            if remove_directory(path).is_err() {
                let mut tree = kill::tree(path).into_iter().rev();
                tree.try_for_each(|path| remove_directory(&path))?;
            }
        }
        Ok(())
    }

    fn discard(&self) {
        if let Err(error) = self.remove() {
            tracing::warn!("Cannot remove a control group: {error}");
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.directories().map(Path::to_owned).collect()
    }
}

impl Directory {
    fn entrance(&self) -> PathBuf {
        match self.version {
            Version::One => self.path.join("tasks"),
            Version::Two => self.path.join("cgroup.procs"),
        }
    }

    fn make(&self) -> Result<(), GroupError> {
        let path = &self.path;
        fs::create_dir(path).map_err(|source| GroupError::Create {
            path: path.clone(),
            source,
        })?;
        if self.has_cpuset
            && let Err(error) = self.copy_cpuset()
        {
            drop(fs::remove_dir(path));
            return Err(error);
        }
        Ok(())
    }

    /// Gives it the processors and the memory of its parent: with the first version, a new group has none of either, and no
    /// process may join it.
    fn copy_cpuset(&self) -> Result<(), GroupError> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = self.path.parent().unwrap_or(&self.path).join(file);
            let value = fs::read_to_string(&parent).unwrap_or_default();
            self.set(file, value.trim())?;
        }
        Ok(())
    }

    fn set(&self, file: &str, value: &str) -> Result<(), GroupError> {
        let path = self.path.join(file);
        fs::write(&path, value).map_err(|source| GroupError::Limit {
            path,
            value: value.to_owned(),
            source,
        })
    }
}

/// Removes the directory of a group in which nothing is. It is no error if there is none.
fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("{path:?}: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
