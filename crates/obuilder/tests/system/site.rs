//! Where a story takes place: a store on a disk of the kind it wants, a runtime, and images.

use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use obuilder::builder::{BuildError, Builder, Context, Parts};
use obuilder::sandbox::{OciSandbox, Runtime, SandboxOptions};
use obuilder::store::{self, StorePlace, StoreSpec};
use obuilder::{Setup, StepId};
use obuilder_spec::Spec;
use oci::fetch::{BaseImages, Settings};
use oci::{Import, Library, Platform};
use rig::{Filesystem, Layer, LoopDisk, OciImage, OciLayout};

use crate::log::Log;

/// How long a story may take on a machine that is out of breath.
const LIMIT: Duration = Duration::from_secs(300);

/// The image that specs start from.
pub(crate) const BASE: &str = "base:test";

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Overlayfs,
    Btrfs,
    Xfs,
    RsyncCopy,
    RsyncHardlink,
}

impl Kind {
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Overlayfs => ("overlayfs", None),
            Self::Btrfs => ("btrfs", None),
            Self::Xfs => ("xfs", None),
            Self::RsyncCopy => ("rsync", Some("copy")),
            Self::RsyncHardlink => ("rsync", Some("hardlink")),
        }
    }

    fn filesystem(self) -> Filesystem {
        match self {
            Self::Btrfs => Filesystem::Btrfs,
            Self::Xfs => Filesystem::Xfs,
            Self::Overlayfs | Self::RsyncCopy | Self::RsyncHardlink => Filesystem::Ext4,
        }
    }

    /// Makes a disk for it, the smallest that there is.
    pub(crate) fn small_disk(self) -> LoopDisk {
        let megabytes = match self.filesystem() {
            Filesystem::Btrfs => 128,
            Filesystem::Xfs => 320,
            Filesystem::Ext4 => 64,
        };
        LoopDisk::new(self.filesystem(), megabytes << 20).unwrap()
    }

    fn disk(self) -> &'static LoopDisk {
        static DISKS: [OnceLock<LoopDisk>; 3] = [const { OnceLock::new() }; 3];
        let [ext4, btrfs, xfs] = &DISKS;
        let disk = match self.filesystem() {
            Filesystem::Ext4 => ext4,
            Filesystem::Btrfs => btrfs,
            Filesystem::Xfs => xfs,
        };
        disk.get_or_init(|| LoopDisk::new(self.filesystem(), 4 << 30).unwrap())
    }
}

/// A store, and what works in it.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    pub(crate) root: PathBuf,
    runtime: Runtime,
    /// For what is not in the store. Removed with this.
    folder: tempfile::TempDir,
}

/// Tells the story `chapter` of one store.
pub(crate) fn on<F: Future<Output = ()>>(
    kind: Kind,
    name: &str,
    chapter: impl FnOnce(Kind, String) -> F,
) {
    if can_run(name) {
        // As a directory is to be called.
        let name = name.replace(['(', ')'], "").replace(' ', "-");
        block_on(chapter(kind, name));
    }
}

/// Returns whether this machine has what the stories need. Says so if not.
pub(crate) fn can_run(name: &str) -> bool {
    if !rig::is_root() {
        rig::report_not_run(name, "root, to mount disks");
        return false;
    }
    let programs = ["runc", "busybox", "rsync"];
    let missing = programs.iter().find(|it| rig::find_program(it).is_none());
    if let Some(program) = missing {
        rig::report_not_run(name, program);
    }
    missing.is_none()
}

/// Runs a future as the library wants to be run: all on one thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(LIMIT, future).await };
    tokio::task::LocalSet::new()
        .block_on(&runtime, limited)
        .expect("it takes too long")
}

/// Returns the runtime that everybody has.
pub(crate) fn runc() -> Runtime {
    Runtime::Program(rig::find_program("runc").unwrap())
}

/// Returns our own.
pub(crate) fn builtin() -> Runtime {
    Runtime::Builtin {
        program: env!("CARGO_BIN_EXE_obuilder-one-container").into(),
    }
}

impl Site {
    /// Makes a place on the large disk of this kind of store. `name` is no other story's.
    pub(crate) fn new(kind: Kind, runtime: Runtime, name: &str) -> Self {
        Self::at(kind, runtime, kind.disk().path().join(name))
    }

    /// Makes a place for a store in the directory `root`.
    pub(crate) fn at(kind: Kind, runtime: Runtime, root: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        Self {
            kind,
            root,
            runtime,
            folder,
        }
    }

    /// Returns the environment of programs: log-ins are in the site's `config.json`.
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("PATH".into(), "/nonexistent".into()),
            ("DOCKER_CONFIG".into(), self.folder.path().into()),
        ]
    }

    /// Returns a place for what is not in the store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opens the store for building. Log-ins are in the site's `config.json`, and there is no Docker engine.
    pub(crate) fn open(&self) -> Builder {
        let (name, mode) = self.kind.names();
        let mut place = OsString::from(name);
        place.push(":");
        place.push(&self.root);
        let place = StorePlace::parse(&place).unwrap();
        let spec = StoreSpec::new(Some(place), mode.map(|mode| mode.parse().unwrap())).unwrap();
        let env = self.env();
        let Runtime::Builtin { .. } = self.runtime else {
            let setup = Setup {
                store: spec,
                runtime: self.runtime_name(),
                sandbox: SandboxOptions::default(),
                registries: "127.0.0.0/8".parse().unwrap(),
                env,
                shared: None,
            };
            return setup.open().unwrap();
        };
        let store = store::open(&spec).unwrap();
        let state = store.state_dir().to_owned();
        let sandbox =
            OciSandbox::open(&state, self.runtime.clone(), SandboxOptions::default()).unwrap();
        let mut settings = Settings::from_vars(&state, env);
        settings.registries = "127.0.0.0/8".parse().unwrap();
        let fetcher = BaseImages::new(settings);
        Builder::open(Parts {
            store,
            sandbox: Rc::new(sandbox),
            fetcher: Rc::new(fetcher),
        })
        .unwrap()
    }

    fn runtime_name(&self) -> OsString {
        match &self.runtime {
            Runtime::Program(program) => program.into(),
            Runtime::Builtin { .. } => Runtime::BUILTIN.into(),
        }
    }

    /// Opens the store for building on [`BASE`], which is a busybox.
    pub(crate) fn open_with_busybox(&self) -> Builder {
        let builder = self.open();
        let busybox = OciImage::new(vec![Layer::busybox().unwrap()]);
        self.import(&builder, BASE, busybox);
        builder
    }

    /// Opens the store for building on [`BASE`], which has the programs of this machine.
    pub(crate) fn open_with_host(&self, env: &[&str]) -> Builder {
        let rootfs = self.path("rootfs");
        fs::create_dir(&rootfs).unwrap();
        rig::host_rootfs(&rootfs).unwrap();
        let tar = Command::new("tar")
            .arg("-C")
            .arg(&rootfs)
            .args(["-c", "."])
            .output();
        let mut image = OciImage::new(vec![Layer::of_tar(&tar.unwrap().stdout).unwrap()]);
        image.env = env.iter().map(|&pair| pair.to_owned()).collect();
        let builder = self.open();
        self.import(&builder, BASE, image);
        builder
    }

    /// Imports an image under a name.
    pub(crate) fn import(&self, builder: &Builder, name: &str, image: OciImage) {
        let layout = self.path(&format!("layout-{}", name.replace(['/', ':'], "-")));
        OciLayout::write(&layout, "latest", &[image]).unwrap();
        let import = Import {
            name,
            path: &layout,
            platform: &Platform::here(),
            when: String::new(),
        };
        Library::new(builder.store().state_dir())
            .import(&import)
            .unwrap();
    }

    /// Returns the directory that specs copy from.
    pub(crate) fn source(&self) -> PathBuf {
        self.path("source")
    }

    /// Returns a context with a log of its own.
    pub(crate) fn context(&self) -> (Context, Rc<Log>) {
        let log = Log::new();
        (Context::new(self.source(), log.clone()), log)
    }

    /// Builds a spec, and returns its log too.
    pub(crate) async fn build(
        &self,
        builder: &Builder,
        spec: &str,
    ) -> (Result<StepId, BuildError>, Rc<Log>) {
        let (context, log) = self.context();
        let spec = parse(spec);
        (builder.build(&context, &spec).await, log)
    }

    /// Builds a spec, which must succeed.
    pub(crate) async fn built(&self, builder: &Builder, spec: &str) -> (StepId, Rc<Log>) {
        let (built, log) = self.build(builder, spec).await;
        let id = built.unwrap_or_else(|error| panic!("{error}: {}", log.text()));
        (id, log)
    }

    /// Builds a spec, which must fail, and returns why.
    pub(crate) async fn refused(&self, builder: &Builder, spec: &str) -> (String, Rc<Log>) {
        let (built, log) = self.build(builder, spec).await;
        match built {
            Err(error) => (error.to_string(), log),
            Ok(_) => panic!("it was built: {}", log.text()),
        }
    }

    /// Returns what the sandbox has of containers now.
    pub(crate) fn containers(&self, builder: &Builder) -> Vec<String> {
        names(&builder.store().state_dir().join("sandbox"))
    }

    /// Checks that nothing of what is temporary is in the store or on the machine.
    pub(crate) fn assert_tidy(&self, builder: &Builder) {
        assert_eq!(self.containers(builder), Vec::<String>::new());
        for dir in ["result-tmp", "cache-tmp", "work", "merged"] {
            let left = names(&self.root.join(dir));
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
        // A place for mounts, which an open store has to itself.
        let own = self.root.join("merged").display().to_string();
        let mounts = self.mounts();
        assert!(mounts.iter().all(|mount| *mount == own), "{mounts:?}");
    }

    /// Closes the store, and checks that nothing is left of its being open.
    pub(crate) fn close(&self, builder: Builder) {
        self.assert_tidy(&builder);
        drop(builder);
        assert_eq!(self.mounts(), Vec::<String>::new());
    }

    /// Returns what is mounted in the store.
    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let inside = places.filter(|place| Path::new(place).starts_with(&self.root));
        inside.map(str::to_owned).collect()
    }
}

pub(crate) fn parse(spec: &str) -> Spec {
    Spec::parse(spec.as_bytes(), "spec").unwrap_or_else(|error| panic!("{error}: {spec}"))
}

/// Returns the names of what is in a directory, which need not exist.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
