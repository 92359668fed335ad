//! The programs that make containers, and their command lines.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::SandboxError;
use super::builtin;
use super::bundle::Bundle;
use super::stdio::Input;

/// The program that makes containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// A program with the command line of `runc`.
    Program(PathBuf),
    /// The built-in one, which is faster: a copy of this program that makes a single container.
    Builtin {
        /// The program, which calls [`builtin::run_if_asked`] first. It is this program, except in tests.
        program: PathBuf,
    },
}

impl Runtime {
    /// The name of the default runtime.
    pub const DEFAULT: &str = Self::BUILTIN;
    /// The name of the built-in runtime.
    pub const BUILTIN: &str = "builtin";

    /// Returns the runtime with the name `name`: `builtin`, a path, or a program in a directory of `path`.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn named(name: &OsStr, path: &OsStr) -> Result<Self, SandboxError> {
        if name == Self::BUILTIN {
            return Ok(Self::Builtin {
                program: "/proc/self/exe".into(),
            });
        }
        let file = Path::new(name);
        let program = if file.components().count() > 1 {
            file.canonicalize().ok()
        } else {
            find(name, path)
        };
        program.map(Self::Program).ok_or_else(|| {
            SandboxError::Unsupported(format!(
                "cannot find the runtime {name:?}: install it (on Debian: apt-get install runc), or choose another \
                 with --runtime"
            ))
        })
    }

    /// Returns its name for messages, and for a bundle.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::Program(program) => program,
            Self::Builtin { .. } => Path::new(Self::BUILTIN),
        }
    }
}

/// Directories of administrators' programs, for users whose PATH does not have them.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

fn find(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

/// Returns the arguments that make a runtime run the container of `bundle`, and wait for it.
pub(super) fn run_args(runtime: &Runtime, bundle: &Bundle, input: Input) -> Vec<OsString> {
    match runtime {
        Runtime::Program(_) => {
            let mut args = global_args(&bundle.state());
            args.extend(["--log".into(), bundle.log().into()]);
            args.extend(["--log-format", "json", "run", "--bundle"].map(OsString::from));
            args.extend([bundle.dir().into(), "--pid-file".into()]);
            args.extend([bundle.pid_file().into(), bundle.id().into()]);
            args
        }
        Runtime::Builtin { .. } => builtin::run_args(bundle, input),
    }
}

/// Returns the arguments that make a runtime kill everything in a container.
pub(super) fn kill_args(state: &Path, id: &str) -> Vec<OsString> {
    let mut args = global_args(state);
    args.extend(["kill", id, "KILL"].map(OsString::from));
    args
}

/// Returns the arguments that make a runtime remove a container, even a running one.
pub(super) fn delete_args(state: &Path, id: &str) -> Vec<OsString> {
    let mut args = global_args(state);
    args.extend(["delete", "--force", id].map(OsString::from));
    args
}

fn global_args(state: &Path) -> Vec<OsString> {
    vec!["--root".into(), state.into()]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown(args: &[OsString]) -> String {
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        args.join(" ")
    }

    #[test]
    fn the_command_lines_of_a_runtime() {
        let bundle = Bundle::at("/state/sandbox".as_ref(), "obuilder-1-0".to_owned());
        let runc = Runtime::Program("/usr/sbin/runc".into());
        let lines = shown(&run_args(&runc, &bundle, Input::Empty)).replace(" --", "\n--");
        expect![[r#"
            --root /state/sandbox/obuilder-1-0/state
            --log /state/sandbox/obuilder-1-0/log
            --log-format json run
            --bundle /state/sandbox/obuilder-1-0
            --pid-file /state/sandbox/obuilder-1-0/pid obuilder-1-0"#]]
        .assert_eq(&lines);
        expect!["--root /state/sandbox/obuilder-1-0/state kill obuilder-1-0 KILL"]
            .assert_eq(&shown(&kill_args(&bundle.state(), bundle.id())));
        expect!["--root /state/sandbox/obuilder-1-0/state delete --force obuilder-1-0"]
            .assert_eq(&shown(&delete_args(&bundle.state(), bundle.id())));
        let builtin = Runtime::named("builtin".as_ref(), "".as_ref()).unwrap();
        expect!["obuilder-make-one-container terminal /state/sandbox/obuilder-1-0 obuilder-1-0"]
            .assert_eq(&shown(&run_args(&builtin, &bundle, Input::Terminal)));
    }

    #[test]
    fn a_runtime_is_a_name_or_a_path() {
        let error = |name: &str| {
            Runtime::named(name.as_ref(), "/bin".as_ref())
                .unwrap_err()
                .to_string()
        };
        for name in ["nonesuch", "/nowhere/runc"] {
            assert_eq!(
                error(name),
                format!(
                    "cannot find the runtime {name:?}: install it (on Debian: apt-get install runc), or choose \
                     another with --runtime"
                )
            );
        }
        let sh = Runtime::named("sh".as_ref(), "/nowhere:/bin".as_ref()).unwrap();
        assert!(sh.name().is_absolute());
        assert_eq!(
            Runtime::named(sh.name().as_os_str(), "".as_ref())
                .unwrap()
                .name(),
            sh.name().canonicalize().unwrap()
        );
    }
}
