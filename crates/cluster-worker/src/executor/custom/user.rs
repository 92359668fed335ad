//! The user that custom jobs run as, if it is not the worker's own.
//!
//! A program that runs as the worker's user can read everything that the worker can read: its memory, the sources and
//! secrets of other jobs, and Docker's socket. As another user it cannot, and has access only to its job's files.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;

use nix::unistd::User;

use crate::process::Environment;

/// The program that changes the user. It is in the package util-linux, which every system has.
const SETPRIV: &str = "setpriv";

/// The variables of the worker's user that the other user must not get.
const PRIVATE: [&str; 2] = ["XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"];

/// The directories beside `tmp` with the sources and the logs of all jobs.
const PRIVATE_DIRS: [&str; 3] = ["git", "git-home", "log"];

/// The user that custom jobs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomUser {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// Why custom jobs cannot run as a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomUserError {
    /// There is no user of that name.
    #[error("cannot find user {0:?}: create it, or name another")]
    Unknown(String),
    /// Running as root would restrict nothing.
    #[error("custom jobs cannot run as root: name another user, or leave the option out")]
    Root,
    /// Only root can change the user.
    #[error("cannot run custom jobs as user {0:?}: the worker must run as root for that")]
    NotRoot(String),
    /// There is no program that changes the user.
    #[error("cannot run custom jobs as user {0:?}: install setpriv (package util-linux)")]
    NoSetpriv(String),
    /// The user has no access to the jobs' files.
    #[error(
        "cannot run custom jobs as user {user:?}: it cannot enter {path:?}; make the directories above it searchable \
         (chmod o+x)"
    )]
    NoAccess {
        /// The user's name.
        user: String,
        /// The directory.
        path: PathBuf,
    },
    /// A directory could not be prepared for it.
    #[error("cannot run custom jobs as user {user:?}: {path:?}: {reason}")]
    Directory {
        /// The user's name.
        user: String,
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl FromStr for CustomUser {
    type Err = CustomUserError;

    /// Looks a user up by name.
    fn from_str(name: &str) -> Result<Self, CustomUserError> {
        let known = User::from_name(name).ok().flatten();
        let user = known.ok_or_else(|| CustomUserError::Unknown(name.to_owned()))?;
        if user.uid.is_root() {
            return Err(CustomUserError::Root);
        }
        Ok(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        })
    }
}

impl CustomUser {
    /// Makes sure that programs can run as this user with files in `<state_dir>/tmp`: its group may pass through these
    /// directories, but not list them.
    pub(crate) fn prepare(
        &self,
        state_dir: &Path,
        environment: &Environment,
    ) -> Result<(), CustomUserError> {
        let user = || self.name.clone();
        if !rustix::process::geteuid().is_root() {
            return Err(CustomUserError::NotRoot(user()));
        }
        let by = self.change(environment);
        let (program, args) = by
            .split_first()
            .ok_or_else(|| CustomUserError::NoSetpriv(user()))?;
        let tmp = state_dir.join("tmp");
        let unusable = |path: &Path, error: io::Error| CustomUserError::Directory {
            user: user(),
            path: path.to_owned(),
            reason: error.to_string(),
        };
        for name in PRIVATE_DIRS {
            let path = state_dir.join(name);
            let closed = fs::set_permissions(&path, Permissions::from_mode(0o700));
            closed.map_err(|error| unusable(&path, error))?;
        }
        for path in [state_dir, &tmp] {
            self.let_pass(path).map_err(|error| unusable(path, error))?;
        }
        let entered = std::process::Command::new(program)
            .args(args)
            .args(["/bin/sh", "-c", "cd -- \"$1\"", "sh"])
            .arg(&tmp)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match entered {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(CustomUserError::NoAccess {
                user: user(),
                path: tmp,
            }),
            Err(_) => Err(CustomUserError::NoSetpriv(user())),
        }
    }

    /// Lets this user pass through one of the worker's directories.
    pub(super) fn let_pass(&self, dir: &Path) -> io::Result<()> {
        chown(dir, None, Some(self.gid))?;
        fs::set_permissions(dir, Permissions::from_mode(0o710))
    }

    /// Makes this user the owner of a directory and everything in it, and follows no link. A directory is changed after
    /// its contents, so that no program of the user can put a link there meanwhile.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give(&entry?.path())?;
            }
        }
        lchown(path, Some(self.uid), Some(self.gid))
    }

    /// Returns whether this user owns files with this user id.
    pub(super) fn owns(&self, uid: u32) -> bool {
        self.uid == uid
    }

    /// Returns the command line that changes to this user. Empty if there is no program for that.
    pub(super) fn change(&self, environment: &Environment) -> Vec<OsString> {
        let Some(program) = environment.find_program(SETPRIV.as_ref()) else {
            return Vec::new();
        };
        let mut by = vec![program.into_os_string()];
        by.extend(
            [
                format!("--reuid={}", self.uid),
                format!("--regid={}", self.gid),
                "--init-groups".to_owned(),
                "--inh-caps=-all".to_owned(),
                "--".to_owned(),
            ]
            .map(OsString::from),
        );
        by
    }

    /// Returns the environment of this user's programs.
    pub(super) fn environment(&self, worker: &Environment) -> Environment {
        let environment = PRIVATE
            .iter()
            .fold(worker.clone().without("DOCKER_"), |environment, name| {
                environment.without(name)
            });
        environment
            .with("HOME", &self.home)
            .with("USER", &self.name)
            .with("LOGNAME", &self.name)
    }
}
