//! The mounted hierarchies of groups, and the group of this process in each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A version of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// A hierarchy for each controller, or for a few of them.
    One,
    /// One hierarchy, which may have no controllers on a hybrid machine.
    Two,
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// The directory of this process's group.
    pub(crate) own: PathBuf,
    /// The kernel's names of its controllers; `name=…` for a hierarchy of the first version without controllers. Empty
    /// for the second version, which lists them in files.
    pub(crate) controllers: Vec<String>,
}

impl Hierarchy {
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// Why no hierarchies are found.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// A file of the kernel cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// None is mounted.
    #[error("cannot find control groups: none are mounted; mount them at /sys/fs/cgroup")]
    NoneMounted,
}

/// Returns the mounted hierarchies, in the order of `/proc/self/cgroup`.
///
/// # Errors
///
/// When none is mounted, or the kernel's lists cannot be read.
pub(crate) fn detect() -> Result<Vec<Hierarchy>, DetectError> {
    let read = |path| fs::read_to_string(path).map_err(|source| DetectError::Read { path, source });
    let mounts = read("/proc/self/mountinfo")?;
    let groups = read("/proc/self/cgroup")?;
    let found = parse(&mounts, &groups);
    if found.is_empty() {
        return Err(DetectError::NoneMounted);
    }
    Ok(found)
}

/// Returns the hierarchies in `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn parse(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let memberships: Vec<_> = groups.lines().filter_map(Membership::parse).collect();
    let mounts: Vec<_> = mounts.lines().filter_map(Mount::parse).collect();
    let mut found: Vec<Hierarchy> = Vec::new();
    for membership in memberships {
        let of_it = mounts.iter().filter(|mount| mount.is_of(&membership));
        // A hierarchy may also be mounted elsewhere, as in a container's root filesystem.
        let is_unusual = |mount: &&&Mount| !mount.point.starts_with("/sys/fs/cgroup");
        let Some(mount) =
            of_it.min_by_key(|mount| (is_unusual(&mount), mount.point.as_os_str().len()))
        else {
            continue;
        };
        // If only a part of it is mounted, paths are relative to that part. If the group of this process is outside of
        // it, which the kernel shows as `/..`, groups are created at its top.
        let group = Path::new(&membership.path);
        let relative = group
            .strip_prefix(&mount.root)
            .or_else(|_| group.strip_prefix("/"))
            .ok()
            .filter(|path| !path.starts_with(".."));
        let own = relative.map_or_else(|| mount.point.clone(), |path| mount.point.join(path));
        let own = if own.is_dir() {
            own
        } else {
            mount.point.clone()
        };
        found.push(Hierarchy {
            version: mount.version,
            mount: mount.point.clone(),
            own,
            controllers: membership.controllers,
        });
    }
    found
}

/// A line of `/proc/self/cgroup`: `4:memory:/service`, `9:name=systemd:/service` or `0::/service`.
struct Membership {
    controllers: Vec<String>,
    path: String,
}

impl Membership {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let controllers = controllers.split(',').filter(|name| !name.is_empty());
        Some(Self {
            controllers: controllers.map(str::to_owned).collect(),
            path: path.to_owned(),
        })
    }
}

/// A mounted hierarchy in `/proc/self/mountinfo`.
struct Mount {
    version: Version,
    root: PathBuf,
    point: PathBuf,
    /// The options of its filesystem, which include its controllers.
    options: Vec<String>,
}

impl Mount {
    /// The format is described in proc_pid_mountinfo(5).
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let version = match after.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let options = after.nth(1).unwrap_or_default();
        Some(Self {
            version,
            root: unescape(root).into(),
            point: unescape(point).into(),
            options: options.split(',').map(str::to_owned).collect(),
        })
    }

    fn is_of(&self, membership: &Membership) -> bool {
        let controllers = &membership.controllers;
        match self.version {
            Version::Two => controllers.is_empty(),
            Version::One => {
                !controllers.is_empty()
                    && controllers.iter().all(|name| self.options.contains(name))
            }
        }
    }
}

/// Decodes the escaped blanks and backslashes of a path in `mountinfo`.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown(mounts: &str, groups: &str) -> String {
        let lines = parse(mounts, groups).into_iter().map(|hierarchy| {
            let Hierarchy {
                version,
                mount,
                own,
                controllers,
            } = hierarchy;
            format!("{version:?} {controllers:?} at {mount:?}: {own:?}\n")
        });
        lines.collect()
    }

    // These groups do not exist on this machine, so each is taken to be the top of its mount.
    #[test]
    fn hierarchies_are_found_on_any_machine() {
        // The second version alone.
        let shown_two = shown(
            "35 24 0:30 / /sys/fs/cgroup2-of-a-test rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/system.slice/worker.service\n",
        );
        expect![[r#"
            Two [] at "/sys/fs/cgroup2-of-a-test": "/sys/fs/cgroup2-of-a-test"
        "#]]
        .assert_eq(&shown_two);
        // Hybrid, with controllers mounted together, one hierarchy mounted twice and one not at all.
        let shown_hybrid = shown(
            "30 24 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             31 30 0:26 / /sys/fs/cgroup/x-unified rw - cgroup2 cgroup2 rw\n\
             32 30 0:27 / /sys/fs/cgroup/x-systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             33 30 0:28 / /mnt/c rw - cgroup cgroup rw,cpu,cpuacct\n\
             34 30 0:28 / /sys/fs/cgroup/x-cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n",
            "5:memory:/\n3:cpu,cpuacct:/a/b\n1:name=systemd:/..\n0::/x\n",
        );
        expect![[r#"
            One ["cpu", "cpuacct"] at "/sys/fs/cgroup/x-cpu,cpuacct": "/sys/fs/cgroup/x-cpu,cpuacct"
            One ["name=systemd"] at "/sys/fs/cgroup/x-systemd": "/sys/fs/cgroup/x-systemd"
            Two [] at "/sys/fs/cgroup/x-unified": "/sys/fs/cgroup/x-unified"
        "#]]
        .assert_eq(&shown_hybrid);
    }

    #[test]
    fn groups_are_relative_to_what_is_mounted() {
        let dir = std::env::temp_dir().canonicalize().unwrap();
        let (parent, name) = (dir.parent().unwrap(), dir.file_name().unwrap());
        // As in a container in which only its own part is mounted.
        let mounts = format!(
            "33 30 0:28 /docker/1 {} rw - cgroup cgroup rw,memory\n",
            parent.display()
        );
        let groups = format!("5:memory:/docker/1/{}\n", name.display());
        let found = parse(&mounts, &groups);
        assert_eq!(
            found.first().map(|hierarchy| hierarchy.own.clone()),
            Some(dir)
        );
    }
}
