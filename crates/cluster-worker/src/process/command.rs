//! Command lines as values, so that they can be tested without running them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use visible::without_credentials;

use super::Label;

/// The variables of the worker's environment that its programs get, besides those with the prefixes below.
const PASSED_ON: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// The prefixes of more such variables: the locale, and how `docker` and `git` connect to their servers.
const PASSED_ON_PREFIXES: [&str; 5] = ["LC_", "DOCKER_", "BUILDKIT_", "BUILDX_", "GIT_SSL_"];

/// The whole environment of a program: nothing is inherited.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Returns the part of the worker's variables (`std::env::vars_os()`) that its programs get.
    ///
    /// They get what they need to find programs, servers and certificates. Other variables may be secrets of the
    /// worker.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let passed_on = |name: &OsStr| {
            name.to_str().is_some_and(|name| {
                PASSED_ON.contains(&name) || PASSED_ON_PREFIXES.iter().any(|p| name.starts_with(p))
            })
        };
        Self(
            vars.into_iter()
                .filter(|(name, _)| passed_on(name))
                .collect(),
        )
    }

    /// Returns this environment with a variable set.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Returns this environment without the variables whose names start with `prefix`.
    #[must_use]
    pub(crate) fn without(mut self, prefix: &str) -> Self {
        self.0
            .retain(|name, _| !name.as_encoded_bytes().starts_with(prefix.as_bytes()));
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Returns the path of a program, looked up as a shell would. With a slash in it, it is a path already.
    pub(crate) fn find_program(&self, program: &OsStr) -> Option<PathBuf> {
        if program.as_encoded_bytes().contains(&b'/') {
            return Some(PathBuf::from(program));
        }
        std::env::split_paths(self.path())
            .map(|dir| dir.join(program))
            .find(|path| is_executable(path))
    }

    fn path(&self) -> &OsStr {
        self.0
            .get(OsStr::new("PATH"))
            .map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |path| path)
    }
}

/// Shows names only: a value may be a credential.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A program to run, with its arguments, environment and input. See
/// [`RunningJob::command`](crate::RunningJob::command).
#[derive(Clone)]
pub struct Command {
    label: Label,
    program: OsString,
    args: Vec<OsString>,
    environment: Environment,
    /// The directory to run in. `None`: the worker's own.
    dir: Option<PathBuf>,
    /// Its standard input, which is closed after that. May be a password.
    input: Vec<u8>,
    /// The command line that runs the program as another user. Empty for the worker's own user.
    user_change: Vec<OsString>,
    /// The files that put it into its control groups. Empty if it has none of its own.
    entrances: Vec<PathBuf>,
    /// Its umask in octal. `None`: the worker's own.
    umask: Option<&'static str>,
}

impl Command {
    /// `label` is its name in errors.
    pub(crate) fn new(
        label: impl Into<Label>,
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        environment: Environment,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self {
            label: label.into(),
            program: program.into(),
            args,
            environment,
            dir: None,
            input: Vec::new(),
            user_change: Vec::new(),
            entrances: Vec::new(),
            umask: None,
        }
    }

    /// Returns this command with data for its standard input, which it need not read. The default is none.
    #[must_use]
    pub fn reading(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Returns this command with a variable set in its environment.
    #[must_use]
    pub fn with_var(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    /// Returns this command with another directory to run in.
    #[must_use]
    pub fn in_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Returns this command, run as another user by the command line `by`.
    #[must_use]
    pub(crate) fn changing_user(mut self, by: Vec<OsString>) -> Self {
        self.user_change = by;
        self
    }

    pub(super) fn user_change(&self) -> &[OsString] {
        &self.user_change
    }

    /// Returns this command in the control groups with these [entrances](cgroup::Group::entrances).
    #[must_use]
    pub(crate) fn in_group(mut self, entrances: Vec<PathBuf>) -> Self {
        self.entrances = entrances;
        self
    }

    pub(super) fn entrances(&self) -> &[PathBuf] {
        &self.entrances
    }

    /// Returns this command with a umask of its own.
    #[must_use]
    pub(crate) fn with_umask(mut self, umask: &'static str) -> Self {
        self.umask = Some(umask);
        self
    }

    pub(super) fn umask(&self) -> Option<&'static str> {
        self.umask
    }

    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    pub(crate) fn args(&self) -> &[OsString] {
        &self.args
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn input(&self) -> &[u8] {
        &self.input
    }

    /// Returns the path of the program, looked up as a shell would.
    pub(crate) fn find_program(&self) -> Option<PathBuf> {
        self.environment.find_program(&self.program)
    }
}

pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Shows the command line roughly in a shell's syntax. The input, the environment and the credentials in URLs are not
/// shown.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program)?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {:?}", without_credentials(&arg.to_string_lossy())))
    }
}
