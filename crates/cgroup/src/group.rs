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

/// A group of processes, in every mounted hierarchy. [Remove](Self::remove) it: dropping it does not.
#[derive(Debug)]
pub struct Group {
    directories: Vec<Directory>,
    limits: Limits,
    /// `None` without a memory limit, and with the second version.
    oom_events: Option<OomEvents>,
}

/// A group in one hierarchy.
#[derive(Debug, Clone)]
struct Directory {
    path: PathBuf,
    /// The mount point of its hierarchy.
    mount: PathBuf,
    version: Version,
    has_cpuset: bool,
}

/// Why a group cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The name is invalid.
    #[error("cannot create control group {0:?}: its name may only have letters, digits and \"-\"")]
    Name(String),
    /// The system refuses to create it.
    #[error("cannot create control group {}: {source}", .path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system refuses a limit.
    #[error("cannot write {value:?} to {}: {source}", .path.display())]
    Limit {
        /// The file of the limit.
        path: PathBuf,
        /// The value.
        value: String,
        /// The cause.
        source: io::Error,
    },
    /// The system refuses to report when the memory limit is reached.
    #[error("cannot watch the memory of control group {}: {source}", .path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The cause.
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
        let mut group = Self::create_in(name, directories)?;
        group.limits = *limits;
        if let Err(error) = group.set_limits() {
            group.discard();
            return Err(error);
        }
        Ok(group)
    }

    /// Returns the group with these directories, which another process has created. Its limits are unknown, and also
    /// whether they were reached.
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

    /// Creates a group inside this one, whose processes cannot change the limits of this one.
    ///
    /// With the second version, a group contains either processes or groups with limits.
    ///
    /// # Errors
    ///
    /// When it exists already, or the system refuses.
    pub fn create_inner(&self, name: &str) -> Result<Self, GroupError> {
        let directories = self.directories.iter().map(|outer| Directory {
            path: outer.path.join(name),
            ..outer.clone()
        });
        Self::create_in(name, directories)
    }

    /// Creates a group without limits. If one of its directories cannot be created, the others are removed.
    fn create_in(
        name: &str,
        directories: impl Iterator<Item = Directory>,
    ) -> Result<Self, GroupError> {
        if !is_plain(name) {
            return Err(GroupError::Name(name.to_owned()));
        }
        let mut group = Self::at([]);
        for directory in directories {
            if let Err(error) = directory.create() {
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
                    // Otherwise, the rest goes to the machine's swap. A kernel without swap has no such file.
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
    /// When a process joins it, the kernel stops all processes for a moment, which takes 8 ms. It does not when a
    /// process is started in it (`CLONE_INTO_CGROUP`).
    pub fn second_version(&self) -> Option<&Path> {
        let two = |directory: &&Directory| directory.version == Version::Two;
        self.directories.iter().find(two).map(|two| &*two.path)
    }

    /// Moves this process into the group. It must have a single thread, as the first version moves only the calling
    /// one. `is_in_second` says that it was started in [`second_version`](Self::second_version).
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn join(&self, is_in_second: bool) -> io::Result<()> {
        let skipped = if is_in_second {
            Some(Version::Two)
        } else {
            None
        };
        let is_joined = |directory: &&Directory| Some(directory.version) != skipped;
        for file in self
            .directories
            .iter()
            .filter(is_joined)
            .map(Directory::entrance)
        {
            fs::write(&file, "0").map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", file.display()))
            })?;
        }
        Ok(())
    }

    /// Returns the files by which a process with a single thread joins the group: it writes `0` to each.
    ///
    /// With the first version, the file is `tasks`. For `cgroup.procs`, the kernel stops all processes for a moment,
    /// which takes most of the time with a dozen hierarchies.
    pub fn entrances(&self) -> Vec<PathBuf> {
        self.directories.iter().map(Directory::entrance).collect()
    }

    /// Returns the directories, one for each hierarchy. Save them, so that another process can clean up.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(|directory| &*directory.path)
    }

    /// Returns the `cgroupsPath` with which an OCI runtime in this group, or in one inside it, creates its container's
    /// group in this one under `name`.
    ///
    /// With the second version, it is a path from the top of the hierarchy. With the first, this group may have another
    /// path in each hierarchy, so it is relative to the runtime's own group.
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

    /// Returns the processes in the group and in those below it. Processes of other namespaces are left out.
    pub fn members(&self) -> Vec<Pid> {
        kill::members(&self.paths())
    }

    /// Kills the processes that are in the group now. Does not wait for their end.
    pub fn kill(&self) {
        kill::kill(&self.paths());
    }

    /// Kills the processes in the group, and waits for their end. Returns whether they have ended within `limit`.
    ///
    /// It blocks the thread.
    #[must_use]
    pub fn end(&self, limit: Duration) -> bool {
        kill::end(&self.paths(), limit)
    }

    /// Returns which limits were reached since the group was created. Call it before the group is removed.
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

    /// Returns the limits that the group was created with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Removes the group and those below it. Groups that do not exist are no error.
    ///
    /// # Errors
    ///
    /// When a group has processes, or the system refuses.
    pub fn remove(&self) -> io::Result<()> {
        for Directory { path, .. } in &self.directories {
            // Most often, there are no groups below.
            if remove_directory(path).is_err() {
                let mut tree = kill::tree(path).into_iter().rev();
                tree.try_for_each(|path| remove_directory(&path))?;
            }
        }
        Ok(())
    }

    fn discard(&self) {
        if let Err(error) = self.remove() {
            tracing::warn!("Cannot remove control group: {error}");
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

    fn create(&self) -> Result<(), GroupError> {
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

    /// Copies the processors and memory nodes of the parent. With the first version, a new group has none of either,
    /// and no process can join it.
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

/// Removes the directory of an empty group. A missing directory is no error.
fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
