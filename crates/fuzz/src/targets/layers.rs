//! Layers: nothing outside of the root filesystem is made, changed or removed, and no more is read than is allowed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use obuilder::fuzzing::unpack;
use obuilder::image::Limits;

use super::members::{Packing, archives, packed, with_checksums};
use crate::input::Input;
use crate::scratch;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let packing = [Packing::AsIs, Packing::Gzip, Packing::Zstd][usize::from(mode >> 1) % 3];
    let layers = match mode {
        // As it is, compressed or not.
        240.. => vec![input.rest().to_vec()],
        _ if mode & 1 == 0 => vec![packed(&with_checksums(input.rest()), packing)],
        _ => archives(&mut input)
            .iter()
            .map(|archive| packed(archive, packing))
            .collect(),
    };
    let limits = Limits {
        entries: 500,
        unpacked: 1 << 20,
        ..Limits::default()
    };
    let around = scratch::directory();
    let guarded = Guarded::new(around.path());
    let layers = layers.iter().map(|layer| scratch::file(layer)).collect();
    // Refusing them is as good as unpacking them.
    drop(unpack(&around.path().join("rootfs"), limits, layers));
    guarded.check();
}

/// A root filesystem to be, with something beside it that no image may touch.
struct Guarded<'a> {
    around: &'a Path,
    /// Its mode, size, time and number of names.
    file: (u32, u64, i64, u64),
}

impl<'a> Guarded<'a> {
    fn new(around: &'a Path) -> Self {
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

    fn check(&self) {
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
            "a file of this machine was made"
        );
    }
}
