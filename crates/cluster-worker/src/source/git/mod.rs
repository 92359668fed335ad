//! The git commands. Neither the contents of a repository nor the settings of the worker's user influence their
//! environment.

mod checkout;
mod clone;
mod large_files;
mod submodules;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use job_rules::GitUrl;

use crate::process::{Command, Environment};

pub(super) use clone::{clone_dir, pull_request_refs};

/// Git's whole configuration, besides that of the clone.
///
/// - No hooks, and no background processes.
/// - Fetched objects are checked, except for three old and harmless mistakes that many repositories contain.
const CONFIG: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[protocol \"ext\"]
\tallow = never
[protocol \"file\"]
\tallow = never
[submodule]
\trecurse = false
[fetch]
\tfsckObjects = true
[fetch \"fsck\"]
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
\tzeroPaddedFilemode = ignore
[gc]
\tautoDetach = false
[maintenance]
\tautoDetach = false
[init]
\tdefaultBranch = master
";

/// The umask of all git commands, independent of the worker's. It is the usual one, so that builds with another user
/// can read the files, and that layers do not differ between workers.
const UMASK: &str = "022";

/// Git's credential helper. It gives the job's credentials only for repositories of their group.
const CREDENTIALS: &str = r#"!answer() {
  [ "$1" = get ] || return 0
  path=
  while read -r line && [ -n "$line" ]; do case $line in path=*) path=${line#path=} ;; esac; done
  case $path in "$OCLUSTER_GIT_GROUP"*) ;; *) return 0 ;; esac
  printf 'username=%s\npassword=%s\n' "$OCLUSTER_GIT_USER" "$OCLUSTER_GIT_PASSWORD"
}; answer"#;

/// Makes git commands.
#[derive(Clone)]
pub(super) struct Git {
    environment: Environment,
}

impl Git {
    /// `home` is a directory for the configuration. The repositories are in `places`.
    pub(super) fn set_up(base: &Environment, home: &Path, places: [&Path; 2]) -> io::Result<Self> {
        std::fs::create_dir_all(home)?;
        // Old versions read this and ignore `GIT_CONFIG_GLOBAL`.
        let config = home.join(".gitconfig");
        std::fs::write(&config, CONFIG)?;
        Ok(Self::new(base, home, &config, places))
    }

    pub(super) fn new(base: &Environment, home: &Path, config: &Path, places: [&Path; 2]) -> Self {
        let places = places.map(Path::as_os_str).join(OsStr::new(":"));
        let environment = base
            .clone()
            .without("DOCKER_")
            .without("BUILD")
            .without("SSH_")
            .with("HOME", home)
            .with("GIT_CONFIG_GLOBAL", config)
            .with("GIT_CONFIG_SYSTEM", "/dev/null")
            .with("GIT_CONFIG_NOSYSTEM", "1")
            .with("GIT_ALLOW_PROTOCOL", "http:https:git")
            .with("GIT_TERMINAL_PROMPT", "0")
            // The worker parses some of git's output.
            .with("LC_ALL", "C.UTF-8")
            .with("GIT_MERGE_AUTOEDIT", "no")
            // If a repository has lost its `.git`, git must not use one of a parent directory.
            .with("GIT_CEILING_DIRECTORIES", places);
        Self { environment }
    }

    fn command<A: Into<OsString>>(
        &self,
        label: &'static str,
        dir: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let args = args.into_iter().map(Into::into);
        let args = [OsString::from("-C"), dir.into()].into_iter().chain(args);
        self.run(label, "git", args)
    }

    fn run(
        &self,
        label: &'static str,
        program: &str,
        args: impl IntoIterator<Item = OsString>,
    ) -> Command {
        Command::new(label, program, args, self.environment.clone()).with_umask(UMASK)
    }

    /// Returns git with the credentials of a URL. Git asks for them when their server wants them. (A header with them
    /// would also be sent to other servers after a redirection.)
    fn authorized(&self, url: &GitUrl) -> Self {
        let Some(credentials) = url.credentials() else {
            return self.clone();
        };
        let helper = format!("credential.{}.helper", credentials.origin);
        let environment = self
            .environment
            .clone()
            .with("GIT_CONFIG_COUNT", "2")
            .with("GIT_CONFIG_KEY_0", helper)
            .with("GIT_CONFIG_VALUE_0", CREDENTIALS)
            .with("GIT_CONFIG_KEY_1", "credential.useHttpPath")
            .with("GIT_CONFIG_VALUE_1", "true")
            .with("OCLUSTER_GIT_GROUP", &credentials.group)
            .with("OCLUSTER_GIT_USER", &credentials.user)
            .with("OCLUSTER_GIT_PASSWORD", &credentials.password);
        Self { environment }
    }
}
