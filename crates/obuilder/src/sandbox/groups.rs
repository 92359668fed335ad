//! The control groups of a container: the one thing by which everything that runs in it can be found from outside.
//!
//! There are two, one in the other, in every hierarchy. The **outer** one has the limits, and is called as the container is. In the
//! **inner** one is what makes the container. Our own runtime is in there with the container, whose cgroup namespace begins with it: so
//! even a command that gets itself a namespace in which it may mount hierarchies sees nothing of the machine's groups, nor the files
//! with its own limits. Other runtimes make a third one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroup::{Group, GroupError, Hits, Limits, Parent};
use rustix::process::Pid;
use tokio::process::Command;

/// What the inner group is called.
const INNER: &str = "inner";

/// Puts itself into the groups whose entrances come first, up to `--`, and becomes the program that follows.
///
/// So there is no moment in which the program runs outside of them, and none in which it could start something there.
const GATE: &str =
    r#"while [ "$1" != -- ]; do echo 0 > "$1" || exit; shift; done; shift; exec "$@""#;

/// The groups of one container.
#[derive(Debug)]
pub(super) struct Groups {
    outer: Group,
    inner: Group,
    parent: Parent,
    /// What the container is called.
    id: String,
}

impl Groups {
    /// Makes the groups of the container `id`.
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

    /// Returns what a runtime in these groups is to be told as its `cgroupsPath`.
    ///
    /// Its group lies in the outer one with the second version, where the inner one has processes and so no groups with limits;
    /// and with the first in the inner one, where the runtime is.
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

    /// Returns what those who clean up have to know.
    pub(super) fn record(&self) -> Record {
        Record(self.outer.directories().map(Path::to_owned).collect())
    }

    /// Kills what is in there now.
    pub(super) fn kill(&self) {
        self.outer.kill();
        self.elsewhere().kill();
    }

    /// Kills what is in there, waits until it has gone, and removes the groups. Blocks for `limit` at most.
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

    /// Removes the groups, in which nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.inner.remove()?;
        self.outer.remove()?;
        self.elsewhere().remove()
    }

    /// Returns the processes that are in there.
    pub(super) fn members(&self) -> Vec<Pid> {
        let mut members = self.outer.members();
        members.extend(self.elsewhere().members());
        members
    }

    /// Returns the groups that a runtime has made where it was not told to.
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

/// Where a container's outer groups are, for those who make the container or clean up after it: one directory in a line.
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

    /// Reads that of a bundle. Without one, there is none.
    pub(super) fn read(bundle: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(file(bundle)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        // What is in them is killed. A file that was cut off in the middle must not name a group above.
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

    /// Kills what is in the groups of the container `id` now.
    pub(super) fn kill(&self, id: &str) {
        for group in self.all(id) {
            group.kill();
        }
    }

    /// Kills what is in the groups of the container `id`, waits for its end, and removes them.
    pub(super) fn end(&self, id: &str, limit: Duration) -> io::Result<()> {
        let groups = self.all(id);
        end(&groups.each_ref(), limit)
    }

    /// Returns the groups of the container `id`, with those at the top of the hierarchies: the one that a runtime has made where it
    /// was not told to, and that of an older version of this program.
    fn all(&self, id: &str) -> [Group; 3] {
        [self.outer(), at_top(&name_for_runtime(id)), at_top(id)]
    }
}

/// Returns what a runtime is to call the group that it makes for the container `id`.
///
/// Not as the outer one is called: with both versions, `runc` takes a group of that name at the top of the hierarchy of the second
/// for its own, tries again and again to remove it while it is in there itself, and so ends 150 ms later.
fn name_for_runtime(id: &str) -> String {
    format!("{id}-container")
}

/// Returns the groups of this name at the top of the hierarchies.
fn at_top(name: &str) -> Group {
    let found = Parent::find().map(|parent| parent.at_top(name));
    // Without any hierarchy, there are none.
    found.unwrap_or_else(|_| Group::at([]))
}

fn file(bundle: &Path) -> PathBuf {
    bundle.join("groups")
}
