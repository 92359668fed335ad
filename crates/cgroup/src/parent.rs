//! The group of this process, below which the groups of jobs are created.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::group::{Group, GroupError};
use crate::hierarchy::{self, DetectError, Hierarchy, Version};
use crate::limits::{Limits, PidLimit};

/// The group that this process moves to when its own must be empty. The name is fixed, so that a successor finds it.
const LEAF: &str = "ocluster-main";

/// How often the group is searched for processes to move, as some may be started meanwhile.
const MAX_ROUNDS: u32 = 100;

/// The group of this process, in every hierarchy. Clones are the same group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    hierarchies: Vec<Hierarchy>,
}

/// Why a limit cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum UnenforceableError {
    /// The kernel does not offer the controller, or not to this group.
    #[error(
        "cannot limit {what}: this machine offers no controller {controller:?} to control group {}; enable it, \
         or leave the limit out",
        .parent.display()
    )]
    NoController {
        /// What cannot be limited.
        what: &'static str,
        /// The kernel's name of the controller.
        controller: &'static str,
        /// The group of this process.
        parent: PathBuf,
    },
    /// The group has processes of other programs.
    #[error(
        "cannot limit {what}: control group {} has processes other than this program's, so the kernel offers no \
         controllers to its jobs; run it as a service with Delegate=yes, or by \"systemd-run --scope -p Delegate=yes\"",
        .parent.display()
    )]
    Shared {
        /// What cannot be limited.
        what: &'static str,
        /// The group of this process.
        parent: PathBuf,
    },
    /// The system refuses.
    #[error(
        "cannot limit {what}: cannot write to {}: {source}; run this program as root, or in a control group that is \
         delegated to it",
        .path.display()
    )]
    Refused {
        /// What cannot be limited.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Parent {
    /// Finds the group of this process.
    ///
    /// # Errors
    ///
    /// When no control groups are mounted, or the kernel's lists cannot be read.
    pub fn find() -> Result<Self, DetectError> {
        let mut hierarchies = hierarchy::detect()?;
        for hierarchy in &mut hierarchies {
            // This process, or its predecessor, has moved itself there.
            if hierarchy.own.ends_with(LEAF) {
                hierarchy.own.pop();
            }
        }
        Ok(Self { hierarchies })
    }

    /// Enables these limits for groups, and returns them. The [default](PidLimit::DEFAULT) number of processes is left
    /// out with a warning if it cannot be enforced, as no operator has set it.
    ///
    /// With the second version, a group with limited children must have no processes itself. So this moves the
    /// processes in it to a group beside those of the jobs: this process, its descendants and, in a delegated group,
    /// all others.
    ///
    /// # Errors
    ///
    /// For the first limit that cannot be enforced.
    pub fn prepare(&self, limits: &Limits) -> Result<Limits, UnenforceableError> {
        let Limits { memory, pids, cpus } = limits;
        let mut enforced = *limits;
        let wanted = [
            (memory.is_some(), "memory", "memory"),
            (pids.is_some(), "processes", "pids"),
            (cpus.is_some(), "processors", "cpu"),
        ];
        for (_, what, controller) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
            match self.enable(what, controller) {
                Err(error) if controller == "pids" && *pids == Some(PidLimit::DEFAULT) => {
                    tracing::warn!("Not limiting the number of processes of jobs: {error}");
                    enforced.pids = None;
                }
                enabled => enabled?,
            }
        }
        Ok(enforced)
    }

    fn enable(
        &self,
        what: &'static str,
        controller: &'static str,
    ) -> Result<(), UnenforceableError> {
        if self
            .hierarchies
            .iter()
            .any(|hierarchy| hierarchy.has(controller))
        {
            return Ok(());
        }
        let two = self
            .hierarchies
            .iter()
            .find(|hierarchy| hierarchy.version == Version::Two);
        let parent = two
            .or(self.hierarchies.first())
            .map(|hierarchy| hierarchy.own.clone());
        let parent = parent.unwrap_or_default();
        let lists = |file: &str| {
            let text = fs::read_to_string(parent.join(file)).unwrap_or_default();
            text.split_whitespace().any(|name| name == controller)
        };
        if two.is_none() || !lists("cgroup.controllers") {
            return Err(UnenforceableError::NoController {
                what,
                controller,
                parent,
            });
        }
        if lists("cgroup.subtree_control") {
            return Ok(());
        }
        let path = parent.join("cgroup.subtree_control");
        let enable = || fs::write(&path, format!("+{controller}"));
        let refused = |source| UnenforceableError::Refused {
            what,
            path: path.clone(),
            source,
        };
        match enable() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
            enabled => return enabled.map_err(refused),
        }
        let is_top = two.is_some_and(|hierarchy| hierarchy.own == hierarchy.mount);
        let moved = empty(&parent, is_top || is_delegated(&parent)).map_err(refused)?;
        if !moved {
            return Err(UnenforceableError::Shared { what, parent });
        }
        enable().map_err(refused)
    }

    /// Returns the group `name` at the top of the hierarchies where it exists. Some runtimes create the groups of their
    /// containers there, whatever their settings.
    pub fn at_top(&self, name: &str) -> Group {
        let paths = self
            .hierarchies
            .iter()
            .map(|hierarchy| hierarchy.mount.join(name));
        Group::at(paths.filter(|path| path.is_dir()))
    }

    /// Creates the group `name`, with limits that [`prepare`](Self::prepare) has returned.
    ///
    /// # Errors
    ///
    /// When it exists already, or the system refuses. Then what was created of it is removed.
    pub fn create(&self, name: &str, limits: &Limits) -> Result<Group, GroupError> {
        Group::create(&self.hierarchies, name, limits)
    }
}

/// Moves the processes of a group to one below it. Returns `false` if it has processes that this program must not move.
///
/// `all_are_ours` says that it may move all processes in it.
fn empty(parent: &Path, all_are_ours: bool) -> io::Result<bool> {
    let procs = parent.join("cgroup.procs");
    let leaf = parent.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut rounds = 0;
    loop {
        let pids = fs::read_to_string(&procs)?;
        if pids.trim().is_empty() {
            return Ok(true);
        }
        for pid in pids.lines() {
            if !all_are_ours && !is_ours(pid) {
                return Ok(false);
            }
            match fs::write(leaf.join("cgroup.procs"), pid) {
                // It has ended since it was listed.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
                moved => moved?,
            }
        }
        rounds += 1;
        if rounds > MAX_ROUNDS {
            return Ok(false);
        }
    }
}

/// Returns whether a service manager has delegated a group to its service (systemd's `Delegate=yes`).
fn is_delegated(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(group, *name, &mut value);
        length.is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// Returns whether a process is this one or a descendant.
fn is_ours(pid: &str) -> bool {
    let own = std::process::id().to_string();
    let mut pid = pid.to_owned();
    // No tree of processes is deeper than this.
    for _ in 0..1000 {
        if pid == own {
            return true;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        match parent.map(str::trim) {
            Some(parent) if parent != "0" => pid = parent.to_owned(),
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Makes `service` act as a service, and says what it should find.
    const SERVICE: &str = "CGROUP_TEST_SERVICE";

    /// A service in its own group, with a child. It is no test of its own.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child of the test")]
    fn service() {
        let Some(expected) = std::env::var_os(SERVICE) else {
            return;
        };
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let parent = Parent::find().unwrap();
        // The only controller of the second version that may be free on hybrid machines.
        let enabled = parent.enable("huge pages", "hugetlb");
        child.kill().unwrap();
        child.wait().unwrap();
        let two = parent
            .hierarchies
            .iter()
            .find(|h| h.version == Version::Two)
            .unwrap();
        if expected == "shared" {
            let text = enabled.unwrap_err().to_string();
            assert!(
                text.contains("has processes other than this program's"),
                "{text}"
            );
            return;
        }
        enabled.unwrap();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(own.contains(LEAF), "{own}");
        let procs = fs::read_to_string(two.own.join("cgroup.procs")).unwrap();
        assert_eq!(procs, "");
        // A successor finds the same parent, and need not move.
        assert_eq!(Parent::find().unwrap(), parent);
        parent.enable("huge pages", "hugetlb").unwrap();
        let limited = Parent::find()
            .unwrap()
            .create("job", &Limits::default())
            .unwrap();
        let directory = limited
            .directories()
            .find(|path| path.starts_with(&two.own))
            .unwrap();
        assert!(directory.join("hugetlb.2MB.max").exists());
        limited.remove().unwrap();
    }

    fn run_service(group: &Path, expected: &str) {
        let this = std::env::current_exe().unwrap();
        let output = Command::new("sh")
            .args([
                "-c",
                "echo 0 > $0/cgroup.procs; exec \"$1\" --exact parent::tests::service",
            ])
            .args([group, &this])
            .env(SERVICE, expected)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && shown.contains("1 passed"),
            "{shown}"
        );
    }

    #[test]
    fn a_service_moves_itself_to_limit_its_jobs() {
        let name = "a_service_moves_itself_to_limit_its_jobs";
        let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let offers = |mount: &&Path| {
            let path = mount.join("cgroup.subtree_control");
            fs::read_to_string(mount.join("cgroup.controllers"))
                .is_ok_and(|text| text.contains("hugetlb"))
                && fs::write(path, "+hugetlb").is_ok()
        };
        let Some(mount) = mount.into_iter().find(offers).filter(|_| rig::is_root()) else {
            return rig::report_not_run(name, "root, and a controller of the second version");
        };
        let service = mount.join(format!("cgroup-test-{}", std::process::id()));
        fs::create_dir(&service).unwrap();
        run_service(&service, "own");
        for directory in crate::kill::tree(&service).into_iter().rev() {
            fs::remove_dir(directory).unwrap();
        }

        // Chapter: a process of another program is in the group. It is not moved.
        fs::create_dir(&service).unwrap();
        let script = "echo 0 > $0/cgroup.procs; exec sleep 1000";
        let mut other = Command::new("sh")
            .args(["-c", script])
            .arg(&service)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        rig::wait_for(
            "the other process",
            std::time::Duration::from_secs(10),
            || {
                Ok(fs::read_to_string(service.join("cgroup.procs"))?
                    .contains(&other.id().to_string())
                    .then_some(()))
            },
        )
        .unwrap();
        run_service(&service, "shared");
        other.kill().unwrap();
        other.wait().unwrap();
        for directory in crate::kill::tree(&service).into_iter().rev() {
            fs::remove_dir(directory).unwrap();
        }
    }
}
