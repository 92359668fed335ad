//! What the stories here share: a state directory, a root filesystem, and a tree that can be compared.

use std::cell::RefCell;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oci::fetch::{BaseImages, FetchError, Settings};
use oci::{Image, Import, Imported, LibraryError, Platform};
use rig::{Layer, OciImage, OciLayout};
use tokio_util::sync::CancellationToken;

/// The log of a fetch, in memory.
#[derive(Default)]
pub(crate) struct Log(RefCell<Vec<u8>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }
}

/// A machine of its own, as far as images are concerned.
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) log: Log,
    pub(crate) cancel: CancellationToken,
}

impl Machine {
    /// A machine without Docker and without credentials.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rootfs")).unwrap();
        let vars = [("PATH".into(), "/nonexistent".into())];
        let mut settings = Settings::from_vars(&folder.path().join("state"), vars);
        settings.registry_config = Some(folder.path().join("config.json"));
        // The registries of the tests are on this machine.
        settings.registries = "127.0.0.0/8".parse().unwrap();
        Self {
            folder,
            settings,
            log: Log::default(),
            cancel: CancellationToken::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }

    pub(crate) fn images(&self) -> BaseImages {
        BaseImages::new(self.settings.clone())
    }

    pub(crate) fn import(&self, name: &str, path: &Path) -> Result<Imported, LibraryError> {
        self.images().library().import(&Import {
            name,
            path,
            platform: &Platform::here(),
            when: "2026-11-25 10:00:00".to_owned(),
        })
    }

    pub(crate) async fn fetch(&self, name: &str) -> Result<Image, FetchError> {
        let log = |bytes: &[u8]| self.log.write(bytes);
        self.images()
            .fetch(name, &self.rootfs(), &log, &self.cancel)
            .await
    }

    /// Puts layers onto the root filesystem, as those of an imported image.
    pub(crate) fn unpack(&self, layers: &[&[u8]]) -> Result<Image, FetchError> {
        let layers = layers
            .iter()
            .map(|tar| Layer::of_tar(tar).unwrap())
            .collect();
        let folder = self.path("layout");
        OciLayout::write(&folder, "latest", &[OciImage::new(layers)]).unwrap();
        self.import("test", &folder).unwrap();
        block_on(self.fetch("test"))
    }

    /// Returns what is in the root filesystem.
    pub(crate) fn tree(&self) -> Vec<String> {
        tree(&self.rootfs())
    }

    /// Returns the names of what is in the root filesystem.
    pub(crate) fn names(&self) -> Vec<String> {
        self.tree()
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn block_on<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(what)
}

/// Lists a tree with all that an image keeps of a file.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(root, root, &mut lines);
    lines.sort();
    lines
}

fn list(root: &Path, directory: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let data = path.symlink_metadata().unwrap();
        let kind = data.file_type();
        let what = if kind.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_file() {
            let contents = std::fs::read(&path).unwrap();
            format!(
                "{} links={}",
                oci::Digest::of(&contents).short(),
                data.nlink()
            )
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {:x}", data.rdev())
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            "directory".to_owned()
        };
        let name = path.strip_prefix(root).unwrap().display();
        let (mode, mtime) = (
            data.mode(),
            format!("{}.{:09}", data.mtime(), data.mtime_nsec()),
        );
        let (uid, gid, xattrs) = (data.uid(), data.gid(), xattrs(&path));
        lines.push(format!(
            "{name} {mode:o} {uid}:{gid} {mtime} {what}{xattrs}"
        ));
        if kind.is_dir() {
            list(root, &path, lines);
        }
    }
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0_u8; 4096];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    names.truncate(length);
    let mut shown = String::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0_u8; 4096];
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(length);
        shown += &format!(" {}={value:?}", name.display());
    }
    shown
}

/// An archive whose entries are as somebody with bad intentions makes them.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn entry(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(rig::MTIME);
        header.set_size(data.len() as u64);
        if kind.is_character_special() {
            header.set_device_major(0).unwrap();
            header.set_device_minor(0).unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, name, "", data)
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, name, target, b"")
    }

    /// Says something of the next entry.
    pub(crate) fn record(self, key: &str, value: &[u8]) -> Self {
        let rest = key.len() + value.len() + 3;
        let length = (1..10)
            .map(|digits| rest + digits)
            .find(|n| n.to_string().len() + rest == *n);
        let mut record = format!("{} {key}=", length.unwrap()).into_bytes();
        record.extend_from_slice(value);
        record.push(b'\n');
        self.entry(tar::EntryType::XHeader, "pax", "", &record)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Runs another program, and returns what it wrote.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let program =
        rig::find_program(program).ok_or_else(|| format!("{program} is not installed"))?;
    rig::checked(std::process::Command::new(program).args(args))
        .map_err(|error| format!("{error:#}"))
}

/// Returns whether other programs are there, and reports that `test` does not run if not.
pub(crate) fn has(test: &str, programs: &[&str]) -> bool {
    let missing = programs
        .iter()
        .find(|program| rig::find_program(program).is_none());
    if let Some(missing) = missing {
        rig::report_not_run(test, missing);
    }
    missing.is_none()
}
