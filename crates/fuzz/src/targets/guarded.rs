//! A root filesystem, with files beside it that must not change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A directory for a root filesystem, with a file beside it that no image may touch.
pub(super) struct Guarded<'a> {
    around: &'a Path,
    /// Its mode, size, time and number of names.
    file: (u32, u64, i64, u64),
}

impl<'a> Guarded<'a> {
    pub(super) fn new(around: &'a Path) -> Self {
        fs::create_dir(around.join("rootfs")).expect("a root filesystem");
        fs::create_dir(around.join("outside")).expect("a directory beside it");
        fs::write(around.join("outside/file"), "precious").expect("a file beside it");
        let file = Self::state(around);
        Self { around, file }
    }

    fn state(around: &Path) -> (u32, u64, i64, u64) {
        let data = fs::symlink_metadata(around.join("outside/file")).expect("the file is there");
        (data.mode(), data.size(), data.mtime_nsec(), data.nlink())
    }

    pub(super) fn check(&self) {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).expect("it can be read");
            let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.around), ["outside", "rootfs"]);
        assert_eq!(names(&self.around.join("outside")), ["file"]);
        assert_eq!(Self::state(self.around), self.file);
        let content = fs::read(self.around.join("outside/file")).expect("the file is there");
        assert_eq!(content, b"precious");
        assert!(
            fs::symlink_metadata("/fuzz-escaped").is_err(),
            "a file of this machine was created"
        );
    }
}
