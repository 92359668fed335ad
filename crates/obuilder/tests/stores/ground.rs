//! Where a story takes place: a store on a disk of the kind it wants.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use obuilder::StepId;
use obuilder::store::{Draft, Finished, Store, StorePlace, StoreSpec, open, open_for_reading};
use rig::{Filesystem, LoopDisk};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Overlayfs,
    Btrfs,
    Xfs,
    RsyncCopy,
    RsyncHardlink,
    RsyncHardlinkUnsafe,
}

impl Kind {
    /// Returns what to write before the path, and the mode.
    pub(crate) fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Overlayfs => ("overlayfs", None),
            Self::Btrfs => ("btrfs", None),
            Self::Xfs => ("xfs", None),
            Self::RsyncCopy => ("rsync", Some("copy")),
            Self::RsyncHardlink => ("rsync", Some("hardlink")),
            Self::RsyncHardlinkUnsafe => ("rsync", Some("hardlink_unsafe")),
        }
    }

    /// Returns whether a step costs a copy of everything.
    pub(crate) fn copies(self) -> bool {
        !matches!(self, Self::Overlayfs | Self::Btrfs)
    }

    fn filesystem(self) -> Filesystem {
        match self {
            Self::Btrfs => Filesystem::Btrfs,
            Self::Xfs => Filesystem::Xfs,
            _ => Filesystem::Ext4,
        }
    }

    /// Makes a disk for it, the smallest that there is.
    pub(crate) fn small_disk(self) -> LoopDisk {
        let megabytes = match self {
            Self::Btrfs => 128,
            Self::Xfs => 320,
            _ => 48,
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
        disk.get_or_init(|| LoopDisk::new(self.filesystem(), 2 << 30).unwrap())
    }
}

/// A directory for a store that is a story's own.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) kind: Kind,
    pub(crate) root: PathBuf,
}

impl Ground {
    /// Opens the store.
    pub(crate) fn open(&self) -> Rc<dyn Store> {
        self.try_open().unwrap()
    }

    /// Opens the store for reading.
    pub(crate) fn read(&self) -> Rc<dyn Store> {
        let opened = open_for_reading(&spec(self.kind, &self.root));
        opened.unwrap().expect("a store that can be read")
    }

    /// Opens the store, or says why not.
    pub(crate) fn try_open(&self) -> Result<Rc<dyn Store>, String> {
        open(&spec(self.kind, &self.root)).map_err(|error| error.to_string())
    }
}

/// Returns the spec of a store.
pub(crate) fn spec(kind: Kind, root: &Path) -> StoreSpec {
    let (name, mode) = kind.names();
    let mut place = std::ffi::OsString::from(name);
    place.push(":");
    place.push(root);
    let place = StorePlace::parse(&place).unwrap();
    StoreSpec::new(Some(place), mode.map(|mode| mode.parse().unwrap())).unwrap()
}

/// Tells the story `chapter` of one store.
pub(crate) fn on<F: Future<Output = ()>>(
    kind: Kind,
    name: &str,
    chapter: impl FnOnce(Ground) -> F,
) {
    if !rig::is_root() {
        rig::report_not_run(name, "root, to mount disks");
        return;
    }
    let root = kind.disk().path().join(format!("{kind:?}.{name}"));
    let ground = Ground { kind, root };
    block_on(chapter(ground));
}

/// Runs a future as the library wants to be run: all on one thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Returns the id of a step that is called `name`.
pub(crate) fn id(name: &str) -> StepId {
    StepId::of(name.as_bytes())
}

/// Makes a result: `work` does what the step does.
pub(crate) async fn step(
    store: &Rc<dyn Store>,
    name: &str,
    base: Option<&str>,
    work: impl FnOnce(&Path),
) -> Finished {
    let draft = begin(store, name, base).await;
    work(&draft.rootfs);
    fs::write(draft.dir.join("log"), name).unwrap();
    store.publish(draft).await.unwrap()
}

/// Starts a step.
pub(crate) async fn begin(store: &Rc<dyn Store>, name: &str, base: Option<&str>) -> Draft {
    let base = base.map(id);
    store.begin(&id(name), base.as_ref()).await.unwrap()
}

/// Checks that nothing is left in a store of what is temporary.
pub(crate) fn assert_tidy(ground: &Ground) {
    for dir in ["result-tmp", "cache-tmp", "work", "merged"] {
        if let Ok(entries) = fs::read_dir(ground.root.join(dir)) {
            let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
    }
}

/// Returns the mounts below a directory.
pub(crate) fn mounts_below(root: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = format!("{}/", root.display());
    mounts.lines().filter(|line| line.contains(&root)).count()
}
