//! The control groups of a container, by which all its processes can be found from outside.
//!
//! There are two, one in the other, in every hierarchy. The **outer** one has the limits, and the name of the
//! container. The **inner** one has the process that makes the container. The built-in runtime is in it together with
//! the container, whose cgroup namespace begins with it: so even a command that can create a namespace and mount
//! hierarchies sees neither the machine's groups nor the files with its own limits. Other runtimes create a third one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroup::{Group, GroupError, Hits, Limits, Parent};
use rustix::process::Pid;
use tokio::process::Command;

/// The name of the inner group.
const INNER: &str = "inner";

/// A script that joins the groups in its first arguments, up to `--`, and then runs the program that follows. So the
/// program never runs outside of them, and can start no process there.
const GATE: &str =
    r#"while [ "$1" != -- ]; do echo 0 > "$1" || exit; shift; done; shift; exec "$@""#;

/// The groups of one container.
#[derive(Debug)]
pub(super) struct Groups {
    outer: Group,
    inner: Group,
    parent: Parent,
    /// The id of the container.
    id: String,
}

impl Groups {
    /// Creates the groups of the container `id`.
    pub(super) fn create(parent: &Parent, id: &str, limits: &Limits) -> Result<Self, GroupError> {
        let outer = parent.create(id, limits)?;
        let inner = match outer.create_inner(INNER) {
            Ok(inner) => inner,
            Err(error) => {
                if let Err(error) = outer.remove() {
                    tracing::warn!("Container {id} left a control group behind: {error}");
                }
                return Err(error);
            }
        };
        Ok(Self {
            outer,
            inner,
            parent: parent.clone(),
            id: id.to_owned(),
        })
    }

    /// Returns the `cgroupsPath` for a runtime in these groups.
    ///
    /// With the second version, its group is in the outer one: the inner one has processes, and so can have no groups
    /// with limits. With the first version, it is in the inner one, as the runtime is.
    pub(super) fn path_for_runtime(&self) -> PathBuf {
        self.outer.path_for_runtime(&name_for_runtime(&self.id))
    }

    /// Returns the command that runs `program` in the inner group; its arguments are still to be added.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GATE, "sh"])
            .args(self.inner.entrances())
            .arg("--")
            .arg(program);
        command
    }

    /// Returns the record for the cleanup.
    pub(super) fn record(&self) -> Record {
        Record(self.outer.directories().map(Path::to_owned).collect())
    }

    /// Kills the current processes.
    pub(super) fn kill(&self) {
        self.outer.kill();
        self.elsewhere().kill();
    }

    /// Kills the processes, waits for their end, and removes the groups. Blocks for `limit` at most.
    pub(super) fn end(&self, limit: Duration) -> io::Result<()> {
        end(&[&self.outer, &self.elsewhere()], limit)
    }

    /// Returns which limits were reached.
    pub(super) fn hits(&self) -> Hits {
        self.outer.hits()
    }

    /// Returns the limits.
    pub(super) fn limits(&self) -> &Limits {
        self.outer.limits()
    }

    /// Removes the groups, which must be empty.
    ///
    /// # Errors
    /// If a group has processes.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.inner.remove()?;
        self.outer.remove()?;
        self.elsewhere().remove()
    }

    /// Returns the processes in the groups.
    pub(super) fn members(&self) -> Vec<Pid> {
        let mut members = self.outer.members();
        members.extend(self.elsewhere().members());
        members
    }

    /// Returns the groups that a runtime has created against its `cgroupsPath`.
    fn elsewhere(&self) -> Group {
        self.parent.at_top(&name_for_runtime(&self.id))
    }
}

fn end(groups: &[&Group], limit: Duration) -> io::Result<()> {
    for group in groups {
        if !group.end(limit) {
            return Err(io::Error::other(
                "a process in its control group does not exit",
            ));
        }
        group.remove()?;
    }
    Ok(())
}

/// The directories of a container's outer groups, for the process that makes the container and for the cleanup: one
/// directory in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record(Vec<PathBuf>);

impl Record {
    /// Writes it into a bundle.
    pub(super) fn write(&self, bundle: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        for directory in &self.0 {
            text.extend_from_slice(directory.as_os_str().as_encoded_bytes());
            text.push(b'\n');
        }
        fs::write(file(bundle), text)
    }

    /// Reads that of a bundle. It is empty if there is none.
    pub(super) fn read(bundle: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(file(bundle)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        // Processes in these groups are killed: a truncated file must not name a parent group.
        let paths = text.lines().map(PathBuf::from);
        let is_ours = |path: &PathBuf| path.file_name() == bundle.file_name();
        Ok(Self(paths.filter(is_ours).collect()))
    }

    /// Returns the outer groups.
    pub(super) fn outer(&self) -> Group {
        Group::at(self.0.iter().filter(|path| path.is_dir()).cloned())
    }

    /// Returns the inner groups.
    pub(super) fn inner(&self) -> Group {
        Group::at(self.0.iter().map(|path| path.join(INNER)))
    }

    /// Kills the current processes in the groups of the container `id`.
    pub(super) fn kill(&self, id: &str) {
        for group in self.all(id) {
            group.kill();
        }
    }

    /// Kills the processes in the groups of the container `id`, waits for their end, and removes the groups.
    pub(super) fn end(&self, id: &str, limit: Duration) -> io::Result<()> {
        let groups = self.all(id);
        end(&groups.each_ref(), limit)
    }

    /// Returns the groups of the container `id`, with two at the top of the hierarchies: the one that a runtime has
    /// created against its `cgroupsPath`, and that of an older version of this program.
    fn all(&self, id: &str) -> [Group; 3] {
        [self.outer(), at_top(&name_for_runtime(id)), at_top(id)]
    }
}

/// Returns the name of the group that a runtime creates for the container `id`.
///
/// It is not the name of the outer one: with both versions, `runc` mistakes a group of that name at the top of the
/// second hierarchy for its own, tries repeatedly to remove it while it is in it itself, and so ends 150 ms later.
fn name_for_runtime(id: &str) -> String {
    format!("{id}-container")
}

/// Returns the groups of this name at the top of the hierarchies.
fn at_top(name: &str) -> Group {
    let found = Parent::find().map(|parent| parent.at_top(name));
    // Without a hierarchy there are no groups.
    found.unwrap_or_else(|_| Group::at([]))
}

fn file(bundle: &Path) -> PathBuf {
    bundle.join("groups")
}
