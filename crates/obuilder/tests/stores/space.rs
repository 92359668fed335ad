//! Room, as `df` shows it and upstream takes it.

use std::process::Command;

use obuilder::store::Space;
use rig::LoopDisk;

/// A disk of which 40 % are set aside is as good as empty: by the size of it, it would be 60 % free.
#[test]
fn space_reserved_for_root_is_neither_free_nor_used() {
    if !rig::is_root() {
        return rig::report_not_run("space", "root, to mount disks");
    }
    let disk = LoopDisk::with_reserved(64 << 20, 40).unwrap();
    let space = Space::of(disk.path()).unwrap();
    assert!(space.free_percent() > 95.0, "{space:?}");
    let mut df = Command::new("df");
    df.arg("--output=pcent").arg(disk.path());
    let df = String::from_utf8(df.output().unwrap().stdout).unwrap();
    let used: f64 = df
        .lines()
        .last()
        .unwrap()
        .trim()
        .trim_end_matches('%')
        .parse()
        .unwrap();
    let free = 100.0 - used;
    assert!(
        (space.free_bytes_percent() - free).abs() < 2.0,
        "{space:?}, df: {df}"
    );
}
