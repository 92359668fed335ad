//! A root filesystem, a runtime, and a place for its state: what a test needs to run commands.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told by variables what to do"
)]

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use bstr::BString;
use obuilder::Sink;
use obuilder::sandbox::{
    Command, Exit, Network, OciSandbox, Runtime, Sandbox as _, SandboxError, SandboxOptions,
};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

/// Says which runtime a program that a test starts is to use: see [`Room::runtime_name`].
pub(crate) const RUNTIME: &str = "OBUILDER_TEST_RUNTIME";

/// How long any command of a test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Where commands run. What is in it is removed with it.
pub(crate) struct Room {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) options: SandboxOptions,
}

pub(crate) fn builtin() -> Runtime {
    Runtime::Builtin {
        program: env!("CARGO_BIN_EXE_obuilder-one-container").into(),
    }
}

/// Returns the runtime that a test has named in [`RUNTIME`] when it started this program.
pub(crate) fn named_runtime() -> Runtime {
    match std::env::var_os(RUNTIME).unwrap() {
        name if name == "builtin" => builtin(),
        program => Runtime::Program(program.into()),
    }
}

pub(crate) fn with_runc(name: &str, chapter: impl FnOnce(&Room)) {
    match rig::find_program("runc") {
        Some(runc) => with(name, Runtime::Program(runc), chapter),
        None => rig::report_not_run(name, "runc"),
    }
}

pub(crate) fn with_builtin(name: &str, chapter: impl FnOnce(&Room)) {
    with(name, builtin(), chapter);
}

fn with(name: &str, runtime: Runtime, chapter: impl FnOnce(&Room)) {
    if rig::is_root() {
        chapter(&Room::new(runtime));
    } else {
        rig::report_not_run(name, "root");
    }
}

impl Room {
    pub(crate) fn new(runtime: Runtime) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let copied = process::Command::new("cp")
            .arg("-al")
            .arg(template())
            .arg(dir.path().join("rootfs"))
            .status();
        assert!(copied.unwrap().success());
        fs::create_dir(dir.path().join("state")).unwrap();
        Self {
            dir,
            runtime,
            options: SandboxOptions::default(),
        }
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn is_builtin(&self) -> bool {
        matches!(self.runtime, Runtime::Builtin { .. })
    }

    /// Returns what to call the runtime in [`RUNTIME`].
    pub(crate) fn runtime_name(&self) -> &Path {
        match &self.runtime {
            Runtime::Builtin { .. } => Path::new("builtin"),
            Runtime::Program(program) => program,
        }
    }

    pub(crate) fn open(&self) -> OciSandbox {
        OciSandbox::open(&self.state(), self.runtime.clone(), self.options.clone()).unwrap()
    }

    /// Runs a command in a new sandbox, and returns its output and its end.
    pub(crate) fn run(&self, command: &Command) -> (String, Result<Exit, SandboxError>) {
        self.run_in(&self.open(), command)
    }

    /// Runs a command in a new sandbox with these options.
    pub(crate) fn run_with(
        &self,
        options: &SandboxOptions,
        command: &Command,
    ) -> (String, Result<Exit, SandboxError>) {
        let sandbox = OciSandbox::open(&self.state(), self.runtime.clone(), options.clone());
        self.run_in(&sandbox.unwrap(), command)
    }

    pub(crate) fn run_in(
        &self,
        sandbox: &OciSandbox,
        command: &Command,
    ) -> (String, Result<Exit, SandboxError>) {
        let output = Text::default();
        let rootfs = self.rootfs();
        let cancel = CancellationToken::new();
        let ended = wait(sandbox.run(&rootfs, command, &output, &cancel));
        self.check_nothing_is_left();
        (output.text(), ended)
    }

    /// Runs a command that must succeed, and returns its output.
    pub(crate) fn output(&self, command: &Command) -> String {
        let (output, ended) = self.run(command);
        assert!(matches!(ended, Ok(Exit::Status(0))), "{ended:?}: {output}");
        output
    }

    /// Returns the name of the one container that runs here now.
    pub(crate) fn container(&self) -> String {
        let bundles = left(&self.state().join("sandbox"));
        let [bundle] = &bundles[..] else {
            panic!("{bundles:?}");
        };
        bundle.file_name().unwrap().to_str().unwrap().to_owned()
    }

    pub(crate) fn check_nothing_is_left(&self) {
        assert_eq!(left(&self.state().join("sandbox")), Vec::<PathBuf>::new());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let state = self.state().display().to_string();
        assert!(!mounts.contains(&state), "{mounts}");
    }
}

/// Returns what is in a directory.
pub(crate) fn left(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Returns the cgroups of all containers of ours whose names contain `name`, parents first.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        // Others' may go at any time.
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(directories.map(|entry| entry.path()));
    }
    found.retain(|path| path.to_string_lossy().contains(name));
    found
}

/// Waits for something on the one thread, with a limit.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(LIMIT, future).await };
    runtime
        .block_on(tokio::task::LocalSet::new().run_until(limited))
        .expect("it takes too long")
}

/// A root filesystem to make others from, by linking its files: nothing may write to them in place.
fn template() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = folder.join("sandbox-rootfs-2");
        if !made.exists() {
            let new = tempfile::tempdir_in(folder).unwrap();
            rig::host_rootfs(new.path()).unwrap();
            // Somebody else may have made it meanwhile.
            drop(fs::rename(new.path(), &made));
        }
        made
    });
    made.clone()
}

/// Calls a function whenever a command prints something.
pub(crate) struct Call<F>(pub(crate) F);

impl<F: Fn(&[u8]) -> io::Result<()>> Sink for Call<F> {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (self.0)(bytes)
    }
}

/// Keeps what a command prints.
#[derive(Default)]
pub(crate) struct Text(RefCell<Vec<u8>>);

impl Text {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Sink for Text {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }
}

/// Returns a script of bash's, run by root in `/`.
pub(crate) fn script(text: &str) -> Command {
    command(&["/bin/bash", "-c", text])
}

pub(crate) fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|&word| BString::from(word)).collect(),
        cwd: "/".into(),
        user: User::ROOT,
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        network: Network::None,
        secrets: Vec::new(),
        mounts: Vec::new(),
    }
}

/// Makes a test of each chapter, for each runtime.
macro_rules! for_each_runtime {
    ($($chapter:ident)*) => {
        mod runc {
            $(#[test]
            fn $chapter() {
                crate::room::with_runc(concat!(stringify!($chapter), " (runc)"), super::$chapter);
            })*
        }
        mod builtin {
            $(#[test]
            fn $chapter() {
                crate::room::with_builtin(concat!(stringify!($chapter), " (builtin)"), super::$chapter);
            })*
        }
    };
}
pub(crate) use for_each_runtime;
